"""Failures: who fails in job after job, told once as a lemon; each failure is told by itself when it happens.

A machine whose GPU was lost in one job, hung in the next and had a fatal error in the third passes every check between them. What fails is taken
from the same evidence that the judge hears.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grayscope.evidence import Evidence, Finding
from grayscope.failing import Failing, Seat, part_of
from grayscope.horizons import threshold
from grayscope.recurring import WEEKS, Recurring
from grayscope.tick import Tick

HOUR = 3_600_000_000
#: Hours at most that one look stands for: while nobody looked, nobody could fail.
MOST = 2.0
#: What is so many nats too weak to be told is kept from the judge; every how many ticks of its table a lemon is told again.
SLACK, AGAIN = 2.3, 8


class Failures:
    """The station between blame and judge that remembers failures over jobs, 28 days long.

    Parameters
    ----------
    false_pages : float
        Accepted false pages per 1,000 subject-weeks; strength is on that scale.
    """

    def __init__(self, false_pages: float = 1.0) -> None:
        level = threshold(false_pages)
        self.least = max(level - SLACK, 0.0)
        self.failing, self.recurring = Failing(level), Recurring()
        self.found: list[Finding] = []
        self.ticks: dict[str, int] = {}
        self.looked = self.judged = 0
        self.roster = -1  # version of the view that the seats are of
        self._working: dict[str, tuple[list[str], NDArray[np.intp]]] | None = None

    def look(self, tick: Tick) -> None:
        """Take note of who works for what."""
        changed = tick.roster.version != self.roster
        if changed or tick.time - self.looked >= HOUR:
            self._expose(tick.time)
        if changed:
            self.roster, self._working = tick.roster.version, None
            told = {name: tick.roster.serial(name) for name in self.recurring.serials}
            again = self.recurring.replaced({name: serial for name, serial in told.items() if serial})
            began = self.failing.seat(tick.time, tick.roster)
            for kind, (names, sizes) in _sorted((name, self.failing.seats[name]) for name in began).items():
                self.recurring.begin(tick.time, kind, names, sizes)
            if again:
                self._judge(tick.time)

    def _expose(self, now: int) -> None:
        hours, self.looked = min((now - self.looked) / HOUR, MOST) if self.looked else 0.0, now
        if self._working is None:
            self._working = _sorted((name, seat) for name, seat in self.failing.seats.items() if seat.job)
        for kind, (names, sizes) in self._working.items():
            self.recurring.work(now, kind, names, sizes, hours)

    def step(self, evidence: Evidence, tick: Tick, planned: Callable[[str, int], bool]) -> Evidence:
        """Return the evidence with the lemons; `planned` tells of a part and a moment whether somebody worked there."""
        now = self.ticks[tick.table] = self.ticks.get(tick.table, 0) + 1
        if len(evidence):
            self.failing.hear(evidence, tick)
        settled = list(self.failing.settle(tick.time, planned))
        for failure, share, whole in settled:
            self.recurring.add(failure, share, whole, {name: tick.roster.serial(name) for name in (failure.part, failure.node)})
        if settled or tick.time - self.judged >= HOUR:
            self._judge(tick.time)
        if now % AGAIN or not self.found:
            return evidence
        told = [f._replace(time=tick.time) for f in self.found if self._table(f.subject, tick) == tick.table]
        return Evidence.join((evidence, Evidence(told))) if told else evidence

    def _table(self, name: str, tick: Tick) -> str:
        """Return the table in which a part is spoken of: its own where that has rows."""
        row = tick.roster.rows.get(name)
        return "" if row is None else row.table if row.table in self.ticks else min(self.ticks)

    def _judge(self, now: int) -> None:
        self.judged = max(now, self.judged)
        self.recurring.forget(self.judged)
        self.found = self.recurring.lemons(self.judged, {name: seat.kind for name, seat in self.failing.seats.items()}, self.least)

    def told(self, name: str) -> str:
        """Return in how many jobs a part failed before, in words; ``""`` where that is once at most."""
        times = self.recurring.times(part_of(name))
        return f"{part_of(name)} failed in {times} jobs in {7 * WEEKS} days" if times > 1 else ""

    def snapshot(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return the whole state."""
        rest = [self.failing.snapshot(), [list(f) for f in self.found], self.ticks, self.looked, self.judged, self.roster]
        return {**self.recurring.snapshot(), "failures": np.array(json.dumps(rest))}

    def restore(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Become what `snapshot` returned."""
        failing, found, self.ticks, self.looked, self.judged, self.roster = json.loads(str(state["failures"]))
        self.failing.restore(failing)
        self.recurring.restore(state)
        self.found, self._working = [Finding(*f) for f in found], None


def _sorted(seated: Iterable[tuple[str, Seat]]) -> dict[str, tuple[list[str], NDArray[np.intp]]]:
    """Return parts by kind, with the classes of the sizes of their jobs."""
    found: dict[str, tuple[list[str], list[int]]] = {}
    for name, seat in seated:
        names, sizes = found.get(seat.kind) or found.setdefault(seat.kind, ([], []))
        names.append(name)
        sizes.append(seat.size)
    return {kind: (names, np.array(sizes, np.intp)) for kind, (names, sizes) in found.items()}
