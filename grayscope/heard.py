"""Heard: kernels for who reports, what has changed and how often rows come; rules as in `kernels`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from grayscope.medians import F, median_near


@njit("void(float32[:,::1], float32[:,::1], boolean[:,::1], boolean[::1], boolean[::1])", cache=True)
def present(values: Any, habit: Any, regular: Any, came: Any, usual: Any) -> None:  # pragma: no cover - compiled
    """Say which cells [M, S] report in most ticks, and which subjects [S] report something now and usually.

    Parameters
    ----------
    values : [M, S]
    habit : [M, S]
        Running share of ticks in which the cell was reported.
    regular, came, usual : [M, S], [S], [S], out
    """
    came[:] = False
    usual[:] = False
    for m in range(values.shape[0]):
        for s in range(values.shape[1]):
            often = habit[m, s] > F(0.5)
            regular[m, s] = often
            usual[s] |= often
            came[s] |= np.isfinite(values[m, s])


@njit(
    "Tuple((int64, boolean))(float32[:,::1], boolean[:,::1], float32[:,::1], int32[:,::1], float32[:,::1], int32[:,::1], float32[:,::1], int32[:,::1], int32,"
    " int32, float32)",
    cache=True,
)
def heed(
    values: Any, regular: Any, habit: Any, absent: Any, last: Any, still: Any, lively: Any, longest: Any, awake: Any, frozen: Any, restive: Any
) -> Any:  # pragma: no cover - compiled
    """Count one tick of every cell; return the longest absence of what is regular, and whether anything has frozen.

    Parameters
    ----------
    values, regular : [M, S]
    habit, absent, last, still, lively, longest : [M, S], in and out
        Running share of ticks with a value, ticks without one, the last value, ticks without a change, the running
        share of ticks with a change as long as it stood still for less than `awake` of them, and the most ticks without a
        change that ended by themselves.
    frozen, restive : int, float
        Ticks without a change, and the share of ticks with one before that, which together mean frozen.
    """
    away_most, stuck = np.int32(0), False
    for m in range(values.shape[0]):
        for s in range(values.shape[1]):
            v, old, stands = values[m, s], last[m, s], still[m, s]
            came = np.isfinite(v)
            away = np.int32(0) if came else np.int32(absent[m, s] + 1)
            absent[m, s] = away
            away_most = max(away_most, away if regular[m, s] else np.int32(0))
            share = habit[m, s] + (F(came) - habit[m, s]) * F(0.05)
            habit[m, s] = max(share, F(0.51)) if regular[m, s] and not came else share  # a habit survives the silence itself
            changed = came and v != old
            moved = lively[m, s] + (F(changed and np.isfinite(old)) - lively[m, s]) * F(0.05)
            longest[m, s] = stands if changed and stands > longest[m, s] and lively[m, s] > restive else longest[m, s]
            lively[m, s] = moved if came and stands < awake else lively[m, s]
            still[m, s] = np.int32(0) if changed else np.int32(stands + came)
            last[m, s] = v if came else old
            stuck |= (still[m, s] >= frozen) & (lively[m, s] > restive)
    return away_most, stuck


@njit("float32(float32[::1], float32)", cache=True)
def _lower(values: Any, middle: Any) -> Any:  # pragma: no cover - compiled
    """Return the largest value that is not above the middle: of two values around it the smaller."""
    best = F(-np.inf)
    for v in values:
        if best < v <= middle:
            best = v
    return best


@njit("void(boolean[::1], float32[::1], float32[::1], int32[::1], int32[::1])", cache=True)
def _advance(came: Any, steps: Any, uneven: Any, quiet: Any, rows: Any) -> None:  # pragma: no cover - compiled
    """Take one tick into what each subject keeps of its own rows."""
    for s in range(len(came)):
        if came[s]:
            if rows[s] > 0:
                away = min(abs(F(quiet[s] + 1) - steps[s]) / steps[s], F(1.0))
                uneven[s] += (away - uneven[s]) * F(0.1)
                steps[s] += (min(F(quiet[s] + 1), F(2.0) * steps[s] + F(1.0)) - steps[s]) * F(0.1)
            quiet[s] = 0
            rows[s] += 1
        else:
            quiet[s] += 1


@njit("void(boolean[::1], float32[::1], float32[::1], int32[::1], int32[::1], int32[::1], int64[::1], float32[::1], int64, float64, float64)", cache=True)
def pace(
    came: Any, steps: Any, uneven: Any, quiet: Any, rows: Any, off: Any, group: Any, usual: Any, enough: Any, much: Any, free: Any
) -> None:  # pragma: no cover - compiled
    """Learn from row to row how far apart they are, beside the median of those of the same group with `enough` rows.

    Nothing is usual where these are few, and where most keep no time at all: whoever does a task now and then has no rate. Where
    half of a group (one of two) come more seldom than the others, those are right who come oftener: rows are lost, not made up.

    Parameters
    ----------
    came : [S]
    steps, uneven, quiet, rows, off : [S], in and out
        Running ticks from row to row, in which one long gap counts little; by what share of them a step usually differs; ticks
        since the last row; rows; ticks in which the steps were `much` times as long or short as the median.
    group : [S]
        Number of each subject's group, from 0 to G - 1.
    usual : [G], out
        Each group's median, 0 for none.
    free : float
        Share by which the steps of most differ where nobody keeps time.
    """
    n_subjects, n_groups = len(came), len(usual)
    settled, irregular = np.empty(n_subjects, np.float32), np.empty(n_subjects, np.float32)
    known, size, at = np.zeros(n_groups, np.int64), np.zeros(n_groups, np.int64), np.zeros(n_groups + 1, np.int64)
    _advance(came, steps, uneven, quiet, rows)
    for s in range(n_subjects):
        size[group[s]] += 1
        known[group[s]] += rows[s] >= enough
    for g in range(n_groups):
        at[g + 1] = at[g] + known[g]
    last = at[:-1].copy()
    for s in range(n_subjects):
        if rows[s] >= enough:
            settled[last[group[s]]], irregular[last[group[s]]] = steps[s], uneven[s]
            last[group[s]] += 1
    for g in range(n_groups):
        n, a, b = known[g], at[g], at[g + 1]
        usual[g] = F(0.0)  # until most have come a while nothing is usual
        if 2 * n > size[g] and np.float64(median_near(irregular[a:b], n, irregular[a], F(0.0), np.empty(n + 1, np.float32))) <= free:
            usual[g] = _lower(settled[a:b], median_near(settled[a:b], n, settled[a], F(0.0), np.empty(n + 1, np.float32)))
    for s in range(n_subjects):
        own = usual[group[s]]
        wrong = own > F(0.0) and rows[s] >= enough and (steps[s] > F(much * np.float64(own)) or F(much) * steps[s] < own)
        off[s] = off[s] + 1 if wrong and np.float64(quiet[s]) <= np.float64(F(4.0 * much) * steps[s]) else 0
