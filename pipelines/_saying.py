"""Saying: options, settings and checks of what people say: where it goes, and whether anybody there is called so."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from grayscope import maintenance
from grayscope.agenda import places
from grayscope.errors import UsageError, shorten

from ._carriers import InFile, InKafka, InTrace, Place

if TYPE_CHECKING:
    from grayscope.roster import RosterRow

F = TypeVar("F", bound=Callable[..., Any])
SOURCE = "maintenance"


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


def place_of(trace: Path | None, file: Path | None, servers: str | None, config: Path | None, since: str, now: float, followed: bool = True) -> Place | None:
    """Return where it goes: the place that was named, else the file that is `followed` and then the Kafka of the settings; None for nowhere."""
    if sum(x is not None for x in (trace, file, servers)) > 1:
        raise UsageError("--trace, --file, --servers: expected one of them, found several")
    if trace is not None:
        return InTrace(trace)
    if file is not None:
        return InFile(file)
    if followed and servers is None and (path := configured(config)) is not None:
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
    if len(text) > maintenance.NOTE:
        raise UsageError(f"--note: expected at most {maintenance.NOTE} characters, found {len(text)}")
    return maintenance.noted(text)
