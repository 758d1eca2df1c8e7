"""Tracks: what a judge holds about each subject: its state, and every finding about it as long as that holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from grayscope.evidence import Finding

#: A finding holds for so many ticks of the table that it came from without being seen again, and for so many of its subject's: a subject is
#: decided about when its own table ticks, and what comes and goes in between must not be lost.
HOLD, LEAST = 40, 2


@dataclass(slots=True)
class Track:
    """One finding of one detector about one metric of one subject, as long as it holds; times in microseconds."""

    finding: Finding
    seen: int
    since: int
    #: Period of the table that it came from, and until when it holds.
    period: int
    holds: int


@dataclass(slots=True)
class Case:
    """All that is held about one subject; times in microseconds."""

    table: str
    state: str = "normal"
    #: When a finding supported the state last, and the period of the table that it came from.
    supported: int = 0
    pace: int = 0
    mode: str = ""
    tracks: dict[tuple[str, str], Track] = field(default_factory=dict)
    #: When it was first to become a ticket; -1 while it is not waiting to.
    asked: int = -1
    #: What was known to be wrong with it, by its reserves or by its own word, when it was last spoken of.
    known: tuple[str, ...] = ()
    #: Until this moment nothing changes unless something new is heard, and whether the tracks uphold the state so long; found again after a pause.
    rests: int = -1
    upheld: bool = False

    def resting(self, now: int) -> bool:
        """Say whether there is nothing to decide: nothing was heard, nothing expires, no patience ends; what upholds a state goes on doing so."""
        if now > self.rests:
            return False
        if self.upheld:
            self.supported = now
        return True

    def told(self) -> list[Any]:
        """Return all of it as JSON takes it."""
        tracks = [[*key, list(t.finding), t.seen, t.since, t.period, t.holds] for key, t in self.tracks.items()]
        return [self.table, self.state, self.supported, self.pace, self.mode, self.asked, tracks, self.known]


def case_of(told: Sequence[Any]) -> Case:
    """Return a case from what it told, as JSON gives that back.

    Examples
    --------
    >>> case = Case("gpu", "masked", 7, 10, tracks={("slower", "m"): Track(Finding(7, "n1/gpu0", "condition", "slower", 9.0), 7, 5, 10, 407)})
    >>> case_of(case.told()) == case
    True
    """
    table, name, supported, pace, mode, asked, tracks, known = told
    held = {(d, m): Track(Finding(*f), seen, since, period, holds) for d, m, f, seen, since, period, holds in tracks}
    return Case(table, name, supported, pace, mode, held, asked, tuple(known))
