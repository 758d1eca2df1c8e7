"""Counting: a tick's rows of counters, taken into pasts that fade; kernels, rules as in `kernels`.

The same sums in the same order as plain numpy has them, which the tests ask for bit by bit: that an array is read once changes no verdict.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from grayscope.kept import keep

keep()

#: Largest number there is: what is infinite counts as that many.
FAR = np.finfo(np.float64).max


@njit("float64(float64, float64)", cache=True, error_model="numpy")
def _size(x: Any, ticks: Any) -> Any:  # pragma: no cover - compiled
    return ticks * x / (np.maximum(x, 1.0) + ticks - 1.0)


@njit("float64(float64, float64, float64)", cache=True, error_model="numpy")
def filled(count: Any, before: Any, ticks: Any) -> Any:  # pragma: no cover - compiled
    """Return in how many ticks of the usual traffic there was an error, of a tick that counts for so many; a burst is one event however large.

    As many as errors fill on average if they come in heaps of any size; of those beyond the first as many as the tick `before` had, too.
    """
    if not count > 0 and ticks < np.inf and before < np.inf:
        return 0.0  # as nearly always
    ticks = np.maximum(ticks, 1.0)
    known = 0.0 if np.isnan(count) else np.minimum(np.maximum(count, -FAR), FAR)
    return np.maximum(np.minimum(_size(known, ticks), _size(before, ticks)), 1.0 if count > 0 else 0.0)


@njit("void(float64[::1], float64, float64[::1])", cache=True)
def fade(past: Any, left: Any, new: Any) -> None:  # pragma: no cover - compiled
    """Let a past [S] fade by a tick, of which a part is `left`, and add what is new [S]."""
    for s in range(len(past)):
        past[s] = past[s] * left + new[s]


@njit(
    "void(int64[::1], float64[:,::1], int64[::1], float64[:,::1], float64[:,::1], float64, float64, float64[::1], float64[:,::1], float64[:,::1],"
    " boolean[:,:,::1], float64[:,:,::1], float64[:,:,::1], float64[:,:,::1], float64[:,:,::1], float64[:,:,::1])",
    cache=True,
    error_model="numpy",
)
def count_on(
    rows: Any, count: Any, seat: Any, large: Any, much: Any, begin: Any, over: Any, lefts: Any, first: Any, last: Any,
    usual: Any, events: Any, ticks: Any, own_events: Any, own_ticks: Any, reported: Any,
) -> None:  # fmt: skip  # pragma: no cover - compiled
    """Take a tick into the pasts of some counters.

    Parameters
    ----------
    rows : [R]
        Rows of the counters in what is kept.
    count : [R, S]
        By how much each has risen, NaN where it was not reported.
    seat : [R]
        Row of `large` and `much` that each goes by.
    large, much : [K, S]
        For how many ticks of usual traffic this one counts, and how many errors are many in it.
    begin, over : float
        When this tick began; events that are left of the first past when it is over.
    lefts : [P]
        Part of each past that is left a tick later. The last one counts ticks with many errors, if the one before had as many.
    first, last : [M, S], in and out
        When the events of the first past began, and the last count that was reported.
    usual, events, ticks, own_events, own_ticks : [P, M, S], in and out
        What was looked at and is usual, until there is another event; events and ticks among the peers, and by oneself.
    reported : [Q, M, S], in and out
        Ticks that were reported, over the first Q pasts.
    """
    subjects, pasts = count.shape[1], len(lefts)
    some, many, there, came = np.empty(subjects), np.empty(subjects), np.empty(subjects), np.empty(subjects)
    for i in range(len(rows)):
        m, now, size, high = rows[i], count[i], large[seat[i]], much[seat[i]]
        earlier, began, kept = last[m], first[m], events[0, m]
        for s in range(subjects):
            c, before, told = now[s], earlier[s], np.isfinite(now[s])
            if c > 0 and kept[s] < over:
                began[s] = begin
            some[s] = filled(c, before, size[s])
            many[s] = 1.0 if c >= high[s] and before >= high[s] else 0.0
            there[s], came[s] = size[s] if told else 0.0, 1.0 if told else 0.0
            earlier[s] = c if told else before
        for h in range(pasts):
            event, quiet = many if h == pasts - 1 else some, usual[h, m]
            for s in range(subjects):
                quiet[s] = quiet[s] and event[s] == 0
            fade(events[h, m], lefts[h], event)
            fade(ticks[h, m], lefts[h], there)
            fade(own_events[h, m], lefts[h], event)
            fade(own_ticks[h, m], lefts[h], there)
            if h < len(reported):
                fade(reported[h, m], lefts[h], came)
