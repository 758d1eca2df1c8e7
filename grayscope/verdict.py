"""Verdict: the state of one subject, spoken when it changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

#: The five states, calmest first.
STATES = ("normal", "unknown", "masked", "gray", "failed")


class Signal(NamedTuple):
    """One finding as it held when the verdict was spoken; None is unknown, so that equal signals are equal and JSON can hold them.

    `expected` is the median of `n_peers` peers, or (without peers) what the component itself used to be, or a limit. Times are microseconds.
    """

    side: str
    detector: str
    metric: str
    mode: str
    strength: float
    value: float | None
    expected: float | None
    n_peers: int
    since: int
    left: float | None
    exhausted_at: int | None
    why: str


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
    shown : tuple of Signal
        What it rests on: the finding that decided, its cause, and what else held.
    behind : str
        With the mode ``maintenance``: the mode that trouble would have without the work; it decides what belongs together.
    also : tuple of str
        Modes of what else is wrong with the subject itself, by its reserves or by its own word; what others suffer may be theirs.
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
    shown: tuple[Signal, ...] = ()
    behind: str = ""
    also: tuple[str, ...] = ()
