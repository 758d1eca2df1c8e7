"""Verdict: the state of one subject, spoken when it changes."""

from __future__ import annotations

from dataclasses import dataclass

#: The five states, calmest first.
STATES = ("normal", "unknown", "masked", "gray", "failed")


@dataclass(frozen=True, slots=True)
class Verdict:
    """One change of state.

    Parameters
    ----------
    time : int
        Event time of the tick that decided, microseconds.
    subject : str
    state, previous : str
        One of `STATES`.
    strength : float
        ln(subject-weeks between false alarms this strong); see `grayscope.evidence`.
    why : str
        One line: signal, value, peer median, number of peers, since.
    since : int
        Estimated onset, microseconds.
    mode, mechanism, metric, side : str
        ``""`` where it cannot be said.
    left : float
        What is left of the redundancy, NaN where unknown.
    exhausted_at : int or None
        When it will be spent, microseconds.
    table : str
        Table of the subject.
    rivals : tuple of (subject, probability)
        Others that the data cannot tell from the subject, most likely first.
    """

    time: int
    subject: str
    state: str
    previous: str
    strength: float
    why: str
    since: int
    mode: str = ""
    mechanism: str = ""
    metric: str = ""
    side: str = ""
    left: float = float("nan")
    exhausted_at: int | None = None
    table: str = ""
    rivals: tuple[tuple[str, float], ...] = ()
