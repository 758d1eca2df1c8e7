"""Kernels: exact medians and distances over dense matrices, compiled once with fixed signatures.

No fastmath and no reordering of sums, so the same rows give the same bits on every machine. All scalars that touch
float32 data are float32 themselves: a silent widening would compare rounded numbers with unrounded ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

F = np.float32
LINEAR, LOG, COUNT = 0, 1, 2
#: Robust sigma from the median absolute deviation of normal data.
SIGMA = F(1.4826)
#: Loads that are learned from: so many of their usual sizes about their usual middle.
REACH = F(3.0)
#: Sums per group that teach about load (`grayscope.loads.moments`).
SUMS = 16


@njit("float32(int32)", cache=True)
def _log(bits: Any) -> Any:  # pragma: no cover - compiled
    """Natural logarithm of a positive float32 given as its bits; own series, so that no libm decides the last bit."""
    exponent = (bits >> np.int32(23)) - np.int32(127)
    m = F(1.0) + F(bits & np.int32(0x7FFFFF)) * F(1.1920929e-07)
    if m > F(1.4142135):
        m = m * F(0.5)
        exponent = exponent + np.int32(1)
    s = (m - F(1.0)) / (m + F(1.0))
    q = s * s
    series = F(1.0) + q * (F(0.33333334) + q * (F(0.2) + q * (F(0.14285715) + q * F(0.11111111))))
    return F(exponent) * F(0.6931472) + F(2.0) * s * series


@njit("float32(float32[::1], int64, int64)", cache=True)
def _select(x: Any, n: Any, k: Any) -> Any:  # pragma: no cover - compiled
    """Return the k-th smallest of x[:n] (from 0); afterwards everything right of k is at least as large."""
    left, right = 0, n - 1
    while left < right:
        middle = (left + right) >> 1
        a, b, c = x[left], x[middle], x[right]
        pivot = max(min(a, b), min(max(a, b), c))
        i, j = left, right
        while i <= j:
            while x[i] < pivot:
                i += 1
            while x[j] > pivot:
                j -= 1
            if i <= j:
                x[i], x[j] = x[j], x[i]
                i += 1
                j -= 1
        if k <= j:
            right = j
        elif k >= i:
            left = i
        else:
            break
    return x[k]


@njit("float32(float32[::1], int64, float32, float32, float32[::1])", cache=True)
def median_near(x: Any, n: Any, guess: Any, width: Any, scratch: Any) -> Any:  # pragma: no cover - compiled
    """Return the exact midpoint median of x[:n]; a good guess (last tick's) makes it cheap, a bad one only slower.

    One branch-free pass keeps what lies within ``guess +- width``; the order statistic is searched among those.
    `scratch` holds at least n + 1 values.
    """
    low, high = (n - 1) // 2, n // 2
    skipped, kept = 0, 0
    if n > 24 and width > F(0.0):
        bottom, top = guess - width, guess + width
        for i in range(n):
            v = x[i]
            skipped += v < bottom
            scratch[kept] = v
            kept += (v >= bottom) & (v <= top)
    if not (skipped <= low and high < skipped + kept):
        skipped, kept = 0, n
        for i in range(n):
            scratch[i] = x[i]
    a = _select(scratch, kept, low - skipped)
    if high == low:
        return a
    b = scratch[high - skipped]
    for i in range(high - skipped + 1, kept):
        b = min(b, scratch[i])
    return (a + b) * F(0.5)


@njit("float32(float32[::1], float32)", cache=True)
def _curve(c: Any, u: Any) -> Any:  # pragma: no cover - compiled
    """Return c0 u + c1 u**2 + c2 u**3; beyond `REACH`, where nothing was learned, it goes straight on."""
    k = min(max(u, -REACH), REACH)
    return ((c[2] * k + c[1]) * k + c[0]) * k + ((F(3.0) * c[2] * k + F(2.0) * c[1]) * k + c[0]) * (u - k)


@njit(
    "float32(float32[:,::1], int32[:,::1], int8[::1], int64, float32[::1], float32[::1], float32[::1], int32[::1], int64,"
    " float32[::1], float32[::1], float32[::1], float32[::1], float64[::1])",
    cache=True,
)
def _unload(
    values: Any, bits: Any, kind: Any, row: Any, unit: Any, curve: Any, x: Any, who: Any, n: Any,
    u: Any, f: Any, d: Any, scratch: Any, sums: Any,
) -> Any:  # fmt: skip  # pragma: no cover - compiled
    """Take the part that the load explains out of x[:n] and return the peers' median load.

    Leaves each member's load in u[:n] (in `unit`, NaN if unknown) and what it explains, beside the median load, in f[:n].
    """
    known = 0
    for i in range(n):
        s = who[i]
        v = values[row, s]
        if kind[row] == LOG:
            v = _log(bits[row, s]) if F(1e-30) < v < F(np.inf) else F(np.nan)
        u[i] = (v - unit[0]) * unit[1] if np.isfinite(v) else F(np.nan)
        if np.isfinite(u[i]):
            d[known] = u[i]
            known += 1
            v = min(max(u[i], -unit[2]), unit[2])
            sums[0] += 1.0
            sums[1] += np.float64(v)
            sums[2] += np.float64(v) * np.float64(v)
    if known == 0:
        for i in range(n):
            f[i] = F(0.0)
        return F(0.0)
    mid = median_near(d, known, F(0.0), F(0.0), scratch)
    usual = _curve(curve, mid)
    for i in range(n):
        f[i] = _curve(curve, u[i]) - usual if np.isfinite(u[i]) else F(0.0)
        x[i] -= f[i]
    return mid


@njit(
    "void(float32[::1], float32[::1], float32[::1], int32[::1], int64, float32, float32, float32, boolean[::1], float64[::1], float64[::1])",
    cache=True,
)
def _teach(
    x: Any, u: Any, f: Any, who: Any, n: Any, mid: Any, edge: Any, usual: Any, doubted: Any, power: Any, sums: Any
) -> None:  # pragma: no cover - compiled
    """Sum what one group teaches about load: products of the powers of load with each other and with the metric, about their means.

    What departs from the curve by more than `edge` pulls no harder than `edge` (Huber's weights); what is doubted or beyond
    `REACH` does not count. `power` holds weighted sums of the load's powers 1 to 6, then of the metric and its products with
    powers 1 to 3 and itself.
    """
    power[:] = 0.0
    weight, count = 0.0, 0.0
    for i in range(n):
        if doubted[who[i]] or not (abs(u[i]) <= REACH):
            continue
        e = x[i] - mid
        w = np.float64(edge / abs(e)) if abs(e) > edge else 1.0
        y, v = np.float64(e + f[i]), np.float64(u[i])
        count += 1.0
        weight += w
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


@njit(
    "void(float32[:,::1], int32[:,::1], int8[::1], int8[::1], int32[::1], float32[:,::1], float32[:,:,::1], int32[::1], int32[:,::1], int32[:,::1],"
    " int32[::1], boolean[::1], float32[:,::1], float32[:,::1], float32[:,::1], int32[:,::1], float64[:,:,::1])",
    cache=True,
)
def compare(
    values: Any, bits: Any, kind: Any, sign: Any, load: Any, unit: Any, curve: Any, layout: Any, order: Any, starts: Any, groups: Any,
    doubted: Any, residual: Any, centre: Any, spread: Any, count: Any, sums: Any,
) -> None:  # fmt: skip  # pragma: no cover - compiled
    """Compare every cell with the median of its role-matched peers.

    Parameters
    ----------
    values, bits : [M, S]
        The tick, and the same memory as int32.
    kind, sign, load, layout : [M]
        Scale of each metric (LINEAR, LOG, COUNT), direction of worse (+1, -1, 0 = not judged), row of its load or -1,
        row of its peer layout.
    unit : [R, 4]
        Origin, inverse size and bound of the (scaled) load, least spread of the metric; for the R metrics that have a load, in
        their order.
    curve : [R, G, 3]
        What the load explains of the (scaled) metric: coefficients of load, its square and its cube.
    order, starts, groups : [L, S], [L, G + 1], [L]
        Subjects sorted by group, where each group begins, how many groups.
    doubted : [S]
        Subjects that nothing is learned from.
    residual : [M, S], out
        Distance from the peers' median on the metric's scale; larger is worse; NaN where not reported or not judged.
    centre, spread : [M, G], in and out
        Median and median absolute deviation per group; last tick's values are the first guess.
    count : [M, G], out
        Members that reported.
    sums : [R, G, 16], in zeros, out
        What this tick teaches about the load, in the order of `grayscope.loads.moments`.
    """
    n_subjects = values.shape[1]
    x = np.empty(n_subjects, np.float32)
    u = np.empty(n_subjects, np.float32)
    d = np.empty(n_subjects, np.float32)
    who = np.empty(n_subjects, np.int32)
    f = np.empty(n_subjects, np.float32)
    scratch = np.empty(n_subjects + 1, np.float32)
    power = np.empty(11, np.float64)
    nan = F(np.nan)
    usual = F(0.0)
    r = -1
    for m in range(values.shape[0]):
        if load[m] >= 0:
            r += 1
        if sign[m] == 0:
            for s in range(n_subjects):
                residual[m, s] = nan
            continue
        k, direction, by = kind[m], F(sign[m]), layout[m]
        for g in range(groups[by]):
            n = 0
            for i in range(starts[by, g], starts[by, g + 1]):
                s = order[by, i]
                v = values[m, s]
                residual[m, s] = nan
                if k == LOG:
                    if not (F(1e-30) < v < F(np.inf)):
                        continue
                    v = _log(bits[m, s])
                elif k == COUNT:
                    if not (F(0.0) <= v < F(np.inf)):
                        continue
                    v = F(2.0) * np.sqrt(v + F(0.375))
                elif not np.isfinite(v):
                    continue
                x[n] = v
                who[n] = s
                n += 1
            count[m, g] = n
            if n < 4:  # three are no crowd
                continue
            if load[m] >= 0:
                usual = _unload(values, bits, kind, load[m], unit[r], curve[r, g], x, who, n, u, f, d, scratch, sums[r, g])
            width = F(0.5) * spread[m, g]
            mid = median_near(x, n, centre[m, g], width, scratch)
            for i in range(n):
                d[i] = abs(x[i] - mid)
            mad = median_near(d, n, spread[m, g], F(0.3) * spread[m, g], scratch)
            centre[m, g] = mid
            spread[m, g] = mad
            if k == COUNT and mid < F(1.2248):
                continue  # most of the peers counted nothing: a distance from zero has no scale
            for i in range(n):
                residual[m, who[i]] = direction * (x[i] - mid)
            if load[m] >= 0:
                _teach(x, u, f, who, n, mid, F(3.0) * max(SIGMA * mad, unit[r, 3]), usual, doubted, power, sums[r, g])


@njit(
    "void(float32[:,::1], float32[:,::1], int32[::1], int32[:,::1], int32[:,::1], int32[::1], int8[::1], float32[:,::1], float32[::1], boolean[::1],"
    " float32[:,::1], float32[:,::1], float32[:,::1], int32[:,::1], float32[:,::1], int64)",
    cache=True,
)
def remember(
    residual: Any, spread: Any, layout: Any, order: Any, starts: Any, groups: Any, sign: Any, floor: Any, pooled: Any, doubted: Any,
    scale: Any, noise: Any, base: Any, age: Any, past: Any, horizon: Any,
) -> None:  # fmt: skip  # pragma: no cover - compiled
    """Follow the usual spread of each cell's group, each cell's own offset and noise; write its distance from that offset.

    `scale`, `noise`, `base` and `age` [M, S] are memory. The offset is a running mean of clipped residuals over
    `horizon` ticks and stands still for what is doubted; `past` is NaN until it has been learned from 64 ticks, and shrunk
    while it is young, for noise that lasts makes a young offset a poor guess. Peers
    come and go, and with them the median that residuals are measured from: what the settled members of a group have
    in common beside their offsets is that median's doing and taken away. `floor` [M, G] and `pooled` [M] bound the
    spread from below; `noise` is the spread that is left when the offsets are gone.
    """
    n_subjects = residual.shape[1]
    d = np.empty(n_subjects, np.float32)
    scratch = np.empty(n_subjects + 1, np.float32)
    for m in range(residual.shape[0]):
        if sign[m] == 0:
            for s in range(n_subjects):
                past[m, s] = F(np.nan)
            continue
        by = layout[m]
        least = F(0.3) * pooled[m]
        for g in range(groups[by]):
            n = 0
            for i in range(starts[by, g], starts[by, g + 1]):
                s = order[by, i]
                if age[m, s] >= 64 and np.isfinite(residual[m, s]) and not doubted[s]:
                    d[n] = residual[m, s] - base[m, s]
                    n += 1
            common, own = F(0.0), F(-1.0)
            if n >= 4:
                width = F(0.5) * noise[m, order[by, starts[by, g]]]
                common = median_near(d, n, F(0.0), width, scratch)
                for i in range(n):
                    d[i] = abs(d[i] - common)
                own = SIGMA * median_near(d, n, F(0.0), F(0.0), scratch)
            now = max(max(SIGMA * spread[m, g], least), floor[m, g])
            own = max(own, floor[m, g]) if own >= F(0.0) else now
            for i in range(starts[by, g], starts[by, g + 1]):
                s = order[by, i]
                r = residual[m, s]
                if not np.isfinite(r):
                    past[m, s] = F(np.nan)
                    continue
                seen = age[m, s]
                if seen == 0:
                    scale[m, s] = now
                else:
                    scale[m, s] += (now - scale[m, s]) * max(F(1.0) / F(seen + 1), F(0.03125))
                noise[m, s] = own if seen <= 64 else noise[m, s] + (own - noise[m, s]) * F(0.03125)
                offset = base[m, s]
                r -= common
                past[m, s] = (r - offset) / np.sqrt(F(1.0) + F(128.0) / F(seen)) if seen >= 64 else F(np.nan)
                if not doubted[s]:
                    edge = F(3.0) * scale[m, s]
                    step = r - offset if seen < 16 else min(max(r - offset, -edge), edge)
                    base[m, s] = offset + step / F(min(seen + 1, horizon))
                    age[m, s] = seen + 1
                elif seen == 0:
                    age[m, s] = 1
