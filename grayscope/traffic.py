"""Traffic: for how much of what a counter counts there was an occasion: by what was moved in a tick, beside what its group usually moves.

A link that moves thirty times as much may have thirty times the errors, and one that moves a thirtieth must not have as many. But a link that
moves next to nothing still trains, sends credits and keeps itself alive, so a part of the errors may come with time: a share that is learned from
ticks in which others moved less than usual, and never less than `LEAST`. Where nobody tells what was moved a tick is a tick.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from grayscope.catalogue import Metric
from grayscope.columns import Field
from grayscope.mechanisms import load, of_table
from grayscope.tick import Tick
from grayscope.uneven import ALONE
from grayscope.wording import number

Floats = NDArray[np.float64]
Arrays = dict[str, np.ndarray[Any, Any]]
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
FIELDS = {
    # What came in both spans: ticks, errors, and what was moved for them.
    **{name: Field(np.float64, 0.0, (len(SPANS),)) for name in ("reported", "gained", "moved")},
    # What is usually moved, as a sum over the ticks that tell; errors of idle ticks beyond their bytes' share, and what all time's would be.
    **{name: Field(np.float64, 0.0) for name in ("usually", "told", "beyond", "idle")},
}


class Group(NamedTuple):
    """Who belongs together [S], who is to be learned from [S], and the errors per tick of the usual traffic of each one's group [S]."""

    label: NDArray[np.int32]
    trusted: NDArray[np.bool_]
    rate: Floats


def carriers(table: str, names: tuple[str, ...]) -> dict[int, list[int]]:
    """Return, for each row of a counter whose account says what it is exposed to, the rows that tell of that.

    Examples
    --------
    >>> carriers("pcie", ("pcie_replays_total", 'pcie_transferred_bytes_total{direction="receive"}', 'pcie_transferred_bytes_total{direction="transmit"}'))
    {0: [1, 2]}
    """
    found: dict[int, list[int]] = {}
    for account in (a for a in of_table(load(), table) if a.per):
        rows = account.rows(names, account.per)
        found |= {m: rows for counter in account.counters for m in account.rows(names, counter) if rows}
    return found


def grouped(label: NDArray[np.int32], trusted: NDArray[np.bool_], events: Floats, ticks: Floats) -> Group:
    """Return a group with its rate, from all events [S] and ticks [S] that are trusted; at most one event a tick.

    Of a group that has seen little it is that of all: else thousands of groups without an event in their first ticks were as many that miss half of one.
    """
    seen, watched = (_sums(np.where(trusted, x, 0.0), label) for x in (events, ticks))
    every = (seen.sum() + ALONE) / max(float(watched.sum()), 1.0)
    return Group(label, trusted if watched.any() else np.zeros_like(trusted), np.minimum((seen + ALONE) / (watched + ALONE / every), 1.0)[label])


def forget(a: Arrays, moved: NDArray[np.bool_] | None, anew: NDArray[np.bool_]) -> None:
    """Begin anew: what was counted for the cells [M, S] that have new peers, and what is usually moved by the parts [S] that have other work."""
    for names, cells in ((("reported", "gained", "moved"), moved), (("usually", "told"), anew)):
        for name in names if cells is not None else ():
            a[name][..., cells] = 0.0


def weighed(tick: Tick, a: Arrays, m: int, rows: list[int], group: Group) -> Floats:
    """Return for how many ticks of its group's usual traffic this tick counts, for each subject [S]; keeps what was moved in `a`.

    Parameters
    ----------
    a : dict of ndarray
        The arrays of `FIELDS`, [..., M, S].
    m, rows : int, list of int
        The counter, and what tells of its traffic.
    """
    count, moved = tick.values[m].astype(np.float64), tick.values[rows].astype(np.float64)
    told = np.isfinite(count) & np.isfinite(moved).any(axis=0)
    moved = np.where(told, np.nansum(moved, axis=0), 0.0)
    for i, span in enumerate(SPANS):
        for name, new in (("gained", np.where(told, np.maximum(count, 0.0), 0.0)), ("moved", moved)):
            a[name][i, m] = a[name][i, m] * (1 - 1 / span) + new
    share = np.where(told, _share(a["usually"][m], a["told"][m], moved, told, group.label), 1.0)
    known = told & group.trusted
    by_time, told_so = _by_time(a["beyond"][m], a["idle"][m], group.trusted)
    less = np.where(known, np.maximum(1.0 - share, 0.0), 0.0)
    bytes_alone = _of_bytes(share, group.rate)
    for name, new in (("beyond", less * ((count > 0) - bytes_alone)), ("idle", less * np.maximum(group.rate - bytes_alone, 0.0))):
        a[name][m] = a[name][m] * (1 - 1 / LONG) + new
    # As far as idle ticks have told that errors come with time, more traffic brings no more of them: else who is idle would be measured by it.
    # Where most ticks have an error, they tell nothing of that.
    ticks = share - np.where(group.rate < MOSTLY, told_so, 0.0) * (share - 1.0)
    # Of a counter that rises in nearly every tick a part of the traffic brings nearly as many ticks with a rise.
    few = np.flatnonzero(share < 1.0)
    part, rate = by_time[few] + (1.0 - by_time[few]) * share[few], group.rate[few]
    ticks[few] = (1.0 - _power(1.0 - rate, part)) / rate
    return np.asarray(ticks)


