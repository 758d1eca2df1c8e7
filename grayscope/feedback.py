"""Feedback: what people found when they looked: incidents that were true or false, and the precision in the field that follows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from grayscope.event import Event
from grayscope.incident import SEVERITIES, Incident
from grayscope.maintenance import noted, stamp
from grayscope.recalling import microseconds

SOURCE, WORDS = "feedback", ("true", "false")
#: Two-sided 95 % of the normal law.
Z = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Answer:
    """What somebody found: `told` in microseconds; the last word on an incident counts."""

    incident: str
    subject: str
    true: bool
    told: int
    note: str = ""

    def event(self, time: int) -> Event:
        """Return the event that says this.

        Examples
        --------
        >>> Answer("ab12", "n1", False, 0, "a test").event(5).text
        'ab12 1970-01-01T00:00:00Z a test'
        """
        return Event(time, self.subject, SOURCE, WORDS[not self.true], f"{self.incident} {stamp(self.told)} {self.note}".strip())


def read(event: Event) -> Answer | None:
    """Return what an event answers, None if it is no feedback that can be read.

    Examples
    --------
    >>> answer = Answer("ab12", "n1", True, 1_000_000, "fan dead")
    >>> read(answer.event(9)) == answer
    True
    """
    incident, _, rest = event.text.partition(" ")
    when, _, note = rest.partition(" ")
    if event.source != SOURCE or event.code not in WORDS or not incident:
        return None
    try:
        told = microseconds(datetime.fromisoformat(when))
    except (ValueError, TypeError, OverflowError):
        told, note = event.time, rest
    return Answer(incident, event.subject, event.code == "true", told or 0, noted(note))


def answers(events: Iterable[Event]) -> dict[str, Answer]:
    """Return the last word on each incident."""
    found = [a for e in events if (a := read(e)) is not None]
    return {a.incident: a for a in sorted(found, key=lambda a: (a.told, a.true, a.note))}


class Asked(NamedTuple):
    """An incident as far as feedback needs it; `severity` is the worst that was told."""

    id: str
    subject: str
    mode: str
    severity: str
    noticed: int
    cell: str = ""


def asked(incident: Incident) -> Asked:
    """Return what is asked of an incident."""
    told = (*(severity for _, _, severity in incident.history), incident.severity)
    return Asked(incident.id, incident.subject, incident.mode, max(told, key=SEVERITIES.index), incident.noticed)


def asked_of(told: Mapping[str, Any]) -> Asked | None:
    """Return the same of an incident as `grayscope.results.incident_dict` describes it, None where it is not one."""
    try:
        history = [str(h["severity"]) for h in told.get("history") or ()]
        worst = max((*history, str(told["severity"])), key=SEVERITIES.index)
        noticed = microseconds(told["noticed"]) or 0
        return Asked(str(told["id"]), str(told["subject"]), str(told.get("mode") or ""), worst, noticed, str(told.get("cell") or ""))
    except (KeyError, ValueError, TypeError, AttributeError):
        return None


class Precision(NamedTuple):
    """How many of some incidents were true, and between which bounds (95 %) the share lies; None where nobody has answered."""

    true: int
    false: int
    unanswered: int
    precision: float | None
    low: float | None
    high: float | None


def precision(incidents: Iterable[Asked], said: Mapping[str, Answer]) -> Precision:
    """Return the share of true ones among those answered, with Wilson's interval.

    Examples
    --------
    >>> some = [Asked(str(i), "n1", "", "page", 0) for i in range(5)]
    >>> found = precision(some, {str(i): Answer(str(i), "n1", i > 0, 0) for i in range(4)})
    >>> found[:3], round(found.precision, 2), round(found.low, 2), round(found.high, 2)
    ((3, 1, 1), 0.75, 0.3, 0.95)
    """
    words = [said[i.id].true if i.id in said else None for i in incidents]
    true, false = words.count(True), words.count(False)
    n = true + false
    if not n:
        return Precision(0, 0, len(words), None, None, None)
    share, wide = true / n, Z * Z / n
    middle = (share + wide / 2) / (1 + wide)
    half = Z * math.sqrt(share * (1 - share) / n + wide / (4 * n)) / (1 + wide)
    return Precision(true, false, len(words) - n, share, max(middle - half, 0.0), min(middle + half, 1.0))


def in_the_field(incidents: Sequence[Asked], said: Mapping[str, Answer]) -> dict[str, dict[str, Precision]]:
    """Return the precision by severity, and of pages and tickets by mode; the loudest and the most frequent first."""
    loud = [i for i in incidents if i.severity != "notice"]
    modes = sorted({i.mode for i in loud}, key=lambda m: (-sum(i.mode == m for i in loud), m))
    return {
        "severity": {s: precision([i for i in incidents if i.severity == s], said) for s in reversed(SEVERITIES)},
        "mode": {m or "no name": precision([i for i in loud if i.mode == m], said) for m in modes},
        "all": {"pages and tickets": precision(loud, said)},
    }


def in_words(found: Precision) -> str:
    """Return a precision for a person.

    Examples
    --------
    >>> in_words(Precision(6, 2, 4, 0.75, 0.41, 0.93)), in_words(Precision(0, 0, 4, None, None, None))
    ('6 true, 2 false, 4 unanswered: precision 0.75 (0.41 to 0.93)', '4 unanswered')
    """
    if found.precision is None:
        return f"{found.unanswered} unanswered"
    bounds = f"precision {found.precision:.2f} ({found.low:.2f} to {found.high:.2f})"
    return f"{found.true} true, {found.false} false, {found.unanswered} unanswered: {bounds}"
