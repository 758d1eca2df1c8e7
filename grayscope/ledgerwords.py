"""Ledgerwords: a row of the ledger as a person reads it."""

from __future__ import annotations

import math

from grayscope.ledger import Entry
from grayscope.modes import Modes
from grayscope.wording import number, utc

#: What it means where `modes.toml` knows no amount.
UNLIMITED = {"none published": "nobody publishes a budget", "none": "there is no budget of it"}
#: Normal deviate of either end of an 80 % interval.
Z = 1.2816


def left_in_words(entry: Entry) -> str:
    """Return what is left of how much.

    Examples
    --------
    >>> left_in_words(Entry(0, "a", "nvlink_links", 18, 2, 16, "links"))
    '16 of 18 links'
    >>> left_in_words(Entry(0, "a", "nic_rate", 5e10, 3.75e10, 1.25e10, "By/s"))
    '12.5 GBy/s of 50 GBy/s'
    >>> left_in_words(Entry(0, "a", "nvlink_replay", spent=56, unit="events", rate=336))
    '56 events spent at 336 an hour, and nobody publishes a budget: its peers are the measure'
    """
    if math.isnan(entry.left):
        return f"{_spent(entry)}, {unbudgeted(entry.mechanism)}"
    if entry.unit == "By/s":
        return f"{number(entry.left, entry.unit)} of {number(entry.budget, entry.unit)}"
    return f"{number(entry.left)} of {number(entry.budget)} {entry.unit}"


def unbudgeted(mechanism: str) -> str:
    """Return what a redundancy is measured by that has no stock which could be used up.

    Examples
    --------
    >>> unbudgeted("pcie_replay")
    'of no stock (published: bit error ratio 1e-12): its peers are the measure'
    >>> unbudgeted("clock_throttle")
    'and there is no budget of it: its peers are the measure'
    """
    known = Modes.load().mechanisms.get(mechanism)
    budget = known.budget if known is not None else "none published"
    return f"{f'and {UNLIMITED[budget]}' if budget in UNLIMITED else f'of no stock (published: {budget})'}: its peers are the measure"


def _spent(entry: Entry) -> str:
    """Return how much was spent and how fast, of what has no budget."""
    if math.isnan(entry.spent):
        return "it is not known how much was spent"
    pace = pace_in_words(entry)
    return f"{_plain(entry.spent)} {entry.unit} spent{f' at {pace}' if pace else ', none of late' if entry.rate == 0 else ''}"


def end_in_words(entry: Entry) -> str:
    """Return when it will be used up, with the interval.

    Examples
    --------
    >>> end_in_words(Entry(0, "a", "nic_fec", 4, 1, 3, "decades", 0.1, 3_600_000_000, 2 * 3_600_000_000, 0))
    '1970-01-01T02:00:00Z (80 % interval from 1970-01-01T01:00:00Z, perhaps never)'
    """
    if entry.left <= 0:
        return "used up"
    if not entry.exhausted_at:
        return "not foreseeable"
    end = f"to {utc(entry.exhausted_high)}" if entry.exhausted_high else "perhaps never"
    comma = " " if entry.exhausted_high else ", "
    return f"{utc(entry.exhausted_at)} (80 % interval from {utc(entry.exhausted_low)}{comma}{end})"


def pace_in_words(entry: Entry) -> str:
    """Return how fast it goes, with the 80 % interval that follows from when it will be used up; ``""`` where that is not known.

    Whoever ends earlier goes faster by as much. What of the chance of the last steps is in the one interval is in the other, too.

    Examples
    --------
    >>> hour = 3_600_000_000
    >>> pace_in_words(Entry(0, "a", "hbm_row_spares", 512, 12, 500, "rows", 0.125, 2000 * hour, 4000 * hour, 8000 * hour))
    '3 a day (80 % interval 1.5 to 6)'
    >>> pace_in_words(Entry(0, "a", "nic_fec", 4, 1, 3, "decades", 1.5, hour, 2 * hour, 0)), pace_in_words(Entry(0, "a", "psu", 1, 1, 0))
    ('1.5 an hour (80 % interval 0 to 3)', '')
    """
    if not entry.rate > 0:
        return ""
    each, per = (1.0, "an hour") if entry.rate >= 1 else (24.0, "a day")
    pace, rate = f"{_rough(entry.rate * each)} {per}", entry.rate * each
    if not entry.exhausted_at > entry.time or entry.left <= 0:
        return pace
    median, early, late = (end - entry.time for end in (entry.exhausted_at, entry.exhausted_low, entry.exhausted_high))
    slowest = rate * median / late if entry.exhausted_high else 0.0
    return f"{pace} (80 % interval {_rough(slowest)} {f'to {_rough(rate * median / early)}' if early > 0 else 'or more'})"


def chance_in_words(count: float, hours: float) -> str:
    """Return the 80 % interval of an hourly rate at which so many events came, if each came by chance (Wilson and Hilferty's gamma quantiles).

    Examples
    --------
    >>> chance_in_words(12, 0.5), chance_in_words(0, 2.0)
    ('80 % interval by chance 15.7 to 35.6', '80 % interval by chance 0 to 1.14')
    """
    low, high = (shape * max(1 - 1 / (9 * shape) + z / (3 * math.sqrt(shape)), 0.0) ** 3 for shape, z in ((max(count, 1e-9), -Z), (count + 1, Z)))
    return f"80 % interval by chance {_rough(low / hours)} to {_rough(high / hours)}"


def _rough(x: float) -> str:
    """Return a rate with three digits: nobody knows it better.

    Examples
    --------
    >>> _rough(21_512.3), _rough(0.12345)
    ('21,500', '0.123')
    """
    return _plain(float(f"{x:.3g}"))


def _plain(x: float) -> str:
    """Return a count without an exponent, which few read at night."""
    return f"{x:,.0f}" if 1e4 <= x < 1e12 else number(x)
