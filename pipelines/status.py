"""Status: how a fleet stands by a run's results: who is not normal, what is open, what runs out, what was watched."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from grayscope.incident import Incident
    from grayscope.ledger import Entry
    from grayscope.results import Results

#: Lines of each part for a person.
MOST = 20


@click.command()
@click.option("--results", type=click.Path(path_type=Path), required=True, help="Directory that replay --out wrote.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--exit-code", is_flag=True, help="Exit 1 if a page or a ticket is open.")
def command(results: Path, as_json: bool, exit_code: bool) -> int:
    """Show how things stood at the end of a run.

    \b
    Examples:
      grayscope status --results results
      grayscope status --results results --json
    """
    from grayscope.recalling import recall_entries, recall_incidents
    from grayscope.results import read_results

    read = read_results(results)
    incidents = recall_incidents(read.incidents, str(results / "incidents.parquet"))
    opened = [i for i in incidents if i.ended is None]
    held = _running_out(recall_entries(read.ledger, str(results / "ledger.parquet")))
    document = _document(read, opened, held) | {"feedback": _feedback(results, incidents)}
    if as_json:
        click.echo(json.dumps(document))
    else:
        for line in _lines(document, opened, held):
            click.echo(line)
    return int(exit_code and any(i.severity in ("page", "ticket") for i in opened))


def _document(read: Results, opened: list[Incident], held: list[Entry]) -> dict[str, Any]:
    from grayscope.saidrows import incident_dict
    from grayscope.wording import utc

    states = {row["subject"]: row["state"] for row in read.verdicts.select(["subject", "state"]).to_pylist()}
    cover = read.coverage.select(["metric", "share"]).to_pylist()
    return {
        "trace": read.run.get("trace"), "input": read.run.get("input"),
        "states": dict(sorted(Counter(s for s in states.values() if s != "normal").items())),
        "not_normal": {subject: state for subject, state in sorted(states.items()) if state != "normal"},
        "open": [incident_dict(i) for i in opened],
        "ledger": [{"subject": e.subject, "mechanism": e.mechanism, "unit": e.unit, "left": _known(e.left), "budget": _known(e.budget),
                    "exhausted_at": utc(e.exhausted_at) if e.exhausted_at else None} for e in held],
        "coverage": {"metrics": len(cover), "below_99_percent": sum(row["share"] < 0.99 for row in cover),
                     "least": min(((row["share"], row["metric"]) for row in cover), default=(None, None))[1]},
    }  # fmt: skip


def _lines(document: Mapping[str, Any], opened: list[Incident], held: list[Entry]) -> Iterator[str]:
    from grayscope.errors import shorten
    from grayscope.feedback import Precision, in_words
    from grayscope.ledgerwords import end_in_words, left_in_words
    from grayscope.showing import incident_lines

    states = ", ".join(f"{n} {state}" for state, n in document["states"].items())
    yield f"{shorten(document['trace'] or 'no name')}: {states or 'all normal'}; {len(opened)} incidents open"
    lines = list(incident_lines(opened))
    yield from lines[:MOST]
    if len(lines) > MOST:
        yield f"{len(lines) - MOST} more"
    for e in held[:MOST]:
        yield f"left    {shorten(e.subject)} {shorten(e.mechanism)}: {left_in_words(e)}; used up: {end_in_words(e)}"
    if len(held) > MOST:
        yield f"left    {len(held) - MOST} more"
    cover = document["coverage"]
    least = f"; the least covered: {shorten(cover['least'])}" if cover["below_99_percent"] else ""
    if (told := Precision(**document["feedback"])).precision is not None:
        yield f"told    pages and tickets by those who looked: {in_words(told)}"
    yield f"watched {cover['metrics']} metrics, {cover['below_99_percent']} of them below 99% of the rows expected{least}"


def _feedback(results: Path, incidents: list[Incident]) -> dict[str, Any]:
    """Return the precision in the field by what lies in the results directory."""
    from grayscope.feedback import answers, asked, precision
    from grayscope.results import FEEDBACK
    from grayscope.told import read_file

    told = [i for i in map(asked, incidents) if i.severity != "notice"]
    return precision(told, answers(read_file(results / FEEDBACK)[0]))._asdict()


def _running_out(entries: list[Entry]) -> list[Entry]:
    """Return what has been spent and has an end, the nearest first."""
    latest = {(e.subject, e.mechanism, e.unit): e for e in sorted(entries, key=lambda e: e.time)}
    held = [e for e in latest.values() if e.spent > 0 and e.left == e.left]
    return sorted(held, key=lambda e: (e.left > 0, e.exhausted_at or 1 << 62, e.subject, e.mechanism, e.unit))


def _known(amount: float) -> float | None:
    return amount if amount == amount else None
