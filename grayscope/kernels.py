"""Kernels: distances from peers and from the own past over dense matrices, compiled once with fixed signatures.

No fastmath and no reordering of sums, so the same rows give the same bits on every machine. All scalars that touch
float32 data are float32 themselves: a silent widening would compare rounded numbers with unrounded ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from grayscope.medians import CROWD, SIGMA, F, logarithm, median_near, middle, nearby
from grayscope.unloading import SUMS, teach, unload

__all__ = ["COUNT", "LINEAR", "LOG", "SIGMA", "F", "compare", "median_near", "remember"]

LINEAR, LOG, COUNT = 0, 1, 2
#: Reports from which on what is doubted teaches its own past no more.
SETTLED = 128


@njit("void(boolean[::1], float32[::1], int32[::1], int64, float32[::1], int32[::1])", cache=True)
def _leave_out(doubted: Any, x: Any, who: Any, n: Any, sound: Any, whose: Any) -> None:  # pragma: no cover - compiled
    """Write those of x[:n], and of who[:n] they belong to, that are not doubted to the front of `sound` and `whose`."""
    k = 0
    for i in range(n):
        sound[k], whose[k] = x[i], who[i]
        k += not doubted[who[i]]


@njit(
    "void(float32[:,::1], int32[:,::1], int8[::1], int8[::1], int32[::1], float32[:,::1], float32[:,:,::1], int32[::1], int32[:,::1], int32[:,::1],"
    " int32[::1], int32[:,::1], boolean[::1], float32[:,::1], float32[:,::1], float32[:,::1], float32[:,::1], int32[:,::1],"
    " float64[:,:,::1], float32[:,:,::1])",
    cache=True,
)
def compare(
    values: Any, bits: Any, kind: Any, sign: Any, load: Any, unit: Any, curve: Any, layout: Any, order: Any, starts: Any, groups: Any, seat: Any,
    doubted: Any, scale: Any, residual: Any, centre: Any, spread: Any, count: Any, sums: Any, told: Any,
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
    curve : [R, C, 3]
        What the load explains of the (scaled) metric: coefficients of load, its square and its cube.
    order, starts, groups : [L, S], [L, G + 1], [L]
        Subjects sorted by group, where each group begins, how many groups.
    seat : [R, G]
        Row of each group's curve, and of what it teaches.
    doubted : [S]
        Subjects that nothing is learned from, and that are no measure for others as long as a quarter of the group is left.
    scale : [M, S]
        Usual spread of each cell's group, 0 where nothing is known yet.
    residual : [M, S], out
        Distance from the peers' median on the metric's scale; larger is worse; NaN where not reported or not judged.
    centre, spread : [M, G], in and out
        Median and median absolute deviation per group; last tick's values are the first guess.
    count : [M, G], out
        Members that reported.
    sums : [R, C, 16], in zeros, out
        What this tick teaches about the load, in the order of `grayscope.loadcurves.moments`.
    told : [2, R, S], in and out
        What each part has told about it, see `grayscope.loadcurves.chance`; this tick's is added.
    """
    n_subjects = values.shape[1]
    x = np.empty(n_subjects, np.float32)
    u = np.empty(n_subjects, np.float32)
    d = np.empty(n_subjects, np.float32)
    who = np.empty(n_subjects, np.int32)
    sound, whose = np.empty(n_subjects, np.float32), np.empty(n_subjects, np.int32)
    f = np.empty(n_subjects, np.float32)
    scratch = np.empty(n_subjects + 1, np.float32)
    power, taught = np.empty(11, np.float64), np.empty(SUMS, np.float64)
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
            n, trusted = 0, 0  # read here: in a function of its own each group costs a call, twice the time of all where groups have two members
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
                trusted += not doubted[s]
                n += 1
            count[m, g] = n
            if n < CROWD:
                continue
            if load[m] >= 0:
                taught[:] = 0.0
                usual = unload(values, bits, kind[load[m]] == LOG, load[m], unit[r], curve[r, seat[r, g]], x, who, n, u, f, d, scratch, taught)
            if CROWD <= trusted < n <= 4 * trusted:
                _leave_out(doubted, x, who, n, sound, whose)
                mid, mad = middle(sound, trusted, centre[m, g], spread[m, g], direction, scale[m], whose, d, scratch)
            else:
                mid, mad = middle(x, n, centre[m, g], spread[m, g], direction, scale[m], who, d, scratch)
            centre[m, g] = mid
            spread[m, g] = mad
            if k != COUNT or mid >= F(1.2248):  # else most of the peers counted nothing: a distance from zero has no scale
                for i in range(n):
                    residual[m, who[i]] = direction * (x[i] - mid)
                if load[m] >= 0:
                    teach(x, u, f, who, n, mid, F(3.0) * max(SIGMA * mad, unit[r, 3]), usual, doubted, power, taught, told[0, r], told[1, r])
            if load[m] >= 0:
                sums[r, seat[r, g]] += taught


