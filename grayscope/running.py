"""Running: kernels for running means over several horizons, and for what stands out among them; rules as in `kernels`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from grayscope.medians import SIGMA, F, median_near, nearby

#: Steps are counted no further: more than twice the longest horizon has of them.
MANY = 1023
#: Members from which on a peer group tells its own spread, and how far it must be from the fleet's to be another one, as a share times the
#: root of the members: two and a half standard errors of a median deviation.
OWN, APART = 16, 3.0
#: Spreads at which every value is clipped; where a lower clip holds (see `grayscope.tails`), one counts for so many times what the mean
#: lately was, if that is more.
FAR, TRUSTED = 12.0, 1.5
I = np.int16  # noqa: E741 - a type, as F is


@njit("void(float32[::1], int16[::1], float32[::1], int16[::1], float32)", cache=True, error_model="numpy")
def _step(mean: Any, seen: Any, v: Any, came: Any, length: Any) -> None:  # pragma: no cover - compiled
    for s in range(len(mean)):
        seen[s] = min(I(seen[s] + came[s]), I(MANY))
        moved = mean[s] + (v[s] - mean[s]) / min(F(seen[s]), length)
        mean[s] = moved if came[s] else mean[s]


@njit(
    "void(float32[:,::1], float32[:,::1], float32[:,::1], int8[::1], float32[:,:,::1], int16[:,:,::1], float32[:,::1], int32[:,::1], int64, boolean,"
    " float32[::1], float32[::1])",
    cache=True,
    error_model="numpy",
)
def accumulate(
    residual: Any, scale: Any, restless: Any, sign: Any, mean: Any, seen: Any, block: Any, filled: Any, fast: Any, close: Any, length: Any, clip: Any
) -> None:  # pragma: no cover - compiled
    """Add one tick to the running means of scaled residuals, each clipped at `clip` [M], over several horizons.

    What lasts is no jump: where the mean over the last of the `fast` horizons is far off, values may be farther. Else a part that is far off
    for good could never be told: no mean of what is clipped at three reaches what a page needs.

    The first `fast` horizons move every tick; the others move when a block is closed, by the block's mean. The scale of a
    cell is `scale` times one more than it is `restless`. `length` gives each horizon in its own steps; until so many steps
    were seen the mean is a plain mean. Inner loops run over subjects without branches, so that they become vector code.
    """
    n_subjects, known = residual.shape[1], F(1.0) / length[fast - 1]
    v = np.empty(n_subjects, np.float32)
    came = np.empty(n_subjects, np.int16)
    for m in range(residual.shape[0]):
        if sign[m] == 0:
            continue
        any_came, any_filled = 0, 0
        for s in range(n_subjects):
            any_came += np.isfinite(residual[m, s])
        if any_came:  # most counters never move: their rows are left alone, and their memory stays unused
            for s in range(n_subjects):
                r = residual[m, s]
                came[s] = np.isfinite(r)
                lasts = abs(mean[fast - 1, m, s]) * min(F(seen[fast - 1, m, s]) * known, F(1.0))
                room = max(clip[m], min(F(TRUSTED) * lasts, F(FAR)))
                v[s] = min(max(r / (scale[m, s] * (F(1.0) + restless[m, s])), -room), room)
            for h in range(fast):
                _step(mean[h, m], seen[h, m], v, came, length[h])
            for s in range(n_subjects):
                block[m, s] = block[m, s] + v[s] if came[s] else block[m, s]
                filled[m, s] += came[s]
        if close:
            for s in range(n_subjects):
                any_filled += filled[m, s]
        if any_filled:
            for s in range(n_subjects):
                came[s] = filled[m, s] > 0
                v[s] = block[m, s] / F(filled[m, s])
                block[m, s] = F(0.0)
                filled[m, s] = 0
            for h in range(fast, mean.shape[0]):
                _step(mean[h, m], seen[h, m], v, came, length[h])


@njit(
    "void(float32[:,::1], float32[:,::1], boolean[::1], float32[:,::1], float32[:,::1], int32[:,::1], float64, float32, int32[:,::1], float64[:,::1])",
    cache=True,
    error_model="numpy",
)
def follow(
    residual: Any, scale: Any, doubted: Any, last: Any, move: Any, moves: Any, least: Any, far: Any, jumped: Any, jumps: Any
) -> None:  # pragma: no cover - compiled
    """Follow the median move from tick to tick of each cell's scaled residual: a step up where it moved more, one down where less.

    A step is the larger of `least` and one over the number of `moves` before, as a share. It begins at the geometric mean of the first two: one
    of them may be the start of a job, a hundred times too large and not forgotten for hours. `last`, `move` and `moves` [M, S]
    are memory; what is doubted leaves it alone. `jumps` [M, 2] counts what came, and values beyond `far` spreads of which
    the next was back within half of that: of each cell one in a thousand at most, by `jumped` [M, S], its move at the last, so
    that one that flaps is not taken for the way of all.
    """
    for m in range(residual.shape[0]):
        known, many = 0, 0
        for s in range(residual.shape[1]):
            known += np.isfinite(residual[m, s])
        if known == 0:
            continue
        known = 0
        for s in range(residual.shape[1]):
            r, old, seen = residual[m, s] / scale[m, s], move[m, s], moves[m, s]
            came = np.isfinite(r) and not doubted[s]
            moved = abs(r - last[m, s])
            known += came
            back = came and abs(last[m, s]) > far and abs(r) < F(0.5) * far and (jumped[m, s] == 0 or seen - jumped[m, s] >= 1000)
            many += back
            jumped[m, s] = seen if back else jumped[m, s]
            step = F(1.0) + F(max(1.0 / max(seen, 1), least))
            now = (old * step if moved > old else old / step) if seen > 2 else np.sqrt(old * moved) if seen == 2 else moved
            move[m, s] = max(now, F(1e-3)) if came and seen > 0 else old
            last[m, s] = r if came else last[m, s]
            moves[m, s] = seen + came
        jumps[m, 0] += known
        jumps[m, 1] += many


@njit("void(float32[::1], int16[::1], int64, int32[::1], float32, float32[::1], float32[::1], float32[::1])", cache=True)
def _own(w: Any, seen: Any, least: Any, label: Any, fleet: Any, own: Any, sizes: Any, scratch: Any) -> None:  # pragma: no cover - compiled
    """Set `own` [S] to the `fleet`'s spread, or to that within the subject's peer group where it is larger by more than chance."""
    groups = label.max() + 1
    came, near, limit = np.zeros(groups, np.int64), np.zeros(groups, np.int64), np.empty(groups, np.float32)
    for s in range(len(w)):
        own[s] = fleet
        came[label[s]] += seen[s] >= least
    for g in range(groups):
        limit[g] = fleet * (F(1.0) + F(APART) / np.sqrt(F(max(came[g], 1))))
    for s in range(len(w)):
        near[label[s]] += (seen[s] >= least) & (SIGMA * abs(w[s]) <= limit[label[s]])
    for g in range(groups):
        if came[g] < OWN or 2 * near[g] >= came[g]:  # at least half of it is within the limit: the usual case, found cheaply
            continue
        n = 0
        for s in range(len(w)):
            sizes[n] = abs(w[s])
            n += (label[s] == g) & (seen[s] >= least)
        inside = SIGMA * median_near(sizes, n, F(0.0), F(0.0), scratch)
        for s in range(len(w)):
            own[s] = inside if label[s] == g and inside > limit[g] else own[s]


@njit("int64(float32[::1], int16[::1], float32, int64, float32, float32[::1], float32[::1])", cache=True)
def _scaled(mean: Any, seen: Any, length: Any, least: Any, unit: Any, w: Any, d: Any) -> Any:  # pragma: no cover - compiled
    """Write each mean [S] times the root of what it is made of to `w`, 0 where that is too little, and the sizes of the others to `d`; return how many."""
    n = 0
    for s in range(len(w)):
        far = mean[s] * np.sqrt(unit * min(F(seen[s]), F(2.0) * length - F(1.0)))
        w[s] = far if seen[s] >= least else F(0.0)
    for s in range(len(w)):
        d[n] = abs(w[s])
        n += seen[s] >= least
    return n


@njit("void(float32[::1], float32[::1], int16[::1], int64, boolean[::1], float32[::1], float32[::1], float64[::1])", cache=True)
def _excursions(w: Any, own: Any, seen: Any, least: Any, doubted: Any, peak: Any, marks: Any, tail: Any) -> None:  # pragma: no cover - compiled
    """Count in `tail` the looks of a metric's subjects [S], and the excursions that are over by their highest point, `peak`."""
    for s in range(len(w)):
        if seen[s] < least:
            continue
        far, top = w[s] / own[s], F(0.0)
        tail[0] += 1.0
        if not doubted[s] and far > marks[0]:
            top = max(peak[s], far)
        elif not doubted[s]:
            k = 0
            while k < len(marks) and peak[s] > marks[k]:
                over = peak[s] - marks[k]
                tail[1 + 3 * k] += 1.0
                tail[2 + 3 * k] += np.float64(min(over, F(2.0)))
                tail[3 + 3 * k] += over < F(2.0)
                k += 1
        peak[s] = top  # every time, so that the memory of a row is used at once and does not grow for hours


