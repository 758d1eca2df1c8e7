"""Holding: what one cell's engine holds, copied where its thread is, so that others may read it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from grayscope.alert import Alert
    from grayscope.engine import Engine, Output
    from grayscope.ledger import Entry

#: Coverage tells about the last five to ten minutes, in microseconds.
WINDOW = 300_000_000


class Covered(NamedTuple):
    """Values of one metric that were expected and that came, in all, at one time; and of how many subjects."""

    time: int
    expected: int
    reported: int
    subjects: int


class Holding:
    """States, alerts, redundancy and coverage of one cell."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.states = {s: (getattr(c, "table", ""), engine.planned.told(s, c.state)) for s, c in engine.judge.cases.items() if c.state != "normal"}
        self.ledger: dict[tuple[str, str, str], Entry] = {}
        self.alerts: dict[str, Alert] = dict(engine.announce.firing)
        self.covered: dict[tuple[str, str], Covered] = {}
        self.before: dict[tuple[str, str], tuple[Covered, Covered]] = {}  # two earlier looks, a window apart
        self.counts: dict[str, int] = {}
        for of in engine.announce.ledger.values():
            self._spend(of.values())
        self._count()

    @property
    def time(self) -> int:
        """Event time of the newest tick, microseconds; 0 before the first."""
        return max((c.time for c in self.covered.values()), default=0)

    def take(self, output: Output) -> None:
        """Take note of one step."""
        for verdict in output.verdicts:
            if verdict.state == "normal":
                self.states.pop(verdict.subject, None)
            else:
                self.states[verdict.subject] = (verdict.table, verdict.state)
        self._spend(output.ledger)
        if output.incidents or output.alerts:
            self.alerts = dict(self.engine.announce.firing)
        if self.engine.ticks != self.counts.get("ticks"):  # not at every message: that is dear
            self._count()

    def coverage(self, key: tuple[str, str]) -> float:
        """Return the part of the values of a metric that came lately."""
        now = self.covered[key]
        old = self.before[key][0] if key in self.before else Covered(0, 0, 0, 0)
        expected = now.expected - old.expected
        return (now.reported - old.reported) / expected if expected > 0 else 1.0

    def _spend(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            key = (entry.subject, entry.mechanism, entry.unit)
            if entry.spent > 0 and entry.left >= 0:
                self.ledger[key] = entry
            else:
                self.ledger.pop(key, None)

    def _count(self) -> None:
        self.counts = dict(self.engine.counts)
        for key, c in self.engine.coverage.items():
            now = self.covered[key] = Covered(c.last, c.expected, c.reported, c.subjects)
            first, second = self.before.get(key, (Covered(c.last, 0, 0, 0),) * 2)
            if now.time - second.time >= WINDOW:
                self.before[key] = (second, now)
            else:
                self.before[key] = (first, second)
