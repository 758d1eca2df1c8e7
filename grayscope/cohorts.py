"""Cohorts: what like parts show of how often they spend, for each of many parts without itself.

In a storm thousands of parts make a step at once. What the others of its kind do is asked for each of them, so they are put in
order once, and sums over those who spend least say the rest.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grayscope.exhaustion import Cohort

Floats = NDArray[np.float64]
#: Like parts that make a cohort.
LEAST = 4
#: Share of its kind, those that spend least, that tells what healthy parts do.
HEALTHY = 0.9


class Cohorts:
    """The parts of a tick, of which each may ask for what the others of its kind do.

    Parameters
    ----------
    count, hours : ndarray of float64, shape [S]
        Steps of each, and how long it was watched.
    label : ndarray of int32, shape [S]
        Kind of each.
    """

    def __init__(self, count: Floats, hours: Floats, label: NDArray[np.int32]) -> None:
        self._count, self._hours, self._label = count, hours, label
        self._kinds: dict[int, tuple[NDArray[Any], Floats]] = {}

    def without(self, s: int) -> Cohort | None:
        """Return what the other parts of its kind show: the mean rate, and how much healthy rates differ beyond chance; None where they are too few.

        Examples
        --------
        >>> of = Cohorts(np.array([1.0, 0, 1, 0, 2, 90]), np.full(6, 10.0), np.zeros(6, np.int32))
        >>> round(of.without(5).rate, 2), round(of.without(0).rate, 2), Cohorts(np.ones(4), np.ones(4), np.zeros(4, np.int32)).without(0)
        (0.09, 1.87, None)
        """
        place, sums = self._kind(int(self._label[s]))
        mine = int(place[s])
        others = sums.shape[1] - 1 - (mine >= 0)
        if others < LEAST:
            return None
        healthy = math.ceil(HEALTHY * others)
        n, hours, squares, both, square_hours = (
            sums[:, healthy] if mine < 0 or mine >= healthy else sums[:, healthy + 1] - _terms(self._count[s], self._hours[s])
        )
        rate = (n + 0.5) / hours
        chance = rate * rate * square_hours
        beyond = squares - 2 * rate * both + chance - rate * hours
        return Cohort(float(rate), max(float(beyond) / max(float(chance), 1e-30), 0.5))

    def _kind(self, kind: int) -> tuple[NDArray[Any], Floats]:
        """Return the place of each part among those of a kind that were watched, who spends least first [S], and the sums over the first so many [5, n + 1]."""
        if kind not in self._kinds:
            who = np.flatnonzero((self._label == kind) & (self._hours > 0))
            who = who[np.argsort(self._count[who] / self._hours[who], kind="stable")]
            place = np.full(len(self._count), -1)
            place[who] = np.arange(len(who))
            self._kinds[kind] = place, np.pad(np.cumsum(_terms(self._count[who], self._hours[who]), axis=1), ((0, 0), (1, 0)))
        return self._kinds[kind]


def _terms(n: Any, hours: Any) -> Any:
    return np.array([n, hours, n * n, n * hours, hours * hours])
