"""Parquet: a trace on disk as a stream of messages, and a stream of messages as a trace."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import count, groupby
from pathlib import Path

from grayscope.batch import Batch
from grayscope.brokers._slices import slices
from grayscope.event import Event
from grayscope.message import Message
from grayscope.rates import Rates
from grayscope.roster import IDENTITY, Roster
from grayscope.trace import Trace
from grayscope.tracewriter import TraceWriter


class Parquet:
    """Read a trace by row group, or write one. Delivery: exactly once, in the recorded order, else by time.

    Memory is bounded by a few row groups per table as long as the files are sorted by time, as all our writers do.

    Parameters
    ----------
    path : path
        A trace directory.
    writer : TraceWriter, optional
        Given: `send` records into it, with the order of arrival.
    """

    def __init__(self, path: str | Path, *, writer: TraceWriter | None = None) -> None:
        self.path, self.writer = Path(path), writer
        self.counts: dict[str, int] = {}
        self._numbers = count(1)

    def send(self, message: Message) -> None:
        """Record one message; it is on disk once `close` has returned."""
        if self.writer is None:
            self.writer = TraceWriter(self.path)
        number = next(self._numbers)
        if isinstance(message, Batch):
            if message.table not in self.writer.tables:
                self.writer.describe(tables={message.table: {"counters": "increments"}})
            self.writer.batch(message, number)
        elif isinstance(message, Event):
            self.writer.event(message, number)
        else:
            self.writer.roster(message, number)

    def receive(self) -> Iterator[Message]:
        """Yield the trace's messages."""
        trace = Trace.open(self.path)
        trace.counts.clear()
        self.counts = trace.counts
        files = {table: trace.open_table(table) for table in trace.tables}
        recorded = all(f.has_arrived for f in files.values())
        roster = trace.roster_rows()
        swaps = replacements(Roster(row for row, _ in roster))
        streams: list[Iterator[tuple[int, int, int, Message]]] = []
        if roster and not recorded:
            yield tuple(row for row, _ in roster)
        elif roster:
            together = groupby(sorted(roster, key=lambda r: r[1]), key=lambda r: r[1])
            streams.append(iter([(a, 0, i, tuple(row for row, _ in rows)) for i, (a, rows) in enumerate(together)]))
        events = sorted(trace.arrived_events(), key=lambda e: (e[1] if recorded else e[0].time, e[0]))
        streams.append((a if recorded else e.time, 1, i, e) for i, (e, a) in enumerate(events))
        for i, (table, rows) in enumerate(files.items()):
            rates = Rates(trace.catalogue, cumulative=trace.counters[table] == "cumulative", counts=self.counts)
            batches = slices(rows, trace.periods[table], recorded, rates, swaps)
            streams.append(_numbered(batches, i + 2))
        for _, _, _, message in heapq.merge(*streams, key=lambda s: s[:3]):
            yield message

    def close(self) -> None:
        """Put what was recorded in place."""
        if self.writer is not None:
            self.writer.close()


def replacements(roster: Roster) -> list[tuple[int, str]]:
    """Return (time, subject) of every moment at which another physical part takes a subject's name.

    Examples
    --------
    >>> from grayscope.roster import RosterRow
    >>> old = RosterRow("n1/gpu0", "gpu", until=9, keys={"serial": "A"})
    >>> replacements(Roster([old, RosterRow("n1/gpu0", "gpu", since=9, keys={"serial": "B"})]))
    [(9, 'n1/gpu0')]
    """
    found = []
    known: dict[str, tuple[str, ...]] = {}
    for row in roster.rows:
        parts = tuple(row.keys.get(name, "") for name in IDENTITY)
        before = known.get(row.subject)
        if before and row.since is not None and any(a and b and a != b for a, b in zip(before, parts, strict=True)):
            found.append((row.since, row.subject))
        known[row.subject] = tuple(b or a for a, b in zip(before or parts, parts, strict=True))
    return sorted(found)


def _numbered(batches: Iterator[tuple[int, Batch]], stream: int) -> Iterator[tuple[int, int, int, Message]]:
    for i, (key, batch) in enumerate(batches):
        yield key, stream, i, batch
