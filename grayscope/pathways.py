"""Pathways: what the roster says of a table of paths: the ends of each, what it crosses, and the blocks that it is in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from grayscope import unnamed
from grayscope.matrix import Mesh, ends_of
from grayscope.pathsolve import Incidence
from grayscope.tick import Tick

#: A component and its place on the path: to send badly and to receive badly are two things.
End = tuple[str, int]


class Known(NamedTuple):
    """What follows from the roster and the subjects of a table.

    Where each subject is, how many paths each end has, what crosses what (with the blocks), the names of the blocks, where paths lead, and the ends of each
    block in words, as far as they were asked for.
    """

    column: dict[str, int]
    ends: Counter[End]
    incidence: Incidence
    blocks: frozenset[str]
    paths: unnamed.Paths
    words: dict[str, str]


class Look(NamedTuple):
    """One look at a table of paths.

    The tick and its number, what the roster says, the paths that stood out lately and when, the components that were accused lately (when, size of the
    effect), how much worse each cell [M, S] is than expected, and of which components other evidence is at hand.
    """

    tick: Tick
    now: int
    known: Known
    votes: dict[str, int]
    ends: dict[str, tuple[int, float]]
    excess: NDArray[np.float32]
    told: Mapping[str, int]


class Pathways:
    """What is known of the paths of every table; no part of any state, worked out again only when the subjects or the roster have changed."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[object, object, Known]] = {}

    def of(self, tick: Tick) -> Known:
        """Return how many paths have each end, which paths cross what, and where they lead."""
        kept = self._known.get(tick.table)
        if kept is None or kept[0] is not tick.subjects or kept[1] is not tick.roster:
            kept = self._known[tick.table] = (tick.subjects, tick.roster, _known(tick))
        return kept[2]


def ends(subject: str, tick: Tick) -> tuple[End, ...]:
    """Return the ends of a path; where they are not known, everything that it crosses."""
    both = ends_of(subject, tick)
    return ((both[0], 0), (both[1], 1)) if both else tuple((c, 0) for c in tick.roster.crosses(subject))


def _known(tick: Tick) -> Known:
    mesh, crossed = Mesh.of(tick), [_way(s, tick) for s in tick.subjects]
    for c in range(mesh.named, len(mesh.between)):
        for p in mesh.member[0][mesh.member[1] == c].tolist():
            crossed[p] = (*crossed[p], *mesh.between[c])
    names = frozenset(name for of in mesh.between[mesh.named :] for name in of)
    paths = unnamed.Paths(mesh.path.astype(np.intp), mesh.source.astype(np.intp), mesh.target.astype(np.intp), len(mesh.ends))
    return Known({s: i for i, s in enumerate(tick.subjects)}, Counter(e for s in tick.subjects for e in ends(s, tick)), Incidence(crossed), names, paths, {})


def _way(subject: str, tick: Tick) -> tuple[str, ...]:
    """Return what a path crosses: what the roster says, and the switches above its ends, whether or not that says so."""
    crossed = tick.roster.crosses(subject)
    return tuple(dict.fromkeys((*crossed, *(leaf for end in ends_of(subject, tick) or () if (leaf := tick.roster.key(end, "leaf")))))) if crossed else ()
