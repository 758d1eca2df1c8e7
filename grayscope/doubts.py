"""Doubts: which subjects of a table nothing is learned from, found from the few names that are doubted, not from all that are not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from grayscope.roster import View
from grayscope.tick import Tick


class _Known(NamedTuple):
    subjects: tuple[str, ...]
    view: View
    doubted: frozenset[str]
    found: NDArray[np.bool_]
    places: dict[str, list[int]]


class Doubts:
    """Part of stand."""

    def __init__(self) -> None:
        self.tables: dict[str, _Known] = {}

    def of(self, tick: Tick, doubted: frozenset[str]) -> NDArray[np.bool_]:
        """Return which subjects [S] of a tick are doubted: itself, the GPU that a rank runs on, or, by a name with a slash at its end, what it lies in."""
        known = self.tables.get(tick.table)
        here = known is not None and known.subjects is tick.subjects and known.view is tick.roster
        if known is not None and here and known.doubted == doubted:
            return known.found
        places = known.places if known is not None and here else {}
        if doubted and not places:
            places = _places(tick)
        found = np.zeros(len(tick.subjects), bool)
        found[[i for name in doubted for i in places.get(name, ())]] = True
        self.tables[tick.table] = _Known(tick.subjects, tick.roster, doubted, found, places)
        return found


def _places(tick: Tick) -> dict[str, list[int]]:
    """Return which subjects each name stands for."""
    places: dict[str, list[int]] = {}
    for i, subject in enumerate(tick.subjects):
        for name in names(subject, tick.roster):
            places.setdefault(name, []).append(i)
    return places


def names(subject: str, roster: View) -> Iterator[str]:
    """Yield all names by which a subject can be doubted.

    Examples
    --------
    >>> list(names("n1/gpu3/nvlink5", View(0, {})))
    ['n1/gpu3/nvlink5', 'n1/gpu3/', 'n1/']
    """
    place = roster.key(subject, "gpu") or subject
    yield place
    if place != subject:
        yield subject
    while place := place.rpartition("/")[0]:
        yield f"{place}/"
