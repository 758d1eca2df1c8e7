"""Moments: times and durations as people write them on a command line."""

from __future__ import annotations

import re
from datetime import datetime

from grayscope.errors import UsageError, shorten
from grayscope.settings import seconds


def moment(text: str, now: float) -> int:
    """Return a time in microseconds from RFC 3339 (with a zone), an epoch in s, ms, us or ns, ``now``, ``-6h`` before or ``+2h`` after `now`.

    Examples
    --------
    >>> moment("2023-11-14T22:13:20Z", 0), moment("1700000000", 0), moment("-1m30s", 100.0), moment("+1h", 0)
    (1700000000000000, 1700000000000000, 10000000, 3600000000)
    """
    text = text.strip()
    if text == "now":
        return int(now * 1e6)
    if re.fullmatch(r"[-+][0-9.]+[a-z].*", text):
        return int(now * 1e6) + (span(text[1:]) if text[0] == "+" else -span(text[1:]))
    if re.fullmatch(r"[0-9]{1,19}(\.[0-9]*)?", text):
        value = float(text)
        return int(value * next(f for limit, f in ((1e11, 1e6), (1e14, 1e3), (1e17, 1.0), (1e20, 1e-3)) if value < limit))
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        when = None
    if when is None or when.tzinfo is None:
        raise UsageError(f"expected a time such as 2026-03-01T12:00:00Z, 1700000000, -6h, +2h or now, found {shorten(text)!r}")
    return int(when.timestamp() * 1e6)


def span(text: str) -> int:
    """Return a duration in microseconds.

    Examples
    --------
    >>> span("1m30s")
    90000000
    """
    try:
        found = round(seconds(text) * 1e6)
    except (ValueError, OverflowError):  # so long that it is no number any more
        found = 0
    if found <= 0:
        raise UsageError(f"expected a duration such as 10s or 1h30m, found {shorten(text)!r}")
    return found
