"""Scan: one look at this machine: what can be seen of it, what is left of its redundancy, what is missing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ._glanceledger import Line
    from ._oneglance import Seen
    from ._verdicts import Trouble


@click.command()
@click.option("--config", type=click.Path(path_type=Path), help="Settings file of the agent.")
@click.option("--node", help="Name of this node; the host's by default.")
@click.option("--disable", "disabled", multiple=True, help="Source that is not asked; may be repeated.")
@click.option("--all", "everything", is_flag=True, help="Also list redundancies that are whole.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
@click.option("--nagios", is_flag=True, help="One line and exit status 0 OK, 1 warning (a spare is gone), 2 critical (called broken), 3 unknown.")
@click.option("--node-problem-detector", "npd", is_flag=True, help="At most 80 characters and exit status 0 fine, 1 problem, 2 unknown.")
@click.option("--exit-code", is_flag=True, help="Exit status 1 if anything is wrong.")
@click.pass_context
def command(
    context: click.Context, config: Path | None, node: str | None, disabled: tuple[str, ...], everything: bool, as_json: bool, nagios: bool, npd: bool,
    exit_code: bool,
) -> None:  # fmt: skip
    """Ask every source of this machine once. What needs time (rates, peers elsewhere, own past) is the agent's and the detector's.

    \b
    Examples:
      grayscope scan
      grayscope scan --nagios
      grayscope scan --json | jq .ledger
    """
    from . import _verdicts
    from ._agentconfig import load_agent
    from ._agentloop import Agent
    from ._glanceledger import latest, ledger
    from ._missing import missing
    from ._oneglance import glance
    from ._sources import would_root_help

    settings = load_agent(config, flags={"node": node, "disabled": disabled or None})
    agent = Agent(settings, None)
    agent.configure(settings)
    seen = glance(agent)
    values = latest(m for s in seen for m in s.messages)
    lines = ledger(values, {s: row.keys.get("sku", "") for s, row in agent.roster.rows.items()})
    absent = list(missing(settings.root, settings.node, agent.roster.rows, {s for s in values.get("gpu", {}) if s.startswith(f"{settings.node}/")}))
    found = _verdicts.troubles(seen, lines, absent, values, settings.node, int(agent.clock() * 1e6))
    more = would_root_help({**agent.off, **{s.name: s.said for s in seen if s.said}})
    if nagios or npd:
        status, text = _verdicts.nagios(found, seen, lines) if nagios else _verdicts.problem(found)
        click.echo(text)
        context.exit(status)
    if as_json:
        click.echo(json.dumps({
            "node": settings.node, "sources": [s.as_dict() for s in seen], "off": agent.off, "ledger": [x.as_dict() for x in lines],
            "troubles": [t._asdict() for t in found], "root_would_add": more,
        }, indent=1))  # fmt: skip
    else:
        for line in report(seen, agent.off, lines, found, more, everything=everything):
            click.echo(line)
    context.exit(int(bool(exit_code and found)))


def report(
    seen: Sequence[Seen], off: dict[str, str], ledger: Sequence[Line], found: Sequence[Trouble], more: Sequence[str], *, everything: bool
) -> Iterator[str]:
    """Yield a page for people: sources, redundancy, troubles."""
    from grayscope.errors import shorten

    from ._oneglance import lines

    yield from lines(seen, off)
    yield ""
    yield f"{'redundancy':<24}{'left':>10}{'of':>10}  {'unit':<30}{'state':<10}part"
    # A port that is down may be a rail that is lost or one that was never cabled: who looks will know.
    shown = [x for x in ledger if everything or x.state in ("spent", "spending") or (x.state == "unsure" and x.left < x.budget)]
    for x in shown:
        yield f"{x.mechanism:<24}{x.left:>10g}{x.budget:>10g}  {shorten(x.unit, 29):<30}{x.state:<10}{shorten(x.subject, 80)}"
    whole = sum(x.state == "ok" for x in ledger)
    unsure = sum(x.state == "unsure" for x in ledger)
    yield (
        f"{whole} whole, {unsure} of which nobody says how much there is{'' if everything else ' (--all lists them)'}" if ledger else "none of it is told here"
    )
    yield ""
    for trouble in found:
        yield f"{trouble.rank.upper():<9} {shorten(trouble.subject, 80)}: {shorten(trouble.text, 300)}"
    if not found:
        yield "nothing is wrong that one look can tell"
    for line in more:
        yield f"root would add: {line}"