def _of_bytes(share: Floats, rate: Floats) -> Floats:
    """Return how likely ticks with such a share of the usual traffic have an error [S], if all errors come with bytes."""
    out = rate * np.minimum(share, 1.0)
    many = np.flatnonzero((rate > SELDOM) & (share < 1.0))  # a part of the traffic brings nearly as many ticks with a rise
    out[many] = 1.0 - _power(1.0 - rate[many], share[many])
    return np.asarray(out)


def beside(ticks: Floats, label: NDArray[np.int32]) -> Floats:
    """Return how many times as many errors are as strange [S] in a tick that counts for so many as they are in the others' ticks, and at least 1.

    Examples
    --------
    >>> beside(np.array([1.0, 1.0, 1.0]), np.int32([0, 0, 0])).tolist(), beside(np.array([4.0, 0.5, 0.5]), np.int32([0, 0, 0])).round(2).tolist()
    ([1.0, 1.0, 1.0], [16.0, 1.0, 1.0])
    """
    others = (_sums(ticks, label)[label] - ticks) / np.maximum(np.bincount(label)[label] - 1, 1)
    times = ticks * np.sqrt(ticks) / np.where(others > 0, np.minimum(others, 1.0), 1.0)
    return np.where(ticks == 1.0, 1.0, np.maximum(times, 1.0))  # of which nobody tells, a tick is a tick


def filled(count: Floats, before: Floats, ticks: Floats) -> Floats:
    """Return in how many ticks of the usual traffic there was an error, of a tick that counts for so many; a burst is one event however large.

    As many as errors fill on average if they come in heaps of any size; of those beyond the first as many as the tick before had, too.

    Examples
    --------
    >>> filled(np.array([0.0, 7.0, 7.0, 7.0]), np.array([5.0, 9.0, 0.0, 7.0]), np.array([1.0, 1.0, 30.0, 30.0])).round(2).tolist()
    [0.0, 1.0, 1.0, 5.83]
    """
    size = np.maximum(ticks, 1.0)
    now, last = (size * x / (np.maximum(x, 1.0) + size - 1.0) for x in (np.nan_to_num(count), before))
    return np.asarray(np.maximum(np.minimum(now, last), count > 0), np.float64)


def room(reported: Floats, ticks: Floats) -> Floats:
    """Return by how much more may be usual [S] of those that move more than is usual, whose ticks count for more than those that were reported.

    No law of traffic holds over decades: errors may fill more of it than of a little, or a few peers may move nearly all.

    Examples
    --------
    >>> room(np.array([0.0, 100.0, 100.0]), np.array([100.0, 25.0, 900.0])).tolist()
    [1.0, 1.0, 3.0]
    """
    return np.sqrt(np.where(reported > 0, np.maximum(ticks / np.maximum(reported, 1e-9), 1.0), 1.0))


def rates(a: Arrays, m: int, s: int, span: int, label: NDArray[np.int32], metric: Metric | None) -> str:
    """Return how many errors there were for what was moved, here and among the peers, in words; nothing where nobody tells."""
    gained, moved = a["gained"][span, m], a["moved"][span, m]
    if not moved[s] > 0 or metric is None:
        return ""
    like = label == label[s]
    others = float(moved[like].sum() - moved[s])
    size, unit = (1e12, "per TB moved") if metric.unit == "By" else (1e6, f"per million {metric.unit}")
    mine = f"; {number(size * gained[s] / moved[s])} {unit}"
    return f"{mine}, its peers {number(size * max(float(gained[like].sum() - gained[s]), 0.0) / others)}" if others > 0 else mine


def _share(usually: Floats, told: Floats, moved: Floats, here: NDArray[np.bool_], label: NDArray[np.int32]) -> Floats:
    """Return what each moved [S] as a share of what one of its group usually moves, and learn that.

    One that moves less than it used to is no more suspect for that: what retransmits moves less, and so does a part whose job waits.
    """
    seen, n = _sums(usually, label), _sums(told, label)
    before = np.where(n > 0, seen / np.maximum(n, 1e-9), np.inf)[label]
    # No counter that jumps once decides for hours what is usual.
    usually *= 1 - 1 / LONG
    usually += np.where(here, np.minimum(moved, MOST * np.where(before > 0, before, np.inf)), 0.0)
    told *= 1 - 1 / LONG
    told += here
    usual = (_sums(usually, label) / np.maximum(_sums(told, label), 1e-9))[label]
    own = usually / np.maximum(told, 1e-9)
    return np.asarray(np.where(usual > 0, np.minimum(np.maximum(moved, own) / np.where(usual > 0, usual, 1.0), MOST), 1.0), np.float64)


def _by_time(beyond: Floats, idle: Floats, trusted: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Return the share of errors that comes with time [S], told by all others that are trusted: what is assumed, and what is sure."""
    over, all_of = (np.where(trusted, x, 0.0) for x in (beyond, idle))
    rest, of = over.sum() - over, all_of.sum() - all_of + PRIOR
    return np.clip((rest + PRIOR * LEAST) / of, LEAST, 1.0), np.clip((rest - SURE * np.sqrt(of)) / of, 0.0, 1.0)


def _power(base: Floats, part: Floats) -> Floats:
    """Return the power of a part below one, to 1/256 of it; by roots, which are the same on every processor."""
    out, left = np.ones_like(base), part.copy()
    for _ in range(8):
        base, left = np.sqrt(base), left + left
        ones = left >= 1.0
        out *= np.where(ones, base, 1.0)
        left -= ones
    return out


def _sums(x: Floats, label: NDArray[np.int32]) -> Floats:
    return np.asarray(np.bincount(label, weights=x, minlength=int(label.max(initial=-1)) + 1), np.float64)
