"""Ledgerwords: a row of the ledger as a person reads it."""

from __future__ import annotations

import math

from grayscope.ledger import Entry
from grayscope.wording import number, utc


def left_in_words(entry: Entry) -> str:
    """Return what is left of how much.

    Examples
    --------
    >>> left_in_words(Entry(0, "a", "nvlink_links", 18, 2, 16, "links"))
    '16 of 18 links'
    >>> left_in_words(Entry(0, "a", "nic_rate", 5e10, 3.75e10, 1.25e10, "By/s"))
    '12.5 GBy/s of 50 GBy/s'
    """
    if math.isnan(entry.left):
        return "unknown: nobody publishes a budget, peers are the measure"
    if entry.unit == "By/s":
        return f"{number(entry.left, entry.unit)} of {number(entry.budget, entry.unit)}"
    return f"{number(entry.left)} of {number(entry.budget)} {entry.unit}"


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
