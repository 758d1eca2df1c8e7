"""Saying: where what people say is written down, and who is known there: a trace, a file that an agent reads, or Kafka."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import click

from grayscope.errors import UsageError, shorten
from grayscope.event import PEOPLE, Event
from grayscope.maintenance import NOTE, SECOND, places

if TYPE_CHECKING:
    from grayscope.brokers._kafkasettings import KafkaSettings
    from grayscope.roster import RosterRow, View

F = TypeVar("F", bound=Callable[..., Any])
SOURCE = "maintenance"


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


def carriers(command: F, since: str = "2d") -> F:
    """Add the options that say where."""
    for option in reversed((
        click.option("--trace", type=click.Path(path_type=Path), help="Recorded trace: its replay hears it."),
        click.option("--file", type=click.Path(path_type=Path), help="File that a source maintenance reads; else as configured."),
        click.option("--servers", help="host:port of Kafka's brokers, comma-separated; else as configured."),
        click.option("--config", type=click.Path(path_type=Path), help="Settings file; its sections collectors.maintenance and kafka."),
        click.option("--since", default=since, show_default=True, help="With Kafka: how far back to read what was said."),
    )):  # fmt: skip
        command = option(command)
    return command


def place_of(trace: Path | None, file: Path | None, servers: str | None, config: Path | None, since: str, now: float) -> Place | None:
    """Return where it goes: the place that was named, else the file and then the Kafka of the settings; None for nowhere."""
    if sum(x is not None for x in (trace, file, servers)) > 1:
        raise UsageError("--trace, --file, --servers: expected one of them, found several")
    if trace is not None:
        return InTrace(trace)
    if file is not None:
        return InFile(file)
    if servers is None and (path := configured(config)) is not None:
        return InFile(path)
    return _kafka(servers, config, since, now)


def needed(place: Place | None) -> Place:
    """Return the place, or say which there are."""
    if place is None:
        raise UsageError("nowhere to write it: name --trace DIR, --file FILE or --servers, or a --config with [collectors.maintenance] path or [kafka]")
    return place


def configured(config: Path | None) -> Path | None:
    """Return the file that the source ``maintenance`` of the settings reads."""
    from ._agentconfig import load_agent

    options = load_agent(config).sources.get(SOURCE, {})
    path = options.get("path")
    if path is not None and not isinstance(path, str):
        raise UsageError(f"collectors.{SOURCE}.path: expected text, found {shorten(path)}")
    return None if path is None or not options.get("enabled", True) else Path(path)


def _kafka(servers: str | None, config: Path | None, since: str, now: float) -> InKafka | None:
    from ._agentconfig import load_agent
    from ._kafkaoptions import kafka_options
    from ._moments import span

    options = kafka_options(config, {"bootstrap_servers": servers}, cell=load_agent(config).cell)
    if "bootstrap_servers" not in options:
        return None
    from grayscope.brokers._kafkasettings import kafka_settings

    return InKafka(kafka_settings(options), int(now * 1e6) - span(since))


def check(subject: str, rows: Iterable[RosterRow]) -> None:
    """Refuse a subject that nobody there is called, lies in or belongs to; where nobody is known anything may be.

    Raises
    ------
    UsageError
        Names the nearest that is known.
    """
    from grayscope.plugins import nearest
    from grayscope.roster import View

    if not subject or not subject.isprintable() or len(subject) > 256 or any(not part for part in subject.split("/")):
        raise UsageError(f"subject: expected a name such as n017 or n017/gpu3, found {shorten(subject)!r}")
    view = View(0, {row.subject: row for row in rows})
    known = {name for s in view.rows for name in places(s, view)}
    if len(known) > 1 and subject not in known:
        near = sorted(known, key=lambda name: name[:1] != subject[:1])[:5000]
        raise UsageError(f"{shorten(subject)}: nobody in the roster is called so or belongs there: {shorten(nearest(subject, near), 300)}; --anyway takes it")


def noted(text: str) -> str:
    """Return a note on one line; one that is too long is refused.

    Examples
    --------
    >>> noted(" new\\nfan ")
    'new fan'
    """
    if len(text) > NOTE:
        raise UsageError(f"--note: expected at most {NOTE} characters, found {len(text)}")
    return "".join(c if c.isprintable() else " " for c in text).strip()
