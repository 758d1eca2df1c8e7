"""Matrix: what pairs of ends show, told apart into senders, receivers and single paths.

A matrix of times or rates over (source, target) is a row effect plus a column effect plus what is left (Tukey's median
polish, on the metric's scale of comparison): a hot row is a sender, a hot column a receiver, both a device, a hot cell
its path. Medians are not moved by what fewer than half of an end's paths show.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grayscope import blocks
from grayscope.grouped import cells, medians
from grayscope.pathsolve import Incidence
from grayscope.tick import Tick

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]
#: Sweeps over rows and columns; medians settle in two.
SWEEPS = 2
#: Paths that an end needs, and ends that a matrix needs, to say anything.
PATHS, ENDS = 3, 4


@dataclass(frozen=True, slots=True, eq=False)
class Mesh:
    """Which subjects are paths between which ends.

    Parameters
    ----------
    ends : tuple of str, length N
        Sorted names.
    path : ndarray of int32, shape [E]
        Position in the tick's subjects; twice where each pair was measured in one direction only.
    source, target : ndarray of int32, shape [E]
        Position in `ends`.
    directed : bool
        Whether some pair was measured both ways, so that to send and to receive can be told apart.
    between : tuple of tuple of str, length C
        What several paths cross besides their ends; names in one tuple are always crossed together. Last come the blocks, each by itself.
    member : pair of ndarray of int32, shape [K]
        Position in the tick's subjects, and in `between`, of each crossing.
    named : int, optional
        How many of `between` are no blocks.
    """

    ends: tuple[str, ...]
    path: Ints
    source: Ints
    target: Ints
    directed: bool
    between: tuple[tuple[str, ...], ...]
    member: tuple[Ints, Ints]
    named: int = 0

    @classmethod
    def of(cls, tick: Tick) -> Mesh:
        """Find the paths of a tick: subjects with a source and a target, or that cross exactly two things."""
        pairs = list(_pairs(tick))
        names = tuple(sorted({end for _, pair in pairs for end in pair}))
        number = {name: i for i, name in enumerate(names)}
        place, source, target = (
            np.array(column, np.int32) for column in ([i for i, _ in pairs], [number[a] for _, (a, _) in pairs], [number[b] for _, (_, b) in pairs])
        )
        known = {pair for _, pair in pairs}
        directed = any((b, a) in known for a, b in known)
        if not directed:
            place, source, target = np.concatenate([place, place]), np.concatenate([source, target]), np.concatenate([target, source])
        between, member, named = _between(tick, set(names), dict(pairs), directed)
        return cls(names, place, source, target, directed, between, member, named)


def _pairs(tick: Tick) -> Iterator[tuple[int, tuple[str, str]]]:
    rows = tick.roster.rows
    for i, subject in enumerate(tick.subjects):
        row = rows.get(subject)
        # Ends are named by both or by what is crossed: most tables have neither, and need no more than this look.
        if row is not None and (row.crosses or "source" in row.keys) and (pair := ends_of(subject, tick)) is not None:
            yield i, pair


def _between(tick: Tick, ends: set[str], pairs: blocks.Pairs, directed: bool) -> tuple[tuple[tuple[str, ...], ...], tuple[Ints, Ints], int]:
    """Return what lies between the ends of at least three paths and not of all, who crosses it, and how many of these are no blocks."""
    if not pairs:
        return (), (np.zeros(0, np.int32), np.zeros(0, np.int32)), 0
    over = [tick.roster.crosses(s) for s in tick.subjects]
    crossed = Incidence(over)
    kept = [(names, at) for names, at in zip(crossed.classes, crossed.paths, strict=True) if PATHS <= len(at) < len(pairs) and ends.isdisjoint(names)]
    named = len(kept)
    kept += [((name,), np.array(at, np.intp)) for name, at in blocks.blocks(over, pairs, tick.roster, directed).items()]
    path = np.concatenate([np.zeros(0, np.int32), *(at for _, at in kept)]).astype(np.int32)
    which = np.repeat(np.arange(len(kept), dtype=np.int32), [len(at) for _, at in kept])
    return tuple(names for names, _ in kept), (path, which.astype(np.int32)), named


def ends_of(subject: str, tick: Tick) -> tuple[str, str] | None:
    """Return source and target of a path, None for whatever is no path."""
    a, b = tick.roster.key(subject, "source"), tick.roster.key(subject, "target")
    if not (a and b):
        crossed = tick.roster.crosses(subject)
        if len(crossed) != 2:
            return None
        a, b = crossed
    return (a, b) if a != b else None


def polish(values: Floats, mesh: Mesh) -> tuple[Floats, Floats]:
    """Return what every end adds as a source and as a target.

    Parameters
    ----------
    values : [M, S]
        On an additive scale, NaN where not reported; the paths' columns are read.

    Returns
    -------
    out, into : [M, N]
        Effects beside the median end; NaN for ends of fewer than three paths.

    Examples
    --------
    >>> pairs = [(a, b) for a in range(5) for b in range(5) if a != b]
    >>> source, target = np.int32(pairs).T
    >>> nothing = np.int32([])
    >>> mesh = Mesh(tuple("abcde"), np.arange(20, dtype=np.int32), source, target, True, (), (nothing, nothing))
    >>> out, into = polish(np.float32([[(a == 1) + 2 * (b == 4) for a, b in pairs]]), mesh)
    >>> out[0].tolist(), into[0].tolist()
    ([0.0, 1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, 2.0])
    """
    n = len(mesh.ends)
    seen = values[:, mesh.path]
    by_source, by_target = (np.tile(side, (len(seen), 1)) for side in (mesh.source, mesh.target))
    out, into = np.zeros((len(values), n), np.float32), np.zeros((len(values), n), np.float32)
    for _ in range(SWEEPS):
        out = _centred(seen - cells(into, by_target), by_source, n)
        into = _centred(seen - cells(out, by_source), by_target, n)
    return _known(out, seen, by_source), _known(into, seen, by_target)


def rest(values: Floats, mesh: Mesh, out: Floats, into: Floats) -> Floats:
    """Return what the paths show beyond their ends, shape [M, S]; NaN for whatever is no path."""
    left = np.full_like(values, np.nan)
    seen = values[:, mesh.path] - np.nan_to_num(out)[:, mesh.source] - np.nan_to_num(into)[:, mesh.target]
    left[:, mesh.path] = seen
    return left


def shared(left: Floats, mesh: Mesh) -> Floats:
    """Return the median excess of the paths through each thing between the ends, shape [M, C]."""
    path, which = mesh.member
    median, _ = medians(left[:, path], np.tile(which, (len(left), 1)), len(mesh.between))
    return median


def _centred(left: NDArray[Any], label: Ints, n: int) -> Floats:
    """Return the median of each end's paths less the median of all ends; 0 for ends without any."""
    median, _ = medians(left.astype(np.float32), label, n)
    finite = np.isfinite(median)
    every = np.zeros_like(median, np.int32)
    middle, _ = medians(median, every, 1)
    return np.where(finite, median - np.nan_to_num(middle), np.float32(0)).astype(np.float32)


def _known(effect: Floats, seen: Floats, label: Ints) -> Floats:
    _, count = medians(seen, label, effect.shape[1])
    return np.where(count >= PATHS, effect, np.float32(np.nan)).astype(np.float32)
