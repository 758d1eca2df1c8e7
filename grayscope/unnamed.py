"""Unnamed: blocks that no place explains: some sources of which all paths to some targets are bad, and neither their others nor others' are.

What is behind such a block is not known, only that something is: that so many of the bad paths have their ends in so few rows and columns.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Places = NDArray[np.intp]
#: Paths of a block, ends on either side, and paths that its ends have besides; share of it that is bad, and that may be bad of the others.
PATHS, ENDS, BESIDE = 6, 2, 3
MOST, FEW = 0.75, 0.25
#: Nats beyond chance, over all choices of ends.
LEAST = math.log(1000)
SWEEPS = 4


class Paths(NamedTuple):
    """Where paths lead: position of each, and of its source and target among `n` ends."""

    path: Places
    source: Places
    target: Places
    n: int


def found(excess: NDArray[np.floating], paths: Paths, seeds: Iterable[int]) -> list[list[int]]:
    """Return the paths of each block that holds one of the seeds, by position.

    Parameters
    ----------
    excess : [P]
        How much worse each path is than it should be, in any unit.
    paths : Paths
        Those with known ends; twice where a pair is measured one way only.
    seeds : iterable of int
        Paths that stood out.

    Examples
    --------
    >>> ends = np.array([(a, b) for a in range(8) for b in range(8) if a != b])
    >>> bad = (ends[:, 0] < 3) & (ends[:, 1] > 4)
    >>> blocks = found(np.where(bad, 2.0, 0.1), Paths(np.arange(56), ends[:, 0], ends[:, 1], 8), [int(np.flatnonzero(bad)[0])])
    >>> [len(block) for block in blocks], bool(bad[blocks[0]].all())
    ([9], True)
    """
    if not len(paths.path):
        return []
    x = (np.nan_to_num(excess) - np.nanquantile(excess[paths.path], FEW))[paths.path]
    blocks, held = [], set[int]()
    for seed in seeds:
        at = np.flatnonzero(paths.path == seed)
        if len(at) and seed not in held and (block := _around(x, paths, int(at[0]))):
            blocks.append(block)
            held.update(block)
    return blocks


def _around(x: NDArray[np.floating], paths: Paths, at: int) -> list[int]:
    """Return the block around one path, nothing where there is none."""
    bad = x > x[at] / 2
    targets = np.bincount(paths.target, bad & (paths.source == paths.source[at]), paths.n) > 0
    sources = np.zeros(paths.n, bool)
    for _ in range(SWEEPS):
        sources = _mostly(bad, targets[paths.target], paths.source, paths.n)
        targets = _mostly(bad, sources[paths.source], paths.target, paths.n)
        inside = sources[paths.source] & targets[paths.target]
        if not inside[at]:
            return []
        bad = x > float(np.median(x[inside])) / 2
    return np.unique(paths.path[inside]).tolist() if _stands(bad, inside, sources, targets, paths) else []


def _mostly(bad: NDArray[np.bool_], among: NDArray[np.bool_], end: Places, n: int) -> NDArray[np.bool_]:
    """Return the ends [n] most of whose paths among some are bad."""
    every, some = np.bincount(end, among, n), np.bincount(end, among & bad, n)
    return (some >= ENDS) & (some >= MOST * every)


def _stands(bad: NDArray[np.bool_], inside: NDArray[np.bool_], sources: NDArray[np.bool_], targets: NDArray[np.bool_], paths: Paths) -> bool:
    """Say whether a block is beyond chance, and neither its sources nor its targets are bad elsewhere."""
    wide = sources.sum() >= ENDS and targets.sum() >= ENDS and len(np.unique(paths.path[inside])) >= PATHS
    beside = (sources[paths.source] & ~inside, targets[paths.target] & ~inside)
    if not wide or bad[inside].mean() < MOST or any(b.sum() < BESIDE or bad[b].mean() > FEW for b in beside):
        return False
    chance = (bad[~inside].sum() + 1) / (np.count_nonzero(~inside) + 2)
    choices = int(sources.sum() + targets.sum()) * math.log(paths.n)
    return bool(-len(np.unique(paths.path[inside & bad])) * math.log(chance) - choices >= LEAST)
