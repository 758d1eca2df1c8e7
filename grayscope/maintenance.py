"""Maintenance: planned work as events say it: on what, from when, until when, and why."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from grayscope.event import Event

SOURCE, BEGIN, END = "maintenance", "begin", "end"
SECOND = 1_000_000
HOUR = 3600 * SECOND
#: Work without an end is over after so long; no work is longer than the last. Both in microseconds.
LONGEST, NEVER_BEYOND = 24 * HOUR, 90 * 24 * HOUR
#: Characters of a note.
NOTE = 200
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Work:
    """One piece of planned work; subject and start are its identity.

    Parameters
    ----------
    subject : str
        A component, all below it by name or by the roster's keys included; ``site`` is everything.
    start : int
        Microseconds.
    end : int or None
        None: nobody has said when.
    note : str
    told : int
        When this was said, microseconds.
    closed : bool
        Somebody said that it has ended: that is the last word.
    """

    subject: str
    start: int
    end: int | None = None
    note: str = ""
    told: int = 0
    closed: bool = False

    @property
    def id(self) -> str:
        """Return eight hexadecimal digits that stand for subject and start.

        Examples
        --------
        >>> Work("n017", 0).id
        '7c756a3e'
        """
        return hashlib.blake2b(f"{self.subject}\0{self.start}".encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()

    def until(self, longest: int = LONGEST) -> int:
        """Return the moment from which it does not hold any more, known or assumed."""
        end = self.start + longest if self.end is None else self.end
        return min(max(end, self.start), self.start + NEVER_BEYOND)

    def event(self, time: int) -> Event:
        """Return the event that says this at `time`.

        Examples
        --------
        >>> Work("n017", 0, 60_000_000, "new fan").event(5).text
        '1970-01-01T00:00:00Z/1970-01-01T00:01:00Z new fan'
        """
        span = f"{stamp(self.start)}/{'..' if self.end is None else stamp(self.end)}"
        return Event(time, self.subject, SOURCE, END if self.closed else BEGIN, f"{span} {self.note}".strip())


def read(event: Event) -> Work | None:
    """Return what an event says about planned work, None if nothing.

    Its text is an interval of ISO 8601 (``START/END``, an open end is ``..``) and a note. Without an interval work begins, or all work on
    the subject ends, when the event happens.

    Examples
    --------
    >>> work = read(Event(9, "n017", "maintenance", "begin", "1970-01-01T00:00:00Z/.. new fan"))
    >>> work.start, work.end, work.note
    (0, None, 'new fan')
    >>> read(Event(9, "n017", "maintenance", "begin", "new fan")).start
    9
    """
    if event.source != SOURCE or event.code not in (BEGIN, END):
        return None
    span, _, note = event.text.strip().partition(" ")
    found = _interval(span)
    start, end = found or (event.time, None)
    text = noted(note if found else event.text)
    if event.code == END:
        return Work(event.subject, start if found else -1, event.time if end is None else end, text, event.time, True)
    return Work(event.subject, start, end, text, event.time)


def noted(text: str) -> str:
    """Return a note on one line, cut to `NOTE` characters.

    Examples
    --------
    >>> noted(" new\\nfan ")
    'new fan'
    """
    return "".join(c if c.isprintable() else " " for c in text).strip()[:NOTE]


def _interval(text: str) -> tuple[int, int | None] | None:
    begin, slash, end = text.partition("/")
    if not slash:
        return None
    try:
        start, until = _micros(begin), None if end == ".." else _micros(end)
    except (ValueError, OverflowError):
        return None
    return (start, until) if start >= 0 and (until is None or until >= start) else None


def _micros(text: str) -> int:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(text)
    return (moment - EPOCH) // timedelta(microseconds=1)


def stamp(time: int) -> str:
    """Return microseconds as ISO 8601, with a fraction only where there is one.

    Examples
    --------
    >>> stamp(60_000_000), stamp(1)
    ('1970-01-01T00:01:00Z', '1970-01-01T00:00:00.000001Z')
    """
    return (EPOCH + timedelta(microseconds=time)).isoformat().replace("+00:00", "Z")
