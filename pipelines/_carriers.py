"""Carriers: where what people say is written down, and who is known there: a trace, a file that a source follows, or Kafka."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import click

from grayscope.agenda import places
from grayscope.event import PEOPLE, Event
from grayscope.maintenance import SECOND

if TYPE_CHECKING:
    from grayscope.brokers._kafkasettings import KafkaSettings
    from grayscope.roster import RosterRow, View


class Place(Protocol):
    """Where it goes. `base` is what ``now`` means there, seconds since 1970, None for the clock on the wall."""

    name: str
    base: float | None

    def rows(self) -> Sequence[RosterRow]:
        """Return who is known; nobody where that cannot be known."""
        ...

    def events(self) -> list[Event]:
        """Return what people have said here."""
        ...

    def add(self, events: Sequence[Event], cell: str = "") -> None:
        """Write events down; they are safe when this returns."""
        ...


class InTrace:
    """A recorded trace: what is said counts from its first row on."""

    def __init__(self, path: Path) -> None:
        from grayscope.told import begins
        from grayscope.trace import Trace

        self.name, self.trace = str(path), Trace.open(path)
        self.begins = begins(self.trace)
        self.base: float | None = self.begins / 1e6

    def rows(self) -> Sequence[RosterRow]:
        """Return the trace's roster."""
        return [row for row, _ in self.trace.roster_rows()]

    def events(self) -> list[Event]:
        """Return what people have said."""
        return [e for e in self.trace.events() if e.source in PEOPLE]

    def add(self, events: Sequence[Event], cell: str = "") -> None:
        """Add to the trace's events, as if told when it begins."""
        from dataclasses import replace

        from grayscope.told import add_to_trace

        del cell
        first = self.begins - SECOND + len(self.events())  # in the order in which it was said
        add_to_trace(self.trace.path, [replace(e, time=first + i) for i, e in enumerate(events)])


class InFile:
    """A file of JSON lines that the source ``maintenance`` of an agent, `live` or `watch` follows."""

    base: float | None = None

    def __init__(self, path: Path) -> None:
        self.name, self.path = str(path), path

    def rows(self) -> Sequence[RosterRow]:
        """Return nobody: a file knows no roster."""
        return ()

    def events(self) -> list[Event]:
        """Return what is in the file; lines that are no events are named."""
        from grayscope.told import read_file

        events, problems = read_file(self.path)
        for problem in problems:
            click.echo(f"grayscope: {problem}", err=True)
        return [e for e in events if e.source in PEOPLE]

    def add(self, events: Sequence[Event], cell: str = "") -> None:
        """Append to the file."""
        from grayscope.told import add_to_file

        del cell
        add_to_file(self.path, events)


class InKafka:
    """The topic of events: to every cell that it concerns."""

    base: float | None = None

    def __init__(self, settings: KafkaSettings, since: int) -> None:
        self.settings, self.since = settings, since
        self.name = settings.topic("events")
        self._rows: list[RosterRow] | None = None

    def rows(self) -> Sequence[RosterRow]:
        """Return the roster."""
        from grayscope.brokers._kafkatold import roster

        if self._rows is None:
            self._rows = list(roster(self.settings))
        return self._rows

    def events(self) -> list[Event]:
        """Return what people have said since the time given."""
        from grayscope.brokers._kafkatold import events

        return sorted(set(events(self.settings, self.since)))

    def add(self, events: Sequence[Event], cell: str = "") -> None:
        """Send to one cell, else to all in which the subject or something that lies there is."""
        from grayscope.brokers._kafkatold import tell

        tell(self.settings, [(c, e) for e in events for c in ([cell] if cell else self._cells(e.subject))])

    def _cells(self, subject: str) -> list[str]:
        from grayscope.roster import View

        rows = self.rows()
        view = View(0, {row.subject: row for row in rows})
        of = {row.subject: row.keys.get("cell") or _cell_of(row.subject, view) for row in rows}
        there = {cell for name, cell in of.items() if cell and subject in places(name, view)}
        return sorted(there or {cell for cell in of.values() if cell}) or [self.settings.cell]


def _cell_of(subject: str, view: View) -> str:
    row = view.rows.get(subject.partition("/")[0])
    return row.keys.get("cell", "") if row is not None else ""
