"""Feedback: say which incidents were true and which were false, and see the precision in the field."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ._saying import carriers, noted, place_of

if TYPE_CHECKING:
    from grayscope.feedback import Answer, Asked, Precision

    from ._answering import Answered

F = TypeVar("F", bound=Callable[..., Any])


class Answering(click.Group):
    """A group whose first word may also be an incident: then it is answered."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """Take what is no command for an incident."""
        return super().resolve_command(ctx, args if args and args[0] in self.commands else ["answer", *args])


@click.group(cls=Answering)
def command() -> None:
    """Answer incidents: grayscope feedback INCIDENT true|false; the last word on each counts.

    Answers are events: in the results directory, or in the trace, file or Kafka that is named; they change no verdict.

    \b
    Examples:
      grayscope feedback 3163163ee54d true --note "fan was dead" --results results
      grayscope feedback 3163163ee54d false --config grayscope.toml
      grayscope feedback report --results results
    """


def source(command: F) -> F:
    """Add the options that say which incidents, and where the answers are."""
    option = click.option("--results", type=click.Path(path_type=Path), help="Directory that replay --out wrote; without it, Kafka's incidents.")
    return option(carriers(command, since="7d"))


@command.command()
@click.argument("incident")
@click.argument("word", metavar="true|false", type=click.Choice(["true", "false"]))
@click.option("--note", default="", help="What was found.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@source
def answer(incident: str, word: str, note: str, as_json: bool, results: Path | None, **where: Any) -> None:
    """Say whether INCIDENT, an id, its beginning, or a subject that has only one, was true.

    \b
    Example:
      grayscope feedback 3163163ee54d false --note "firmware test" --results results
    """
    from grayscope.feedback import Answer

    now = time.time()
    answered = _answered(results, where, now)
    found = answered.one(incident)
    told = int(now * 1e6)
    said = Answer(found.id, found.subject, word == "true", told, noted(note))
    answered.carrier().add([said.event(told)], found.cell)
    _show(found, said, as_json)


@command.command("list")
@click.option("--unanswered", is_flag=True, help="Only what nobody has answered.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@source
def list_(unanswered: bool, as_json: bool, results: Path | None, **where: Any) -> None:
    """List the incidents with what was said of each, the latest first.

    \b
    Example:
      grayscope feedback list --unanswered --results results
    """
    answered = _answered(results, where, time.time())
    said = answered.said()
    for found in sorted(answered.incidents, key=lambda i: (-i.noticed, i.id)):
        if not (unanswered and found.id in said):
            _show(found, said.get(found.id), as_json)


@command.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@source
def report(as_json: bool, results: Path | None, **where: Any) -> None:
    """Tell the precision in the field: true / (true + false) with Wilson's interval (95 %), by severity and by mode.

    \b
    Example:
      grayscope feedback report --results results --json
    """
    from grayscope.feedback import in_the_field

    answered = _answered(results, where, time.time())
    said = answered.said()
    found = in_the_field(answered.incidents, said)
    strays = len(said.keys() - {i.id for i in answered.incidents})
    if as_json:
        click.echo(json.dumps({kind: {name: p._asdict() for name, p in of.items()} for kind, of in found.items()} | {"of_other_incidents": strays}))
        return
    for line in _lines(found, strays):
        click.echo(line)


def _answered(results: Path | None, where: dict[str, Any], now: float) -> Answered:
    from ._answering import Answered

    return Answered(results, place_of(**where, now=now, followed=results is not None))  # Kafka's incidents are answered in Kafka


def _show(found: Asked, said: Answer | None, as_json: bool) -> None:
    from grayscope.errors import shorten
    from grayscope.maintenance import stamp
    from grayscope.wording import utc

    if as_json:
        told = {"incident": found.id, "subject": found.subject, "mode": found.mode or None, "severity": found.severity, "noticed": utc(found.noticed)}
        answer = {} if said is None else {"true": said.true, "told": stamp(said.told), "note": said.note}
        click.echo(json.dumps({**told, "true": None, "told": None, "note": None, **answer}))
        return
    word = "unanswered" if said is None else f"{'true' if said.true else 'false'}{f'  {shorten(said.note, 200)}' if said.note else ''}"
    name = shorten(found.mode, 60) or "no name"
    click.echo(f"{shorten(found.id, 60)}  {found.severity:<6}  {utc(found.noticed)}  {shorten(found.subject, 60)} [{name}]  {word}")


def _lines(found: dict[str, dict[str, Precision]], strays: int) -> Iterator[str]:
    from grayscope.errors import shorten
    from grayscope.feedback import in_words

    for kind, of in found.items():
        for name, precision in of.items():
            if precision.true + precision.false + precision.unanswered:
                yield f"{kind:<8}  {shorten(name, 60):<24}  {in_words(precision)}"
    if not any(sum(p[:3]) for p in found["severity"].values()):
        yield "no incident to answer"
    if strays:
        yield f"{strays} answers are about incidents that are not here"
