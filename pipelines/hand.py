"""Hand: what Slurm, Kubernetes, NVSentinel or node-problem-detector would be told of a run's incidents, as text; nothing is sent."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from grayscope.incident import SEVERITIES

if TYPE_CHECKING:
    from grayscope.incident import Incident

FORMS = ("slurm", "kubernetes", "nvsentinel", "npd")


@click.command()
@click.argument("results", type=click.Path(path_type=Path))
@click.option("--as", "form", type=click.Choice(FORMS), required=True, help="Whose words.")
@click.option("--conditions", is_flag=True, help="With kubernetes: conditions of nodes instead of Events.")
@click.option("--trace", type=click.Path(path_type=Path), help="The trace that was replayed: its roster says what is a node, and a GPU's UUID.")
@click.option("--node", help="This node alone. With npd: exit status 0 fine, 1 problem, 2 unknown.")
@click.option("--least", type=click.Choice(SEVERITIES), default="ticket", show_default=True, help="Severity from which on.")
@click.option("--all", "everything", is_flag=True, help="Also what is over: its beginning and its end.")
@click.option("--out", help="Append to this file (npd: write to this folder); standard output by default.")
@click.option("--dry-run", is_flag=True, help="Print what --out would write.")
@click.pass_context
def command(
    context: click.Context, results: Path, form: str, conditions: bool, trace: Path | None, node: str | None, least: str, everything: bool, out: str | None,
    dry_run: bool,
) -> None:  # fmt: skip
    """Write the incidents of RESULTS (a directory that replay --out wrote) in the words of another system.

    grayscope only observes: it drains, cordons and changes nothing. Live, the sinks of the same names do the same (docs/alerting.md).

    \b
    Examples:
      grayscope hand results --as slurm --trace mytrace
      grayscope hand results --as kubernetes --trace mytrace > events.json
      grayscope hand results --as nvsentinel --all --out events.jsonl --dry-run
      grayscope hand results --as npd --node n017
    """
    from grayscope import plugins
    from grayscope.errors import UsageError
    from grayscope.handing import Handing, node_of
    from grayscope.recalling import recall_incidents
    from grayscope.results import read_results
    from grayscope.trace import Trace

    if conditions and form != "kubernetes":
        raise UsageError("--conditions: only Kubernetes has them: add --as kubernetes")
    found = recall_incidents(read_results(results).incidents, str(results / "incidents.parquet"))
    view = Trace.open(trace).roster.at(1 << 62) if trace is not None else None
    told = found if node is None else [i for i in found if node_of(i, view) == node]
    if form == "npd" and node is not None and (out is None or dry_run):
        context.exit(_plugin(told, least))
    sink = plugins.sink(form, "-" if out is None or dry_run else out, least=least, **({"conditions": True} if conditions else {}))
    sink.hand(_course(told, everything), view, Handing(least, by_node=sink.by_node))
    if sink.lost:
        click.echo(f"{sink.lost} left out: {sink.said}", err=True)
    click.echo(f"{sink.sent} written{f' to {out}' if out is not None and not dry_run else ''}; nothing was sent. By hand: {sink.by_hand}", err=True)


def _course(incidents: list[Incident], everything: bool) -> list[Incident]:
    """Return what is open; with `everything` all incidents, each as it stood before its end and then at its end, in order of time."""
    from dataclasses import replace

    if not everything:
        return [i for i in incidents if i.ended is None]
    turns = [(i.noticed, 1, replace(i, ended=None, history=())) for i in incidents] + [(i.ended, 0, i) for i in incidents if i.ended is not None]
    return [i for _, _, i in sorted(turns, key=lambda t: (t[0], t[1], t[2].id))]


def _plugin(incidents: list[Incident], least: str) -> int:
    """Print a node's one line and return the exit status of a plugin."""
    from grayscope import plugins
    from grayscope.handing import Handing
    from grayscope.modes import Modes

    there = [i for i in incidents if i.ended is None]
    handing = Handing(least, by_node=True)
    lines = [plugins.sink("npd", "-").line(n, over) for n, over in handing.step(there)]
    if lines:
        click.echo(lines[-1])
        return 1
    modes = Modes.load().modes
    if blind := next((i for i in there if i.mode in modes and modes[i.mode].sides == ("coverage",)), None):
        click.echo(f"no word from it: {blind.mode}"[:80])
        return 2
    click.echo("grayscope sees no gray failure")
    return 0
