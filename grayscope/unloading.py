"""Unloading: what the load explains of one peer group at one tick, and what the group teaches about it (compiled)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from grayscope.medians import SIGMA, F, logarithm, median_near

#: Loads further than so many of their usual sizes from their usual middle are taken to be just there, in learning and in use.
REACH = F(8.0)
#: Sums per group that teach about load (`grayscope.loadcurves.moments`).
SUMS = 16


@njit("float32(float32[::1], float32)", cache=True)
def _curve(c: Any, u: Any) -> Any:  # pragma: no cover - compiled
    """Return c0 u + c1 u**2 + c2 u**3."""
    return ((c[2] * u + c[1]) * u + c[0]) * u


@njit("void(float32[::1], int64, float32, float32[::1], float64[::1])", cache=True)
def _begin(d: Any, n: Any, mid: Any, scratch: Any, sums: Any) -> None:  # pragma: no cover - compiled
    """Take the very first loads by median and median absolute deviation: they have no bound, and one mad reading must not set the unit."""
    for i in range(n):
        d[i] = abs(d[i] - mid)
    size = np.float64(SIGMA * median_near(d, n, F(0.0), F(0.0), scratch))
    sums[1] = n * np.float64(mid)
    sums[2] = n * (np.float64(mid) * np.float64(mid) + size * size)


@njit(
    "float32(float32[:,::1], int32[:,::1], boolean, int64, float32[::1], float32[::1], float32[::1], int32[::1], int64,"
    " float32[::1], float32[::1], float32[::1], float32[::1], float64[::1])",
    cache=True,
)
def unload(
    values: Any, bits: Any, log: Any, row: Any, unit: Any, curve: Any, x: Any, who: Any, n: Any,
    u: Any, f: Any, d: Any, scratch: Any, sums: Any,
) -> Any:  # fmt: skip  # pragma: no cover - compiled
    """Take the part that the load explains out of x[:n] and return the peers' median load.

    Leaves each member's load in u[:n] (in `unit`, NaN if unknown) and what it explains, beside the median load, in f[:n].
    """
    known = 0
    for i in range(n):
        s = who[i]
        v = values[row, s]
        if log:
            v = logarithm(bits[row, s]) if F(1e-30) < v < F(np.inf) else F(np.nan)
        u[i] = F(np.nan)
        if np.isfinite(v):
            v = min(max((v - unit[0]) * unit[1], -unit[2]), unit[2])
            sums[1] += np.float64(v)
            sums[2] += np.float64(v) * np.float64(v)
            if unit[2] < F(np.inf):
                v = min(max(v, -REACH), REACH)
            u[i] = v
            d[known] = v
            known += 1
    sums[0] = known
    if known == 0:
        for i in range(n):
            f[i] = F(0.0)
        return F(0.0)
    mid = median_near(d, known, F(0.0), F(0.0), scratch)
    if unit[2] == F(np.inf):
        _begin(d, known, mid, scratch, sums)
    usual = _curve(curve, mid)
    for i in range(n):
        f[i] = _curve(curve, u[i]) - usual if np.isfinite(u[i]) else F(0.0)
        x[i] -= f[i]
    return mid


@njit(
    "void(float32[::1], float32[::1], float32[::1], int32[::1], int64, float32, float32, float32, boolean[::1], float64[::1], float64[::1],"
    " float32[::1], float32[::1])",
    cache=True,
)
def teach(
    x: Any, u: Any, f: Any, who: Any, n: Any, mid: Any, edge: Any, usual: Any, doubted: Any, power: Any, sums: Any, product: Any, square: Any
) -> None:  # pragma: no cover - compiled
    """Sum what one group teaches about load: products of the powers of load with each other and with the metric, about their means.

    What departs from the curve by more than `edge` pulls no harder than `edge` (Huber's weights); what is doubted, has no
    known load or no unit for it yet does not count. `power` holds weighted sums of the load's powers 1 to 6, then of the metric and its products with
    powers 1 to 3 and itself.
    """
    power[:] = 0.0
    weight, count, left = 0.0, 0.0, 0.0
    for i in range(n):
        if doubted[who[i]] or not (abs(u[i]) <= REACH):
            continue
        e = x[i] - mid
        w = np.float64(edge / abs(e)) if abs(e) > edge else 1.0
        y, v = np.float64(e + f[i]), np.float64(u[i])
        count += 1.0
        weight += w
        left += w * np.float64(e)
        p = w
        for k in range(6):
            p *= v
            power[k] += p
            if k < 3:
                power[7 + k] += p * y
        power[6] += w * y
        power[10] += w * y * y
        p = w * np.float64(u[i] - usual) * np.float64(u[i] - usual)
        sums[4] += p
        sums[5] += p * p
    if weight <= 0.0:
        return
    sums[3] = count
    at = 6
    for i in range(3):
        for j in range(i, 3):
            sums[at] = power[i + j + 1] - power[i] * power[j] / weight
            at += 1
        sums[12 + i] = power[7 + i] - power[i] * power[6] / weight
    sums[15] = power[10] - power[6] * power[6] / weight
    for i in range(n):  # what each part tells for itself
        s = who[i]
        if doubted[s] or not (abs(u[i]) <= REACH):
            continue
        e = x[i] - mid
        w = np.float64(edge / abs(e)) if abs(e) > edge else 1.0
        v = np.float64(u[i]) - power[0] / weight
        product[s] += F(w * v * (np.float64(e) - left / weight))
        square[s] += F(w * v * v)