@njit(
    "void(float32[::1], float32[::1], float32[::1], float32[::1], boolean[::1], float32[::1], float32[::1], float32[::1], int32[::1], float32[::1], int32)",
    cache=True,
    error_model="numpy",
)
def _learn(
    residual: Any, common: Any, wide: Any, own: Any, doubted: Any, scale: Any, noise: Any, base: Any, age: Any, past: Any, horizon: Any
) -> None:  # pragma: no cover - compiled
    """Take one row of residuals into the memory of its cells, without branches, so that it becomes vector code.

    `common`, `wide` and `own` [S] are of the group of each subject: what its settled members share, its spread now, and its noise now.
    """
    for s in range(len(residual)):
        seen, offset, before, hum = age[s], base[s], scale[s], noise[s]
        there = np.isfinite(residual[s])
        trusted = there and (not doubted[s] or seen < SETTLED)
        after = wide[s] if seen == 0 else before + (wide[s] - before) * max(F(1.0) / F(np.int32(seen + 1)), F(0.03125))
        scale[s] = after if there else before
        hushed = own[s] if seen <= 64 else hum + (own[s] - hum) * F(0.03125)
        noise[s] = hushed if there else hum
        gap = residual[s] - common[s] - offset
        past[s] = gap / np.sqrt(F(1.0) + F(128.0) / F(seen)) if there and seen >= 64 else F(np.nan)
        edge = F(3.0) * after
        step = gap if seen < 16 else min(max(gap, -edge), edge)
        base[s] = offset + step / F(min(np.int32(seen + 1), horizon)) if trusted else offset
        age[s] = np.int32(seen + 1) if trusted else max(seen, np.int32(there))


@njit(
    "void(float32[:,::1], float32[:,::1], int32[::1], int32[:,::1], int32[:,::1], int32[::1], int8[::1], float32[:,::1], float32[::1], boolean[::1],"
    " float32[:,::1], float32[:,::1], float32[:,::1], int32[:,::1], float32[:,::1], int32, float32[:,::1])",
    cache=True,
)
def remember(
    residual: Any, spread: Any, layout: Any, order: Any, starts: Any, groups: Any, sign: Any, floor: Any, pooled: Any, doubted: Any,
    scale: Any, noise: Any, base: Any, age: Any, past: Any, horizon: Any, guess: Any,
) -> None:  # fmt: skip  # pragma: no cover - compiled
    """Follow the usual spread of each cell's group, each cell's own offset and noise; write its distance from that offset.

    `scale`, `noise`, `base` and `age` [M, S] are memory. The offset is a running mean of clipped residuals over
    `horizon` ticks and stands still for what is doubted, once it is settled: who has no past cannot become worse; `past` is
    NaN until it has been learned from 64 ticks, and shrunk while it is young, for noise that lasts makes a young offset a
    poor guess. Peers
    come and go, and with them the median that residuals are measured from: what the settled members of a group have
    in common beside their offsets is that median's doing and taken away. Where half of a group or more is new, out of the settled ones' `residual`
    too: who has just left a job is warm, and no measure for those that rest. `floor` [M, G] and `pooled` [M] bound the
    spread from below, `pooled` the more the fewer peers there are; `noise` is the spread that is left when the offsets are gone;
    `guess` [M, G] holds the last one of each group, a first guess of the next.
    """
    n_subjects = residual.shape[1]
    d = np.empty(n_subjects, np.float32)
    common, wide, own = np.empty(n_subjects, np.float32), np.empty(n_subjects, np.float32), np.empty(n_subjects, np.float32)
    moved = np.empty(n_subjects, np.float32)
    scratch = np.empty(n_subjects + 1, np.float32)
    for m in range(residual.shape[0]):
        reported = 0
        for s in range(n_subjects):
            reported += np.isfinite(residual[m, s])
        if sign[m] == 0 or reported == 0:
            for s in range(n_subjects):
                past[m, s] = F(np.nan)
            continue
        by = layout[m]
        r, offset, seen, who = residual[m], base[m], age[m], order[by]
        for g in range(groups[by]):
            n, peers, new = 0, 0, 0
            first, last = starts[by, g], starts[by, g + 1]
            for i in range(first, last):
                s = who[i]
                there = np.isfinite(r[s])
                peers += there
                new += there & (seen[s] < 64)
                d[n] = r[s] - offset[s]
                n += there & (seen[s] >= 64) & (not doubted[s])
            middle, left = F(0.0), F(-1.0)
            if n >= 4:
                near = nearby(n) * guess[m, g]
                middle = median_near(d, n, F(0.0), near, scratch)
                for i in range(n):
                    d[i] = abs(d[i] - middle)
                guess[m, g] = median_near(d, n, guess[m, g], near, scratch)
                left = SIGMA * guess[m, g]
            least = pooled[m] * max(F(0.3), F(8.0) / (F(8.0) + F(peers)))
            now = max(max(SIGMA * spread[m, g], least), floor[m, g])
            left = max(left, floor[m, g]) if left >= F(0.0) else now
            for i in range(first, last):
                s = who[i]
                common[s], wide[s], own[s] = middle, now, left
                moved[s] = middle if 2 * new >= peers and seen[s] >= 64 else F(0.0)
        _learn(r, common, wide, own, doubted, scale[m], noise[m], offset, seen, past[m], horizon)
        for s in range(n_subjects):
            r[s] -= moved[s]
