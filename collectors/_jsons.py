"""Jsons: JSON documents of a file: one, several after one another, or one per line, within bounds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from grayscope.errors import InputError

#: Documents of one file; digits of a number that is converted (more is an attack on the parser).
MOST = 1_000_000
SPACE = " \t\r\n"


def documents(data: bytes, where: str) -> Iterator[Any]:
    """Yield every document.

    Raises
    ------
    InputError
        At the first thing that is none: says at which character; a document that is cut off is the last one's fault alone.

    Examples
    --------
    >>> list(documents(b'{"a": 1}\\n[2] 3', "f"))
    [{'a': 1}, [2], 3]
    """
    text = data.decode("utf-8-sig", "replace")
    decoder, at = json.JSONDecoder(), _skip(text, 0)
    for _ in range(MOST):
        if at >= len(text):
            return
        try:
            found, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            raise InputError.at(where, f"character {at}", "JSON", text[at : at + 60] or error) from error
        yield found
        at = _skip(text, at)
    if at < len(text):
        raise InputError.at(where, "documents", f"at most {MOST}", "more")


def moment(value: Any) -> int | None:
    """Return a time in microseconds from RFC 3339 or a number of seconds, milliseconds, microseconds or nanoseconds; None if it is none.

    Examples
    --------
    >>> moment("2026-08-22T10:12:00Z"), moment(1700000000), moment(1700000000123), moment("2026-07-14T10:00:00.123456789Z") % 1_000_000, moment("yesterday")
    (1787393520000000, 1700000000000000, 1700000000123000, 123456, None)
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if not 0 <= value < 1e20:
            return None
        return int(value * next(f for limit, f in ((1e11, 1e6), (1e14, 1e3), (1e17, 1.0), (1e20, 1e-3)) if value < limit))
    if not isinstance(value, str) or len(value) > 64:
        return None
    head, dot, rest = value.partition(".")
    digits = len(rest) - len(rest.lstrip("0123456789"))
    try:
        when = datetime.fromisoformat(f"{head}{dot}{rest[: min(digits, 6)]}{rest[digits:]}" if digits else value)
    except ValueError:
        return None
    zoned = when if when.tzinfo is not None else when.replace(tzinfo=UTC)
    return (round(zoned.timestamp()) if not zoned.microsecond else int(zoned.replace(microsecond=0).timestamp())) * 1_000_000 + zoned.microsecond


def clean(value: Any, longest: int = 500) -> str:
    """Return text that is printable and bounded, ``""`` for everything that is none."""
    return "".join(c if c.isprintable() else "_" for c in value[:longest]) if isinstance(value, str) else ""


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in SPACE:
        at += 1
    return at
