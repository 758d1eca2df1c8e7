"""Align: from messages to ticks, in event time; late, doubled, split and shuffled rows are settled here, once.

A tick at time t holds the rows stamped in (t - period, t]. It closes when every cell that its table expects has been
reported, else when the watermark (latest event time - lateness) reaches it, and ticks leave in order of (time, table).

What a tick contains does not depend on the order of arrival within the watermark. Two rules pay for that: events wait
out the lateness, and a metric that a subject never reported before is admitted only once the lateness has passed since
it first appeared (its first row might otherwise come just before or just after an early close).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from grayscope import alignstate
from grayscope.alignclock import Clock
from grayscope.aligntable import Table
from grayscope.batch import Batch
from grayscope.event import PEOPLE, Event
from grayscope.message import Message
from grayscope.roster import Roster
from grayscope.tick import Tick

SECOND = 1_000_000
HOUR = 3600 * SECOND
#: Events that wait for a tick at one time; beyond, those from the future and then the oldest are dropped, counted.
EVENTS = 1 << 16


@dataclass(frozen=True, slots=True)
class AlignSettings:
    """How long to wait, and for whom.

    Parameters
    ----------
    lateness : int
        Microseconds that a row may come after younger ones and still count.
    period : int
        Period of a table that nobody described, microseconds.
    eager : bool
        Close a tick as soon as it is complete. The contents are the same either way; live runs want the speed.
    empty : int
        How many ticks without any row a table may utter before it falls silent until its next row.
    ahead : int
        A row this far after everything else is suspected of a wrong clock, microseconds.
    """

    lateness: int = 30 * SECOND
    period: int = 10 * SECOND
    eager: bool = True
    empty: int = 12
    ahead: int = HOUR


class Align:
    """The station. `step` takes one message and yields the ticks that it closed.

    Parameters
    ----------
    counter : callable
        Says whether a metric name is a counter (increments add up within a tick, gauges replace each other).
    periods : mapping of str to int
        Period of each table in microseconds.
    """

    def __init__(self, counter: Callable[[str], bool], periods: Mapping[str, int] | None = None, settings: AlignSettings | None = None) -> None:
        self.counter = counter
        self.periods = dict(periods or {})
        self.settings = settings or AlignSettings()
        self.roster = Roster()
        self.tables: dict[str, Table] = {}
        self.events: set[Event] = set()
        names = ("rows", "late", "duplicate", "conflicting", "wrong_table", "too_many", "clock_ahead", "events", "late_events", "events_dropped")
        self.counts = dict.fromkeys(names, 0)
        self.clock = Clock(self.settings.ahead, self.counts)

    @property
    def now(self) -> int | None:
        """The latest event time that is believed, microseconds."""
        return self.clock.now

    def step(self, message: Message) -> Iterator[Tick]:
        """Take one message; yield closed ticks in order of (time, table)."""
        if isinstance(message, Batch):
            self._overrule(self.clock.overruled(message))
            whole = bool(np.isfinite(message.values).all())
            finite = message if whole else _finite(message)
            for batch in self.clock.trusted(finite, (s for t in self.tables.values() for s in t.subjects)):
                self._take(batch, whole and batch is finite)
        elif isinstance(message, Event):
            self._event(message)
        else:
            self.roster = self.roster.with_rows(message)
        yield from self._closed(final=False)

    def flush(self) -> Iterator[Tick]:
        """Yield everything that is still open: the stream has ended."""
        held, self.clock.held = self.clock.held, []
        for batch in held:
            if self.clock.dry:
                self._take(batch)
            else:
                self.counts["clock_ahead"] += batch.rows
        yield from self._closed(final=True)

    def snapshot(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return all that is held between two messages, open ticks included."""
        return alignstate.snapshot(self)

    def restore(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Become what `snapshot` returned, with the same settings."""
        alignstate.restore(self, state)

    # -- taking -----------------------------------------------------------------------------------------------------

    def _take(self, batch: Batch, whole: bool = False) -> None:
        table = self.tables.get(batch.table)
        if table is None:
            period = self.periods.get(batch.table, self.settings.period)
            table = self.tables[batch.table] = Table(batch.table, period, self.settings, self.counter, self.counts)
        for k, time in enumerate(batch.times.tolist()):
            table.take(time, batch, k, whole)
        if len(batch.times):
            self.clock.advance(int(batch.times[-1]))

    def _event(self, event: Event) -> None:
        if event.source in PEOPLE and self.now is not None and event.time <= self.now - self.settings.lateness:
            event = replace(event, time=self.now - self.settings.lateness + 1)  # what people say is not too late because their clock is
        if event.source != "clock":
            self.counts["events"] += event.count
            done = [t.last for t in self.tables.values() if t.last is not None]
            if done and event.time <= min(done) - self.settings.lateness:
                self.counts["late_events"] += event.count
            else:
                self.events.add(event)
        if event.source not in PEOPLE:
            self.clock.event(event.time, event.subject)
        if len(self.events) > EVENTS:
            self._drop_events()

    def _drop_events(self) -> None:
        """Make room for a quarter: a table that died must not keep events for ever."""
        assert self.now is not None
        edge = self.now + self.settings.ahead
        ordered = sorted(self.events, key=lambda e: (e.time <= edge, e))
        gone = max(EVENTS // 4, len(ordered) - EVENTS)
        self.counts["events_dropped"] += sum(e.count for e in ordered[:gone])
        self.events = set(ordered[gone:])

    def _overrule(self, edge: int | None) -> None:
        """Take back what the first clock said beyond `edge`: it was far ahead of the others."""
        if edge is not None:
            for table in self.tables.values():
                for batch in table.withdraw(edge):
                    self.clock.hold(batch)

    # -- closing ----------------------------------------------------------------------------------------------------

    def _closed(self, final: bool) -> Iterator[Tick]:
        if self.now is None:
            return
        watermark = self.now - self.settings.lateness
        while True:
            due = [(time, t.name) for t in self.tables.values() if (t.pending or not final) and (time := t.due()) is not None]
            if not due:
                return
            time, name = min(due)
            table = self.tables[name]
            if not (final or time <= watermark or table.complete(time, self.now, self.roster)):
                return
            tick = table.close(time, self.roster, self._events(table.last, time))
            if tick is not None:
                yield tick
            self._forget()

    def _events(self, last: int | None, time: int) -> tuple[Event, ...]:
        """Return the events that have waited out the lateness since the table's previous tick."""
        if not self.events:
            return ()
        low = -(2**63) if last is None else last - self.settings.lateness
        return tuple(sorted(e for e in self.events if low < e.time <= time - self.settings.lateness))

    def _forget(self) -> None:
        """Drop the events that every table has seen."""
        if self.events:
            oldest = min((t.last for t in self.tables.values() if t.last is not None), default=None)
            if oldest is not None:
                self.events = {e for e in self.events if e.time > oldest - self.settings.lateness}


def _finite(batch: Batch) -> Batch:
    """Return the batch with infinities as what they are: not reported."""
    infinite = np.isinf(batch.values)
    return replace(batch, values=np.where(infinite, np.float32(np.nan), batch.values)) if infinite.any() else batch
