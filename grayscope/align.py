"""Align: from messages to ticks, in event time; late, doubled, split and shuffled rows are settled here, once.

A tick at time t holds the rows stamped in (t - period, t]. It closes when every cell that its table expects has been
reported, else when the watermark (latest event time - lateness) reaches it, and ticks leave in order of (time, table).

What a tick contains does not depend on the order of arrival within the watermark. Two rules pay for that: events wait
out the lateness, and a metric that a subject never reported before is admitted only once the lateness has passed since
it first appeared (its first row might otherwise come just before or just after an early close).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from grayscope.aligntable import Table
from grayscope.batch import Batch
from grayscope.event import Event
from grayscope.message import Message
from grayscope.roster import Roster
from grayscope.tick import Tick

SECOND = 1_000_000
HOUR = 3600 * SECOND


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
        self.now: int | None = None
        self.held: list[Batch] = []
        self.dry = True
        self.counts = dict.fromkeys(("rows", "late", "duplicate", "conflicting", "wrong_table", "too_many", "clock_ahead", "events", "late_events"), 0)

    def step(self, message: Message) -> Iterator[Tick]:
        """Take one message; yield closed ticks in order of (time, table)."""
        if isinstance(message, Batch):
            for batch in self._trusted(message):
                self._take(batch)
        elif isinstance(message, Event):
            self._event(message)
        else:
            self.roster = self.roster.with_rows(message)
        yield from self._closed(final=False)

    def flush(self) -> Iterator[Tick]:
        """Yield everything that is still open: the stream has ended."""
        held, self.held = self.held, []
        for batch in held:
            if self.dry:
                self._take(batch)
            else:
                self.counts["clock_ahead"] += batch.rows
        yield from self._closed(final=True)

    # -- taking -----------------------------------------------------------------------------------------------------

    def _take(self, batch: Batch) -> None:
        table = self.tables.get(batch.table)
        if table is None:
            period = self.periods.get(batch.table, self.settings.period)
            table = self.tables[batch.table] = Table(batch.table, period, self.settings, self.counter, self.counts)
        for k, time in enumerate(batch.times.tolist()):
            table.take(time, batch, k)
        self._advance(int(batch.times[-1]) if len(batch.times) else None)

    def _event(self, event: Event) -> None:
        if event.source != "clock":
            self.counts["events"] += event.count
            done = [t.last for t in self.tables.values() if t.last is not None]
            if done and event.time <= min(done) - self.settings.lateness:
                self.counts["late_events"] += event.count
            else:
                self.events.add(event)
        if self.now is None or event.time <= self.now + self.settings.ahead:
            self._advance(event.time)

    def _advance(self, time: int | None) -> None:
        if time is not None and (self.now is None or time > self.now):
            self.now = time

    # -- clocks that jump -------------------------------------------------------------------------------------------

    def _trusted(self, batch: Batch) -> Iterator[Batch]:
        """Hold back rows from the far future until most nodes agree with them or nobody says otherwise."""
        if not len(batch.times):
            return
        if self.now is None or int(batch.times[-1]) <= self.now + self.settings.ahead:
            self.dry = False
            yield batch
            return
        cut = int(np.searchsorted(batch.times, self.now + self.settings.ahead, side="right"))
        if cut:
            self.dry = False
            yield _slice(batch, 0, cut)
        if not self.held:
            self.dry = True
        self.held.append(_slice(batch, cut, len(batch.times)))
        if self._agreed():
            held, self.held, self.dry = self.held, [], False
            yield from sorted(held, key=lambda b: int(b.times[0]))
        elif len(self.held) > 4096:
            self.counts["clock_ahead"] += self.held.pop(0).rows

    def _agreed(self) -> bool:
        roots = {s.split("/", 1)[0] for b in self.held for s in b.subjects}
        known = {s.split("/", 1)[0] for t in self.tables.values() for s in t.subjects}
        return 2 * len(roots & known) >= len(known) or (self.dry and len(self.held) >= 32)

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


def _slice(batch: Batch, start: int, stop: int) -> Batch:
    return Batch(batch.table, batch.times[start:stop], batch.subjects, batch.metrics, batch.values[start:stop])
