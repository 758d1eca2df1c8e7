"""Ecdf: each member's samples as a distribution, a criterion learned from the most typical member, and who is worse than 95 % like it.

Source: the Validator of SuperBench (Microsoft, USENIX ATC 2024): similarity of two empirical distributions = 1 - area between them / scale;
the medoid of all samples, without those less than alpha = 0.95 similar to it, repeated until stable, is the criterion; a node whose one-
sided similarity to it (only the worse side counts) is below alpha is defective. Not the original: that runs benchmarks on nodes taken out
of service and keeps the criterion; here ten minutes of production telemetry per peer group stand for a benchmark run and each window has
its own criterion. Choices of ours, where the account is open: the scale is the largest value of either sample (the joint support from zero
on), so 0.95 means 5 %; 20 quantiles stand for the curve; the medoid is the member nearest to the pooled curve rather than of all pairs. The
Selector is left out. Compared are times, rates and widths, within one job and role. Blind by design: less than 5 %, what comes and goes
within ten minutes, what all members share.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from grayscope.columns import Columns, Field, Memory
from grayscope.evidence import NOTHING, Evidence
from grayscope.grouped import cells, highest, medians, quantiles
from grayscope.rivals import CROWD, Rows, alarms, follow, groups, keep, measures, slots
from grayscope.standing import Standing
from grayscope.tick import Tick
from grayscope.wording import number

Floats = NDArray[np.float32]
Labels = NDArray[np.int32]
#: Seconds of a window, samples kept of it at most; assumed.
WINDOW, MOST = 600, 60
#: Points of a curve, and rounds in which members are dropped from the criterion at most.
POINTS = tuple((i + 0.5) / 20 for i in range(20))
ROUNDS = 10


class Ecdf:
    """Compare the distribution of every cell's last window with its group's criterion.

    Parameters
    ----------
    false_pages : float
        Unused: the method knows no rate of false alarms.
    alpha : float
        Least similarity.
    """

    rival: ClassVar[bool] = True

    def __init__(self, *, false_pages: float = 1.0, alpha: float = 0.95) -> None:
        del false_pages
        self.alpha = np.float32(alpha)
        blank = Field(np.float32, np.nan)
        self.memory = Memory({"recent": Field(np.float32, np.nan, (MOST,)), "similar": blank, "value": blank, "expected": blank})

    def step(self, tick: Tick, standing: Standing) -> Evidence:
        """Return whoever failed the criterion of the last full window."""
        rows = measures(standing)
        if not len(rows):
            return NOTHING
        columns = follow(self.memory, tick, standing)
        size, stride = slots(WINDOW, tick.period, MOST)
        if keep(columns, "recent", tick.values, size, stride):
            self._validate(tick, standing, columns, rows, size)
        a = columns.arrays
        similar = a["similar"][rows]

        def told(k: int, s: int) -> tuple[float, float, str]:
            metric = standing.metrics[rows[k]]
            unit = metric.unit if metric else ""
            value, expected = float(a["value"][rows[k], s]), float(a["expected"][rows[k], s])
            return (
                value,
                expected,
                f"similarity {similar[k, s]:.3f} below {self.alpha:g}: {number(value, unit)} beside {number(expected, unit)} of the criterion",
            )

        return alarms("ecdf", tick, standing, rows, similar < self.alpha, told)

    def _validate(self, tick: Tick, standing: Standing, columns: Columns, rows: Rows, size: int) -> None:
        a = columns.arrays
        label, n = groups(tick, standing, rows)
        window = a["recent"][:size, rows]
        enough = 2 * np.isfinite(window).sum(axis=0) >= size
        curves = np.where(enough, quantiles(window, POINTS), np.float32(np.nan))
        there = np.isfinite(curves[0])
        crowd = cells(_counts(there, label, n), label) >= CROWD
        criterion = cells_of(self._criterion(curves, label, n), label)
        worse = np.maximum((curves - criterion) * standing.sign[rows][:, None], 0)
        a["similar"][rows] = np.where(crowd, _similarity(worse, curves, criterion), np.float32(np.nan))
        a["value"][rows], a["expected"][rows] = curves[len(POINTS) // 2], criterion[len(POINTS) // 2]

    def _criterion(self, curves: Floats, label: Labels, n: int) -> Floats:
        """Return the curve [P, K, G] of each group's medoid among those that are like it."""
        points, rows, subjects = curves.shape
        alive = np.isfinite(curves[0])
        many = np.tile(label, (points, 1))
        for _ in range(ROUNDS):
            pooled = medians(np.where(alive, curves, np.float32(np.nan)).reshape(-1, subjects), many, n)[0].reshape(points, rows, n)
            centre = cells_of(pooled, label)
            like = np.where(alive, _similarity(np.abs(curves - centre), curves, centre), np.float32(np.nan))
            medoid = _first_at(like, highest(like, label, n), label, n)
            curve = np.take_along_axis(curves, np.minimum(medoid, subjects - 1)[None], axis=2)
            curve = np.where((medoid < subjects)[None], curve, np.float32(np.nan))
            own = cells_of(curve, label)
            keeping = alive & (_similarity(np.abs(curves - own), curves, own) >= self.alpha)
            if (keeping == alive).all():
                break
            alive = keeping
        return curve

    def snapshot(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return the whole state."""
        return self.memory.snapshot()

    def restore(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Become what `snapshot` returned."""
        self.memory.restore(state)


def cells_of(curves: Floats, label: Labels) -> Floats:
    """Return for each cell [P, K, S] the curve of its group [P, K, G]."""
    return np.take_along_axis(curves, label[None], axis=2)


def _similarity(apart: Floats, one: Floats, other: Floats) -> Floats:
    """Return 1 - area / scale; NaN where nothing is larger than zero."""
    scale = np.maximum(one[-1], other[-1])
    return np.where(scale > 0, 1 - apart.mean(axis=0) / np.where(scale > 0, scale, 1), np.float32(np.nan)).astype(np.float32)


def _counts(there: NDArray[np.bool_], label: Labels, n: int) -> NDArray[np.int32]:
    return medians(np.where(there, np.float32(1), np.float32(np.nan)), label, n)[1]


def _first_at(like: Floats, best: Floats, label: Labels, n: int) -> NDArray[np.intp]:
    """Return the first member [K, G] that reaches its group's best; the number of subjects where nobody does."""
    rows, subjects = like.shape
    found = np.full((rows, n), subjects, np.intp)
    reached = like == cells(best, label)
    np.minimum.at(found, (np.arange(rows)[:, None], label), np.where(reached, np.arange(subjects), subjects))
    return found
