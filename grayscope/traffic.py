"""Traffic: for how much of what a counter counts there was an occasion: by what was moved in a tick, beside what its group usually moves.

A link that moves thirty times as much may have thirty times the errors, and one that moves a thirtieth must not have as many. But a link that
moves next to nothing still trains, sends credits and keeps itself alive, so a part of the errors may come with time: a share that is learned from
ticks in which others moved less than usual, and never less than `weighing.LEAST`. Where nobody tells what was moved a
tick is a tick.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from grayscope import weighing
from grayscope.catalogue import Metric
from grayscope.columns import Field
from grayscope.mechanisms import load, of_table
from grayscope.tick import Tick
from grayscope.uneven import ALONE
from grayscope.weighing import SPANS
from grayscope.wording import number

Floats = NDArray[np.float64]
Arrays = dict[str, np.ndarray[Any, Any]]
#: What is kept of each counter and part, over both spans where there are two.
FIELDS = {
    # What came in both spans: ticks, errors, and what was moved for them.
    **{name: Field(np.float64, 0.0, (len(SPANS),)) for name in ("reported", "gained", "moved")},
    # What is usually moved, as a sum over the ticks that tell; errors of idle ticks beyond their bytes' share, and what all time's would be.
    **{name: Field(np.float64, 0.0) for name in ("usually", "told", "beyond", "idle")},
}


class Group(NamedTuple):
    """Who belongs together [S], who is to be learned from [S], and the errors per tick of the usual traffic of each group [G]."""

    label: NDArray[np.int32]
    trusted: NDArray[np.bool_]
    rate: Floats


@lru_cache(maxsize=64)
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
    seen, watched = np.zeros(int(label.max(initial=-1)) + 1), np.zeros(int(label.max(initial=-1)) + 1)
    weighing.sums(trusted, label, events, ticks, seen, watched)
    every = (seen.sum() + ALONE) / max(float(watched.sum()), 1.0)
    return Group(label, trusted if watched.any() else np.zeros_like(trusted), np.minimum((seen + ALONE) / (watched + ALONE / every), 1.0))


def forget(a: Arrays, moved: NDArray[np.bool_] | None, anew: NDArray[np.bool_]) -> None:
    """Begin anew: what was counted for the cells [M, S] that have new peers, and what is usually moved by the parts [S] that have other work."""
    for names, cells in ((("reported", "gained", "moved"), moved), (("usually", "told"), anew if anew.any() else None)):
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
    count, moved, trusted = tick.values[m].astype(np.float64), tick.values[rows].astype(np.float64), group.trusted
    over, idle = (float(np.where(trusted, a[name][m], 0.0).sum()) for name in ("beyond", "idle"))
    ticks = np.empty(len(count))
    weighing.weigh(
        count, moved, group.label, trusted, group.rate, m, over, idle, a["gained"], a["moved"], a["usually"], a["told"], a["beyond"], a["idle"], ticks
    )
    return ticks


def beside(ticks: Floats, label: NDArray[np.int32]) -> Floats:
    """Return how many times as many errors are as strange [S] in a tick that counts for so many as they are in the others' ticks, and at least 1.

    Examples
    --------
    >>> beside(np.array([1.0, 1.0, 1.0]), np.int32([0, 0, 0])).tolist(), beside(np.array([4.0, 0.5, 0.5]), np.int32([0, 0, 0])).round(2).tolist()
    ([1.0, 1.0, 1.0], [16.0, 1.0, 1.0])
    """
    out = np.empty(len(ticks))
    weighing.beside(ticks, label, out)
    return out


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
