"""Leastspread: what a tick's values are before they are compared, and below which spread no difference means anything; rules as in `kernels`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from grayscope.medians import CROWD, SIGMA, F


@njit("void(float32[:,::1], boolean[::1], int32[:,::1], float32[:,::1])", cache=True, error_model="numpy")
def per_tick(values: Any, counter: Any, missed: Any, out: Any) -> None:  # pragma: no cover - compiled
    """Spread what a counter gained over the ticks in which the subject was not heard: a pause is no burst.

    Parameters
    ----------
    values, out : [M, S]
    counter : [M]
    missed : [M, S], in and out
        Ticks since the cell was last reported.
    """
    for m in range(values.shape[0]):
        gained = counter[m]
        for s in range(values.shape[1]):
            v, before = values[m, s], missed[m, s]
            out[m, s] = v / F(before + 1) if gained and before > 0 else v
            missed[m, s] = 0 if np.isfinite(v) else before + 1


@njit(
    "void(float32[:,::1], float32[:,::1], int32[:,::1], boolean[::1], float32[::1], int32[::1], int32[::1], float32[:,::1], float32[::1])",
    cache=True,
)
def least(
    centre: Any, spread: Any, count: Any, linear: Any, grain: Any, layout: Any, groups: Any, floor: Any, pooled: Any
) -> None:  # pragma: no cover - compiled
    """Return the least spread of every group, half a percent or the grain, and the mean spread of those that are large enough to have one.

    Parameters
    ----------
    centre, spread, count : [M, G]
        Medians, median absolute deviations, and members that reported.
    linear, grain : [M]
        Whether half a percent means something on the metric's scale, and the least of all.
    layout, groups : [M], [L]
        Which layout a metric has, how many groups that has.
    floor, pooled : [M, G], [M], out
    """
    for m in range(centre.shape[0]):
        total, full = 0.0, 0
        for g in range(groups[layout[m]]):
            floor[m, g] = max(abs(centre[m, g]) * F(0.005), grain[m]) if linear[m] else grain[m]
            if count[m, g] >= CROWD:
                total += np.float64(spread[m, g])
                full += 1
        pooled[m] = F(total / max(full, 1) * np.float64(SIGMA))
