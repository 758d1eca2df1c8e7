"""Weighing: what each part moved in a tick beside its group, and for how many ticks that counts; kernels, rules as in `kernels`.

What is weighed and why is said in `traffic`. The same sums in the same order as plain numpy has them, which the tests ask for bit by bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from grayscope.counting import fade
from grayscope.kept import keep

keep()

#: Share of the errors that comes with time as long as no other idle tick has told: nobody publishes one. What others' idle ticks show can only
#: raise it, so it decides about the first idle link alone: three errors are then no more than four of a busy one, and a link with as many errors
#: as its peers for a thirtieth of what they move has still four times what is usual.
LEAST = 0.2
#: Events that idle ticks let expect, if all came with time, that weigh as much as `LEAST` does.
PRIOR = 3.0
#: Below so many ticks with an error of all, errors are in proportion to ticks with one; above so many, ticks do not tell errors apart.
SELDOM, MOSTLY = 0.05, 0.5
#: Spreads of chance by which idle ticks must show that errors come with time before more traffic is no reason for more of them.
SURE = 2.0
#: A tick counts for so many at most, however much was moved.
MOST = 32.0
#: Ticks over which what is usual, and over which what is told, fades.
LONG, SPANS = 4096, (256, 4096)
#: Square roots, one of the other, that make a power, and how finely.
ROOTS, HALVES = 8, 256


@njit("void(boolean[::1], int32[::1], float64[::1], float64[::1], float64[::1], float64[::1])", cache=True)
def sums(trusted: Any, label: Any, x: Any, y: Any, of_x: Any, of_y: Any) -> None:  # pragma: no cover - compiled
    """Add up `x` and `y` [S] of those that are trusted, group by group [G]."""
    for s in range(len(label)):
        if trusted[s]:
            of_x[label[s]] += x[s]
            of_y[label[s]] += y[s]


@njit("void(float64[::1], int32[::1], float64[::1])", cache=True, error_model="numpy")
def beside(ticks: Any, label: Any, out: Any) -> None:  # pragma: no cover - compiled
    """Write how many times as many errors are as strange, see `traffic.beside`."""
    groups = 0
    for s in range(len(label)):
        groups = max(groups, label[s] + 1)
    total, members = np.zeros(groups), np.zeros(groups)
    for s in range(len(label)):
        total[label[s]] += ticks[s]
        members[label[s]] += 1.0
    for s in range(len(label)):
        x, g = ticks[s], label[s]
        others = (total[g] - x) / np.maximum(members[g] - 1.0, 1.0)
        times = x * np.sqrt(x) / (np.minimum(others, 1.0) if others > 0 else 1.0)
        out[s] = 1.0 if x == 1.0 else np.maximum(times, 1.0)  # of which nobody tells, a tick is a tick


@njit("float64(float64[::1], float64)", cache=True)
def power(roots: Any, part: Any) -> Any:  # pragma: no cover - compiled
    """Return the power of a part below one, to 1/256 of it; by roots [8], which are the same on every processor."""
    bits, out = np.int64(min(part, 1.0 - 1.0 / HALVES) * HALVES) if part > 0 else 0, 1.0
    for i in range(ROOTS):
        out *= roots[i] if (bits >> (ROOTS - 1 - i)) & 1 else 1.0
    return out


@njit("void(float64[::1], float64[:,::1])", cache=True)
def rooted(rate: Any, roots: Any) -> None:  # pragma: no cover - compiled
    """Write the roots [G, 8] that `power` needs of how likely a tick of each group has no error."""
    for g in range(len(rate)):
        base = 1.0 - rate[g]
        for i in range(ROOTS):
            base = np.sqrt(base)
            roots[g, i] = base


@njit("void(float64[::1], float64[:,::1], boolean[::1], float64[::1], float64[::1])", cache=True)
def taken(count: Any, moved: Any, here: Any, gained: Any, total: Any) -> None:  # pragma: no cover - compiled
    """Write who tells of both errors and traffic [S], and how many errors came and how much was moved there."""
    for s in range(len(count)):
        whole, some = 0.0, False
        for r in range(len(moved)):
            whole += 0.0 if np.isnan(moved[r, s]) else moved[r, s]
            some |= np.isfinite(moved[r, s])
        here[s] = some and np.isfinite(count[s])
        gained[s], total[s] = np.maximum(count[s], 0.0) if here[s] else 0.0, whole if here[s] else 0.0


@njit("float64[::1](float64[::1], boolean[::1], int32[::1], int64, float64[::1], float64[::1])", cache=True, error_model="numpy")
def usual_of(moved: Any, here: Any, label: Any, groups: Any, usually: Any, told: Any) -> Any:  # pragma: no cover - compiled
    """Return what one of each group usually moves [G], after what each has moved now [S], and learn that."""
    seen, n, most, usual = np.zeros(groups), np.zeros(groups), np.empty(groups), np.empty(groups)
    for s in range(len(label)):
        seen[label[s]] += usually[s]
        n[label[s]] += told[s]
    for g in range(groups):  # no counter that jumps once decides for hours what is usual
        before = seen[g] / np.maximum(n[g], 1e-9) if n[g] > 0 else np.inf
        most[g] = MOST * (before if before > 0 else np.inf)
        seen[g], n[g] = 0.0, 0.0
    for s in range(len(label)):
        usually[s] = usually[s] * (1 - 1 / LONG) + (np.minimum(moved[s], most[label[s]]) if here[s] else 0.0)
        told[s] = told[s] * (1 - 1 / LONG) + (1.0 if here[s] else 0.0)
        seen[label[s]] += usually[s]
        n[label[s]] += told[s]
    for g in range(groups):
        usual[g] = seen[g] / np.maximum(n[g], 1e-9)
    return usual


@njit("float64(float64, float64, float64)", cache=True)
def clipped(x: Any, low: Any, high: Any) -> Any:  # pragma: no cover - compiled
    """Return what is no lower and no higher."""
    return np.minimum(np.maximum(x, low), high)


@njit(
    "void(float64[::1], float64[:,::1], int32[::1], boolean[::1], float64[::1], int64, float64, float64, float64[:,:,::1], float64[:,:,::1],"
    " float64[:,::1], float64[:,::1], float64[:,::1], float64[:,::1], float64[::1])",
    cache=True,
    error_model="numpy",
)
def weigh(
    count: Any, moved: Any, label: Any, trusted: Any, rate: Any, m: Any, over: Any, all_of: Any, gained: Any, moves: Any,
    usually: Any, told: Any, beyond: Any, idle: Any, ticks: Any,
) -> None:  # fmt: skip  # pragma: no cover - compiled
    """Write for how many ticks of its group's usual traffic this tick counts, and keep what was moved.

    Parameters
    ----------
    count, moved : [S], [R, S]
        Errors of this tick and what was moved in it, NaN where that was not reported.
    label, trusted, rate : [S], [S], [G]
        Group of each, who is learned from, errors per tick of the usual traffic of each group.
    m : int
        Row of the counter in what is kept.
    over, all_of : float
        Sums of `beyond` and `idle` of all that are trusted.
    gained, moves, usually, told, beyond, idle : [2, M, S], [2, M, S], [M, S]..., in and out
        See `traffic.FIELDS`.
    ticks : [S], out
    """
    subjects, groups = len(count), len(rate)
    here, came, total, roots = np.empty(subjects, np.bool_), np.empty(subjects), np.empty(subjects), np.empty((groups, ROOTS))
    taken(count, moved, here, came, total)
    for i in range(len(SPANS)):
        fade(gained[i, m], 1 - 1 / SPANS[i], came)
        fade(moves[i, m], 1 - 1 / SPANS[i], total)
    usual = usual_of(total, here, label, groups, usually[m], told[m])
    rooted(rate, roots)
    for s in range(subjects):
        g, often, share = label[s], rate[label[s]], 1.0
        if here[s] and usual[g] > 0:
            # One that moves less than it used to is no more suspect for that: what retransmits moves less, and so does a part whose job waits.
            share = np.minimum(np.maximum(total[s], usually[m, s] / np.maximum(told[m, s], 1e-9)) / usual[g], MOST)
        # What comes with time is told by all others that are trusted, and so much is assumed, or sure.
        rest = over - (beyond[m, s] if trusted[s] else 0.0)
        of = all_of - (idle[m, s] if trusted[s] else 0.0) + PRIOR
        # How likely a tick with such a share has an error, if all errors come with bytes: a part of the traffic brings nearly as many ticks with a rise.
        bytes_alone = 1.0 - power(roots[g], share) if often > SELDOM and share < 1.0 else often * np.minimum(share, 1.0)
        less = np.maximum(1.0 - share, 0.0) if here[s] and trusted[s] else 0.0
        beyond[m, s] = beyond[m, s] * (1 - 1 / LONG) + less * ((1.0 if count[s] > 0 else 0.0) - bytes_alone)
        idle[m, s] = idle[m, s] * (1 - 1 / LONG) + less * np.maximum(often - bytes_alone, 0.0)
        if share < 1.0:  # of a counter that rises in nearly every tick a part of the traffic brings nearly as many ticks with a rise
            by_time = clipped((rest + PRIOR * LEAST) / of, LEAST, 1.0)
            ticks[s] = (1.0 - power(roots[g], by_time + (1.0 - by_time) * share)) / often
        else:
            # As far as idle ticks have told that errors come with time, more traffic brings no more of them: else who is idle would be measured by it.
            # Where most ticks have an error, they tell nothing of that.
            told_so = clipped((rest - SURE * np.sqrt(of)) / of, 0.0, 1.0) if often < MOSTLY else 0.0
            ticks[s] = share - told_so * (share - 1.0)
