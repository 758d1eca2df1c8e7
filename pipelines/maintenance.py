"""Maintenance: say what work is planned where and until when, so that what is wrong there is named and nobody is called."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from ._saying import carriers, check, needed, noted, place_of

if TYPE_CHECKING:
    from grayscope.maintenance import Work

    from ._carriers import Place

#: A moment in the year 9000: what is further away has no date.
LATEST = 221_845_392_000 * 1_000_000


@click.group()
def command() -> None:
    """Plan work, see what is planned, end it.

    While work goes on, what is wrong on its subject and below it is a notice that says what was seen. What is still wrong when the work is over is
    announced as what it is. A subject is a part, a node, or what the roster says things belong to (a rack, a leaf, a job); site is everything.

    \b
    Examples:
      grayscope maintenance add n017 --for 2h --note "new risers" --config grayscope.toml
      grayscope maintenance add leaf04 --start 2026-03-01T22:00:00Z --end 2026-03-02T02:00:00Z --file planned.jsonl
      grayscope maintenance add site --start +30m --for 1h --trace mytrace
      grayscope maintenance end n017 --config grayscope.toml
    """


@command.command()
@click.argument("subject")
@click.option("--start", default="now", show_default=True, help="When it begins: a time, or +2h or -10m; in a trace, from its first row.")
@click.option("--end", help="When it ends; without --end and --for it is over after maintenance_longest (1d).")
@click.option("--for", "length", help="How long it takes, such as 2h.")
@click.option("--note", default="", help="Why; it is shown in the notice.")
@click.option("--anyway", is_flag=True, help="Take a subject that nobody knows.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@carriers
def add(subject: str, start: str, end: str | None, length: str | None, note: str, anyway: bool, as_json: bool, **where: Any) -> None:
    """Plan work on SUBJECT; of two plans with one start the later counts.

    \b
    Example:
      grayscope maintenance add n017/gpu3 --for 90m --note "swap" --config grayscope.toml
    """
    from grayscope.maintenance import Work

    from ._moments import moment, span

    now = time.time()
    place = needed(place_of(**where, now=now))
    base = now if place.base is None else place.base
    began = _seconds(moment(start, base))
    if end is not None and length is not None:
        from grayscope.errors import UsageError

        raise UsageError("--end, --for: expected one of them, found both")
    until = began + span(length) if length is not None else _seconds(moment(end, base)) if end is not None else None
    _possible(began, until, now if place.base is None else None)
    check(subject, () if anyway else place.rows())
    work = Work(subject, began, until, noted(note), int(now * 1e6))
    place.add([work.event(work.told)])
    _show([work], as_json, None if place.base is not None else Clock(now, _longest(where["config"])))


def _possible(began: int, until: int | None, now: float | None) -> None:
    from grayscope.errors import UsageError
    from grayscope.maintenance import HOUR, NEVER_BEYOND, stamp

    for option, at in (("--start", began), ("--end", until)):
        if at is not None and not 0 <= at < LATEST:
            raise UsageError(f"{option}: expected a time after 1970 and before 9000, found one {'before' if at < 0 else 'after'}")
    if until is not None and until <= began:
        raise UsageError(f"--end: expected a time after {stamp(began)}, found {stamp(until)}")
    if until is not None and until - began > NEVER_BEYOND:
        raise UsageError(f"--end: expected at most {NEVER_BEYOND // HOUR // 24} days of work, found {(until - began) // HOUR // 24}")
    if now is not None and until is not None and until <= now * 1e6:
        raise UsageError(f"--end: expected a time to come, found {stamp(until)}")


@command.command("list")
@click.option("--all", "everything", is_flag=True, help="Also what is over.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@carriers
def list_(everything: bool, as_json: bool, **where: Any) -> None:
    """Show the work that is planned or goes on; of a trace, all of it.

    \b
    Example:
      grayscope maintenance list --config grayscope.toml
    """
    now = time.time()
    place = needed(place_of(**where, now=now))
    clock = None if place.base is not None else Clock(now, _longest(where["config"]))
    works = [w for w in _works(place) if everything or clock is None or clock.state(w) != "over"]
    _show(works, as_json, clock)


@command.command()
@click.argument("name", metavar="SUBJECT|ID")
@click.option("--at", default="now", show_default=True, help="When it ended, or ends; in a trace, from its first row.")
@click.option("--note", default="", help="What came of it.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@carriers
def end(name: str, at: str, note: str, as_json: bool, **where: Any) -> None:
    """End all work on a subject, or one piece of it by its id; what has not begun is called off. This is the last word.

    \b
    Example:
      grayscope maintenance end n017 --config grayscope.toml
    """
    from grayscope.errors import UsageError, shorten
    from grayscope.plugins import nearest

    from ._moments import moment

    now = time.time()
    place = needed(place_of(**where, now=now))
    moved = _seconds(moment(at, now if place.base is None else place.base))
    longest = _longest(where["config"])
    works = [w for w in _works(place) if not w.closed and w.until(longest) > moved]
    meant = [w for w in works if name in (w.subject, w.id)]
    if not meant:
        known = [x for w in works for x in (w.subject, w.id)]
        raise UsageError(f"no work that goes on or is to come is on {shorten(name)!r}: {shorten(nearest(name, known), 300) if known else 'none is planned'}")
    told = int(now * 1e6)
    ended = [replace(w, end=max(moved, w.start), note=noted(note) or w.note, told=told, closed=True) for w in meant]
    place.add([w.event(told) for w in ended])
    _show(ended, as_json, None if place.base is not None else Clock(now, longest))


def _works(place: Place) -> list[Work]:
    from grayscope.agenda import Agenda

    agenda = Agenda()
    for event in place.events():
        agenda.take(event)
    return sorted(agenda.works.values(), key=lambda w: (w.start, w.subject))


def _seconds(moment: int) -> int:
    return moment // 1_000_000 * 1_000_000


def _longest(config: Path | None) -> int:
    from grayscope.settings import load_settings

    return round(load_settings(config).maintenance_longest * 1e6)


class Clock(NamedTuple):
    """The time on the wall, and how long work without an end lasts."""

    now: float
    longest: int

    def state(self, work: Work) -> str:
        """Say how a piece of work stands."""
        moment = int(self.now * 1e6)
        return "over" if work.until(self.longest) <= moment else "goes on" if work.start <= moment else "planned"


def _show(works: Sequence[Work], as_json: bool, clock: Clock | None) -> None:
    for line in _json(works, clock) if as_json else _lines(works, clock):
        click.echo(line)


def _json(works: Sequence[Work], clock: Clock | None) -> Iterator[str]:
    from grayscope.maintenance import stamp

    for w in works:
        told = {"id": w.id, "subject": w.subject, "start": stamp(w.start), "end": None if w.end is None else stamp(w.end), "note": w.note, "ended": w.closed}
        yield json.dumps(told | ({} if clock is None else {"state": clock.state(w)}))


def _lines(works: Sequence[Work], clock: Clock | None) -> Iterator[str]:
    from grayscope.errors import shorten
    from grayscope.maintenance import stamp

    for w in works:
        until = "no end told " if w.end is None else stamp(w.end)
        state = f"  {clock.state(w)}" if clock is not None else ""
        yield f"{w.id}  {stamp(w.start)}  {until:<20}  {shorten(w.subject, 60)}{state}{f'  {shorten(w.note, 200)}' if w.note else ''}"
    if not works:
        yield "no work is planned"
