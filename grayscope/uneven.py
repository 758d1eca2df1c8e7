"""Uneven: by how much healthy parts differ in how often they spend, within their groups and between groups; kernels, rules as in `kernels`."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from grayscope.kept import keep

keep()

Floats = NDArray[np.float64]

#: Events that a group has more than were seen, of its own rate where fewer than so many groups tell how groups differ, else at most so many of theirs.
ALONE, GROUPS, MOST = 0.5, 8, 20.0
#: Squared coefficient of variation of healthy rates that is expected, give or take as much, before they are known: a tenth of the parts has them all.
#: Of few parts a quarter of their number, as if four of them had all.
UNEQUAL = 10.0


class Alike(NamedTuple):
    """Subjects that were watched for as long in the same group, together: thousands that report every tick are one row.

    Who is left out is taken from its row, so that to ask about each of many suspects does not take a walk over all subjects.

    label : ndarray of int64, shape [B]
        Group of each row.
    ticks, parts, events, squares : ndarray of float64, shape [B]
        How long each was watched, how many there are, and the sums of their events and of their squares.
    groups : int
    row : ndarray of int64, shape [S]
        Row of each subject, -1 of those that say nothing.
    """

    label: NDArray[np.int64]
    ticks: Floats
    parts: Floats
    events: Floats
    squares: Floats
    groups: int
    row: NDArray[np.int64]


def alike(events: Floats, ticks: Floats, label: NDArray[np.int32], trusted: NDArray[np.bool_], groups: int) -> Alike:
    """Return those that are `trusted` and were watched [S], put together.

    Examples
    --------
    >>> of = alike(np.array([1.0, 2, 0, 5]), np.array([9.0, 9, 9, 7]), np.int32([0, 0, 1, 0]), np.ones(4, bool), 2)
    >>> of.row.tolist(), of.events.tolist(), of.squares.tolist()
    ([1, 1, 2, 0], [5.0, 3.0, 0.0], [25.0, 5.0, 0.0])
    """
    told = np.flatnonzero(trusted & (ticks > 0))
    order = told[np.lexsort((ticks[told], label[told]))]
    g, n, e = label[order], ticks[order], events[order]
    first = np.r_[True, (np.diff(g) != 0) | (np.diff(n) != 0)][: len(order)]
    which, row = np.cumsum(first) - 1, np.full(len(events), -1)
    row[order] = which
    rows = int(first.sum())
    parts, total, squares = (np.bincount(which, weights=w, minlength=rows).astype(np.float64) for w in (None, e, e * e))
    return Alike(g[first].astype(np.int64), n[first], parts, total, squares, groups, row)


def within(of: Alike, without: float = 0.0, at: int = -1) -> float:
    """Return the squared coefficient of variation of healthy rates within their groups, beyond chance, one of row `at` with so many events left out.

    A group's mean leans towards each of its members, the more the fewer they are: what they differ by is taken as if they did not
    belong, and the square of a group's rate from products of two members. Else groups of four would seem to be all alike. Where hardly
    any two members have events the rate of all says what is usual: a law without bound would find everything unlikely. A handful of events
    says little of how parts differ: as much as its own variance leaves, the rest is `UNEQUAL`.
    """
    return float(_within(*of[:6], at, without))


def between(of: Alike, inside: float, without: float = 0.0, at: int = -1) -> tuple[float, float]:
    """Return what all groups say for one that has seen little: how many events over how many ticks.

    The events are one over the squared coefficient of variation of groups' rates, beyond chance and what parts differ by `inside` them
    (a gamma prior by its moments); too few groups to tell say half an event more than was seen.
    """
    known, over = _between(*of[:4], of.groups, at, without, inside)
    return float(known), float(over)


@njit("float64(int64[::1], float64[::1], float64[::1], float64[::1], float64[::1], int64, int64, float64)", cache=True)
def _within(label: Any, ticks: Any, parts: Any, events: Any, squares: Any, groups: Any, at: Any, without: Any) -> Any:  # pragma: no cover - compiled
    seen, watched, pairs, among = np.zeros(groups), np.zeros(groups), np.zeros(groups), np.zeros(groups)
    for b in range(len(label)):
        g, out = label[b], 1.0 if b == at else 0.0
        seen[g] += events[b] - out * without
        watched[g] += (parts[b] - out) * ticks[b]
        pairs[g] += squares[b] - out * without * without
        among[g] += (parts[b] - out) * ticks[b] * ticks[b]
    beyond, square, least, e_all, n_all, members = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for b in range(len(label)):
        g, n, out = label[b], ticks[b], 1.0 if b == at else 0.0
        c = parts[b] - out
        members += c
        if c > 0 and n / watched[g] < 1 - 1e-9:
            e, e2 = events[b] - out * without, squares[b] - out * without * without
            usual = n * seen[g] / watched[g]
            # Each counts by its exposure: what was watched for four ticks says nothing about how parts differ.
            beyond += (e2 - 2.0 * usual * e + c * usual * usual) / (1 - n / watched[g]) - c * usual
            square += c * n * n * (seen[g] * seen[g] - pairs[g]) / max(watched[g] * watched[g] - among[g], 1e-9)
            least += c * n * n
            e_all += e
            n_all += c * n
    rate = (e_all + ALONE) / max(n_all, 1.0)
    square = max(square, least * rate * rate, 1e-30)
    expected = max(min(UNEQUAL, 0.25 * members), 1.0)
    known, before = square * square / (e_all + ALONE + 2.0 * square), 1.0 / (expected * expected)
    return (known * max(beyond, 0.0) / square + before * expected) / (known + before)


@njit("UniTuple(float64, 2)(int64[::1], float64[::1], float64[::1], float64[::1], int64, int64, float64, float64)", cache=True)
def _between(label: Any, ticks: Any, parts: Any, events: Any, groups: Any, at: Any, without: Any, inside: Any) -> Any:  # pragma: no cover - compiled
    seen, watched, among = np.zeros(groups), np.zeros(groups), np.zeros(groups)
    for b in range(len(label)):
        g, out = label[b], 1.0 if b == at else 0.0
        seen[g] += events[b] - out * without
        watched[g] += (parts[b] - out) * ticks[b]
        among[g] += (parts[b] - out) * ticks[b] * ticks[b]
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