@njit(
    "int64(float32[:,::1], int16[:,::1], int8[::1], float32, int64, float32, float32[::1], float32[::1], int32[::1], int32[::1], float32[::1],"
    " boolean, boolean[::1], float32[:,::1], float32[::1], float64[:,::1], int32[::1], int32[:,::1])",
    cache=True,
)
def outstanding(
    mean: Any, seen: Any, sign: Any, length: Any, least: Any, unit: Any, cut: Any, width: Any, rows: Any, cols: Any, z: Any,
    learn: Any, doubted: Any, peak: Any, marks: Any, tail: Any, layout: Any, label: Any,
) -> Any:  # fmt: skip  # pragma: no cover - compiled
    """Find the cells whose running mean stands out from all others' of the same metric; return how many.

    A mean of n independent unit residuals has a spread of 1/sqrt(n); what the fleet shows beyond that (autocorrelation,
    offsets that never go away) is measured: `width` [M] is the robust spread of ``mean * sqrt(n)`` over all subjects,
    kept between calls as the next first guess. Where most of the fleet rests, all of it alike, that says nothing about those
    that work: who stands out must do so within its own peer group too, by `label` [L, S] in row `layout` [M].
    Cells with ``z > cut`` [M] are written to `rows`, `cols`, `z`. With
    `learn`, `tail` [M, 1 + 3 K] counts looks and the excursions beyond each of K `marks`, once they are over, by their
    highest point, `peak` [M, S]; see `grayscope.tails`. Excursions of what is `doubted` are none.
    """
    n_subjects = mean.shape[1]
    w = np.empty(n_subjects, np.float32)
    d = np.empty(n_subjects + 1, np.float32)
    own = np.empty(n_subjects, np.float32)
    scratch = np.empty(n_subjects + 1, np.float32)
    found = 0
    for m in range(mean.shape[0]):
        if sign[m] == 0:
            continue
        n = _scaled(mean[m], seen[m], length, least, unit, w, d)
        if n < 4:
            continue
        middle = median_near(d, n, width[m] / SIGMA, nearby(n) * width[m] / SIGMA, scratch)
        width[m] = SIGMA * middle
        doubt = F(1.0) + F(14.0) / F(n)
        top = F(0.0)
        for s in range(n_subjects):
            top = max(top, w[s])
            own[s] = width[m]
        if top > max(width[m], F(0.7)) * doubt * (min(cut[m], marks[0]) if learn else cut[m]):  # the groups need only be looked at where somebody may
            _own(w, seen[m], least, label[layout[m]], width[m], own, d, scratch)
        for s in range(n_subjects):
            own[s] = max(own[s], F(0.7)) * doubt
        if learn:
            _excursions(w, own, seen[m], least, doubted, peak[m], marks, tail[m])
        for s in range(n_subjects):
            if w[s] > cut[m] * own[s]:
                rows[found] = m
                cols[found] = s
                z[found] = w[s] / own[s]
                found += 1
    return found
