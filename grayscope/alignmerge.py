"""Align merge: rows of one tick become one row; repeats are settled without regard to their order."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


class Merging:
    """Merge rows of one tick, oldest first: gauges replace, increments add, rows with equal stamps are one row.

    Of equal stamps the larger value counts, so that the order of arrival does not.

    Parameters
    ----------
    values : ndarray of float32, shape [M, S]
        All NaN; filled in place.
    """

    def __init__(self, values: NDArray[np.float32]) -> None:
        self.values = values
        self.stamp = np.full(values.shape, np.iinfo(np.int64).min, np.int64)
        self.row = np.full(values.shape, np.nan, np.float32)  # the youngest row alone
        self.before = np.full(values.shape, np.nan, np.float32)  # all rows before it
        self.touched = np.zeros(values.shape[1], bool)

    def add(self, time: int, cells: tuple[Any, Any], adds: NDArray[np.bool_], new: NDArray[np.float32]) -> tuple[int, int, bool]:
        """Add one part and return how many rows came again, how many of them differ, and whether one followed another."""
        if not self.touched[cells[1]].any():  # the usual case: every part brings subjects of its own
            self.touched[cells[1]] = True
            self.values[cells] = self.row[cells] = new
            self.stamp[cells] = time
            return 0, 0, False
        self.touched[cells[1]] = True
        old, row = self.values[cells], self.row[cells]
        came = np.isfinite(new)
        again = came & (self.stamp[cells] == time) & np.isfinite(row)
        after = came & ~again & np.isfinite(old)
        before = np.where(after, old, self.before[cells])
        latest = np.where(again, np.fmax(row, new), np.where(came, new, row))
        other = again & (row != new)  # before `row`, which may be a view, is written
        adds = adds.reshape(-1, 1)
        self.values[cells] = np.where(came, np.where(adds & np.isfinite(before), before + latest, latest), old)
        self.stamp[cells] = np.where(came, time, self.stamp[cells])
        self.row[cells], self.before[cells] = latest, before
        return int(again.any(axis=0).sum()), int(other.any(axis=0).sum()), bool(after.any())
