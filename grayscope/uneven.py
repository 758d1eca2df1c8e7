"""Uneven: by how much healthy parts differ in how often they spend, within their groups and between groups; kernels, rules as in `kernels`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from grayscope.kept import keep

keep()

#: Events that a group has more than were seen, of its own rate where fewer than so many groups tell how groups differ, else at most so many of theirs.
ALONE, GROUPS, MOST = 0.5, 8, 20.0
#: Squared coefficient of variation of healthy rates that is expected, give or take as much, before they are known: a tenth of the parts has them all.
#: Of few parts a quarter of their number, as if four of them had all.
UNEQUAL = 10.0


@njit("float64(float64[::1], float64[::1], int32[::1], boolean[::1], int64, int64)", cache=True)
def within(events: Any, ticks: Any, label: Any, trusted: Any, without: Any, groups: Any) -> Any:  # pragma: no cover - compiled
    """Return the squared coefficient of variation of healthy rates within their groups, beyond chance, one subject left out.

    A group's mean leans towards each of its members, the more the fewer they are: what they differ by is taken as if they did not
    belong, and the square of a group's rate from products of two members. Else groups of four would seem to be all alike. Where hardly
    any two members have events the rate of all says what is usual: a law without bound would find everything unlikely. A handful of events
    says little of how parts differ: as much as its own variance leaves, the rest is `UNEQUAL`.
    """
    seen, watched, pairs, among = np.zeros(groups), np.zeros(groups), np.zeros(groups), np.zeros(groups)
    for s in range(len(events)):
        if ticks[s] > 0 and trusted[s] and s != without:
            g = label[s]
            seen[g] += events[s]
            watched[g] += ticks[s]
            pairs[g] += events[s] * events[s]
            among[g] += ticks[s] * ticks[s]
    beyond, square, least, e_all, n_all, parts = 0.0, 0.0, 0.0, 0.0, 0.0, 0
    for s in range(len(events)):
        if ticks[s] > 0 and trusted[s] and s != without:
            g, e, n = label[s], events[s], ticks[s]
            parts += 1
            own = n / watched[g]
            if own < 1 - 1e-9:
                usual = n * seen[g] / watched[g]
                # Each counts by its exposure: what was watched for four ticks says nothing about how parts differ.
                beyond += (e - usual) * (e - usual) / (1 - own) - usual
                square += n * n * (seen[g] * seen[g] - pairs[g]) / max(watched[g] * watched[g] - among[g], 1e-9)
                least += n * n
                e_all += e
                n_all += n
    rate = (e_all + ALONE) / max(n_all, 1.0)
    square = max(square, least * rate * rate, 1e-30)
    expected = max(min(UNEQUAL, 0.25 * parts), 1.0)
    known, before = square * square / (e_all + ALONE + 2.0 * square), 1.0 / (expected * expected)
    return (known * max(beyond, 0.0) / square + before * expected) / (known + before)


@njit("UniTuple(float64, 2)(float64[::1], float64[::1], int32[::1], boolean[::1], int64, int64, float64)", cache=True)
def between(events: Any, ticks: Any, label: Any, trusted: Any, without: Any, groups: Any, inside: Any) -> Any:  # pragma: no cover - compiled
    """Return what all groups say for one that has seen little: how many events over how many ticks.

    The events are one over the squared coefficient of variation of groups' rates, beyond chance and what parts differ by `inside` them
    (a gamma prior by its moments); too few groups to tell say half an event more than was seen.
    """
    seen, watched, among = np.zeros(groups), np.zeros(groups), np.zeros(groups)
    for s in range(len(events)):
        if trusted[s] and s != without:
            g = label[s]
            seen[g] += events[s]
            watched[g] += ticks[s]
            among[g] += ticks[s] * ticks[s]
    e_all, n_all, some = 0.0, 0.0, 0
    for g in range(groups):
        e_all += seen[g]
        n_all += watched[g]
        some += watched[g] > 0
    if some < GROUPS:
        return ALONE, 0.0
    rate = (e_all + ALONE) / max(n_all, 1.0)
    beyond, square = 0.0, 0.0
    for g in range(groups):
        usual = watched[g] * rate
        beyond += (seen[g] - usual) * (seen[g] - usual) - usual - inside * rate * rate * among[g]
        square += usual * usual
    known = min(max(1.0 / max(beyond / max(square, 1e-30), 1e-3), ALONE), MOST)
    return known, known / rate
