"""Ledger: one row of what is left of a redundancy, and what it amounts to."""

from __future__ import annotations

import math
from typing import NamedTuple

NAN = float("nan")
HOUR = 3600 * 1_000_000
DAY = 24 * HOUR
#: A forecast beyond this is none (microseconds, about 300 years).
FOREVER = 10**16


class Entry(NamedTuple):
    """How one redundancy of one subject stands, told when something changed.

    `rate` is in `unit` per hour; NaN and 0 mean unknown (`budget` unknown: nobody publishes one, peers are the measure).
    The exhaustion times are microseconds and the ends of an interval that holds in 80 % of cases; 0 is unknown, and an
    unknown `high` beside a known `low` means that it may never happen.
    """

    time: int
    subject: str
    mechanism: str
    budget: float = NAN
    spent: float = NAN
    left: float = NAN
    unit: str = "1"
    rate: float = NAN
    exhausted_low: int = 0
    exhausted_at: int = 0
    exhausted_high: int = 0


def verdict(entry: Entry, horizon: int) -> str:
    """Return ``spent``, ``short`` (used up within `horizon` microseconds), ``spending`` or ``ok``.

    Examples
    --------
    >>> verdict(Entry(0, "a", "psu", 1, 1, 0), DAY), verdict(Entry(0, "a", "psu", 8, 2, 6, exhausted_at=5), DAY), verdict(Entry(0, "a", "psu", 8, 0, 8), DAY)
    ('spent', 'short', 'ok')
    """
    if entry.left <= 0:
        return "spent"
    if entry.exhausted_at and entry.exhausted_at - entry.time <= horizon:
        return "short"
    return "spending" if entry.spent > 0 else "ok"


def urgency(entry: Entry, time: int, horizon: int) -> str:
    """Return ``short`` if what is left ends within `horizon` microseconds of `time`, else ``long``.

    Examples
    --------
    >>> urgency(Entry(0, "a", "psu", 1, 1, 0), 0, DAY), urgency(Entry(0, "a", "psu", 8, 1, 7, exhausted_at=9 * DAY), 0, DAY)
    ('short', 'long')
    """
    near = entry.left <= 0 or (entry.exhausted_at and entry.exhausted_at - time <= horizon)
    return "short" if near else "long"


def moment(time: int, hours: float) -> int:
    """Return the time so many hours later in microseconds, 0 for never.

    Examples
    --------
    >>> moment(5, 1.0), moment(5, float("inf"))
    (3600000005, 0)
    """
    return 0 if not math.isfinite(hours) or hours * HOUR > FOREVER else time + round(hours * HOUR)
