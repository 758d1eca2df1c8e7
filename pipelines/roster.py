"""Roster: who exists, since when and where it stands, and which source says so."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from grayscope.rostering import Rostering


@click.group()
def command() -> None:
    """Show who exists.

    \b
    Examples:
      grayscope roster show
      kubectl get nodes -o json > nodes.json; grayscope roster show --kubernetes nodes.json
    """


@command.command(name="show")
@click.argument("pattern", default="*")
@click.option("--file", type=click.Path(path_type=Path), help="TOML or CSV that somebody has written; its word counts first.")
@click.option(
    "--slurm", multiple=True, type=click.Path(path_type=Path), help="Output of scontrol show node, job -d or topology, or of slurmrestd; may be repeated."
)
@click.option("--kubernetes", type=click.Path(path_type=Path), help="Output of kubectl get nodes -o json.")
@click.option("--trace", type=click.Path(path_type=Path), help="Trace whose roster counts last.")
@click.option("--config", type=click.Path(path_type=Path), help="Settings file of the agent.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def show(
    pattern: str, file: Path | None, slurm: tuple[Path, ...], kubernetes: Path | None, trace: Path | None, config: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Print the subjects that PATTERN matches, with every key, the source whose word holds, and what others say instead.

    Without a source, this machine's own sources are asked, as its agent would.

    \b
    Examples:
      grayscope roster show 'n017*'
      grayscope roster show --slurm nodes.txt --slurm jobs.txt --kubernetes nodes.json --file racks.csv
    """
    named: dict[str, dict[str, Any]] = {}
    if file is not None:
        named["file"] = {"use": "rosterfile", "path": str(file)}
    if slurm:
        named["slurm"] = {"files": [str(f) for f in slurm]}
    if kubernetes is not None:
        named["kubernetes"] = {"source": str(kubernetes), "node": ""}
    roster, problems = asked(named, config, only=bool(named or trace))
    if trace is not None:
        from grayscope.trace import Trace

        roster.tell("trace", (row for row, _ in Trace.open(trace).roster_rows()))
    for text in problems:
        click.echo(f"grayscope roster: {text}", err=True)
    found = [s for s in sorted(roster.rows) if fnmatchcase(s, pattern)]
    if as_json:
        click.echo(json.dumps([described(roster, subject) for subject in found], indent=1))
        return
    for line in lines(roster, found):
        click.echo(line)


def asked(named: Mapping[str, Mapping[str, Any]], config: Path | None, *, only: bool) -> tuple[Rostering, list[str]]:
    """Ask sources once; return what they say together, and what went wrong."""
    from dataclasses import replace

    from ._agentconfig import load_agent
    from ._agentloop import Agent
    from ._oneglance import glance

    settings = load_agent(config)
    settings = replace(settings, sources={**({} if only else settings.sources), **named})
    agent = Agent(settings, None)
    agent.configure(settings)
    for name in [n for n in agent.lookers if only and n not in named]:
        del agent.lookers[name]
    seen = glance(agent)
    return agent.roster, [f"{s.name}: {s.said}" for s in seen if s.said and (only or s.state != "unsupported")]


def described(roster: Rostering, subject: str) -> dict[str, Any]:
    """Return one subject for JSON."""
    row = roster.rows[subject]
    keys = {key: {"value": w[0].value, "source": w[0].source, "others": [x._asdict() for x in w[1:]]} for key, w in roster.words(subject).items()}
    return {"subject": subject, "table": row.table, "since": row.since, "until": row.until, "keys": keys, "crosses": list(row.crosses)}


def lines(roster: Rostering, subjects: list[str]) -> Iterator[str]:
    """Yield lines for people: overruled words are shown where they differ."""
    from grayscope.errors import shorten

    for subject in subjects:
        yield f"{shorten(subject, 60):<24} {roster.rows[subject].table}"
        for key, words in roster.words(subject).items():
            other = [f"{w.source} says {shorten(w.value, 60)}" for w in words[1:] if w.value != words[0].value]
            yield f"  {key:<12}{shorten(words[0].value, 60):<28} {words[0].source}{f'; {chr(44).join(other)}' if other else ''}"
