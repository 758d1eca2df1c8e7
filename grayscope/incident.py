"""Incident: one fault, from the first notice to its end."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

#: Severities, calmest first.
SEVERITIES = ("notice", "ticket", "page")
#: Changes that a history keeps; the first is always one of them.
CHANGES = 200


@dataclass(frozen=True, slots=True)
class Incident:
    """One fault as a person works on it; each change is a new value with the same id.

    Parameters
    ----------
    id : str
        `incident_id`: stable from live run to replay.
    subject : str
        First suspect.
    place : str
        Smallest thing that contains all members.
    state, severity : str
        The last or, once ended, the worst.
    mode : str
        grayscope's name for what is wrong, ``""`` if it cannot say.
    began, noticed : int
        Estimated onset, and event time of the tick that opened it (microseconds).
    escalated, ended : int or None
    history : tuple of (time, state, severity)
    probability : float
        That the first suspect is the culprit.
    rivals : tuple of (subject, probability)
        Other suspects, most likely first.
    summary : str
        One line for a person.
    evidence : tuple of dict
        The evidence that opened or changed it, newest last, bounded.
    """

    id: str
    subject: str
    place: str
    state: str
    severity: str
    mode: str
    began: int
    noticed: int
    escalated: int | None = None
    ended: int | None = None
    history: tuple[tuple[int, str, str], ...] = ()
    probability: float = 1.0
    rivals: tuple[tuple[str, float], ...] = ()
    summary: str = ""
    evidence: tuple[dict[str, object], ...] = field(default=())


def absences(history: Sequence[tuple[int, str, str]]) -> list[int]:
    """Return how long it was away each time before it came back, microseconds.

    Examples
    --------
    >>> absences([(1, "gray", "page"), (5, "normal", "notice"), (8, "gray", "page"), (9, "masked", "ticket"), (11, "normal", "notice")])
    [3]
    """
    return [end - start for (start, state, _), (end, _, _) in pairwise(history) if state == "normal"]


def incident_id(cluster: str, subject: str, noticed: int) -> str:
    """Return the identity of an incident: the same live, replayed or restarted.

    Examples
    --------
    >>> incident_id("c1", "n017/gpu3", 1_700_000_000_000_000)
    'faf21c2a526b'
    """
    text = f"{cluster}\0{subject}\0{noticed}".encode()
    return hashlib.blake2b(text, digest_size=6).hexdigest()
