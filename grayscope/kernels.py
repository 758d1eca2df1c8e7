"""Kernels: distances from peers and from the own past over dense matrices, compiled once with fixed signatures.

No fastmath and no reordering of sums, so the same rows give the same bits on every machine. All scalars that touch
float32 data are float32 themselves: a silent widening would compare rounded numbers with unrounded ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from grayscope.medians import SIGMA, F, logarithm, median_near
from grayscope.unloading import teach, unload

__all__ = ["COUNT", "LINEAR", "LOG", "SIGMA", "F", "compare", "median_near", "remember"]

LINEAR, LOG, COUNT = 0, 1, 2
#: Reports from which on what is doubted teaches its own past no more.
SETTLED = 128


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
                    v = logarithm(bits[m, s])
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
                usual = unload(values, bits, kind[load[m]] == LOG, load[m], unit[r], curve[r, g], x, who, n, u, f, d, scratch, sums[r, g])
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
                teach(x, u, f, who, n, mid, F(3.0) * max(SIGMA * mad, unit[r, 3]), usual, doubted, power, sums[r, g])


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
    `horizon` ticks and stands still for what is doubted, once it is settled: who has no past cannot become worse; `past` is
    NaN until it has been learned from 64 ticks, and shrunk while it is young, for noise that lasts makes a young offset a
    poor guess. Peers
    come and go, and with them the median that residuals are measured from: what the settled members of a group have
    in common beside their offsets is that median's doing and taken away. `floor` [M, G] and `pooled` [M] bound the
    spread from below, `pooled` the more the fewer peers there are; `noise` is the spread that is left when the offsets are gone.
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
        for g in range(groups[by]):
            n, peers = 0, 0
            for i in range(starts[by, g], starts[by, g + 1]):
                s = order[by, i]
                peers += np.isfinite(residual[m, s])
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
            least = pooled[m] * max(F(0.3), F(8.0) / (F(8.0) + F(peers)))
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
                if not doubted[s] or seen < SETTLED:
                    edge = F(3.0) * scale[m, s]
                    step = r - offset if seen < 16 else min(max(r - offset, -edge), edge)
                    base[m, s] = offset + step / F(min(seen + 1, horizon))
                    age[m, s] = seen + 1
