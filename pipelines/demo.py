"""Demo: a generated fleet with planted faults, watched live, and what was found of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Mapping

    from grayscope.fleet import Fleet
    from grayscope.incident import Incident
    from grayscope.score import Score


@click.command()
@click.option("--nodes", type=click.IntRange(1, 256), default=16, show_default=True, help="Nodes of eight GPUs.")
@click.option("--hours", type=click.FloatRange(0.25, 48), default=2.0, show_default=True, help="How much time is generated.")
@click.option("--seed", type=int, default=1, show_default=True, help="Another fleet, other faults in other places.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object at the end instead of lines and a table.")
@click.option("--out", type=click.Path(path_type=Path), help="Also write the fleet as a trace, for replay and score.")
def command(nodes: int, hours: float, seed: int, as_json: bool, out: Path | None) -> None:
    """Generate a fleet, plant faults and decoys, run the engine on it and compare.

    \b
    Examples:
      grayscope demo
      grayscope demo --nodes 32 --hours 4 --seed 7
      grayscope demo --out mytrace && grayscope replay mytrace --out results && grayscope score mytrace results
    """
    from grayscope.fleet import Fleet
    from grayscope.score import score

    fleet = Fleet(nodes=nodes, hours=hours, seed=seed)
    if out is not None:
        fleet.write(out)
    incidents, counts = _watch(fleet, quiet=as_json)
    truth = fleet.truth_rows()
    figures = score(truth, [_plain(i) for i in incidents], fleet.gpu_weeks)
    decoys = [(row, [i.id for i in _false(incidents, figures) if _disturbed(row, i, fleet)]) for row in truth if row["state"] == "benign"]
    if as_json:
        click.echo(json.dumps(_document(figures, decoys, counts), indent=1))
        return
    _show(figures, decoys, counts)


def _watch(fleet: Fleet, quiet: bool) -> tuple[list[Incident], dict[str, int]]:
    """Send the fleet through the memory broker to the engine, print alerts as they come; return every incident's last form."""
    from grayscope import assembly, plugins
    from grayscope.replaying import Collected
    from grayscope.settings import Settings
    from grayscope.showing import progress

    engine = assembly.engine(Settings(cluster="demo"), periods=fleet.periods)
    broker, listing, outputs = plugins.broker("memory"), plugins.sink("listing"), Collected()
    with progress("watching") as tell:
        for message in fleet.messages():
            broker.send(message)
            for received in broker.receive():
                output = engine.step(received)
                outputs.add(output)
                if output.alerts and not quiet:
                    listing.send(output.alerts)
            if engine.align.now is not None:
                tell(engine.align.now, engine.align.counts["rows"])
    output = engine.flush()
    outputs.add(output)
    if output.alerts and not quiet:
        listing.send(output.alerts)
    broker.close()
    listing.close()
    return outputs.latest(), {**engine.counts, "incidents": len(outputs.incidents)}


def _plain(incident: Incident) -> dict[str, Any]:
    return {name: getattr(incident, name) for name in ("id", "subject", "severity", "mode", "rivals", "history", "ended")}


# -- decoys ---------------------------------------------------------------------------------------------------------


def _false(incidents: list[Incident], figures: Score) -> list[Incident]:
    ids = {i.id for i in figures.overall.false}
    return [i for i in incidents if i.id in ids]


def _disturbed(decoy: Mapping[str, Any], incident: Incident, fleet: Fleet) -> bool:
    """Say whether a false page or ticket is about a decoy's place, and began while it lasted or within ten minutes after."""
    if decoy["subject"].startswith("job:") and incident.severity != "page":
        return False  # a job's phase may only be mistaken for a slow part of it
    after = (decoy["ended"] or incident.noticed) + 600_000_000
    return decoy["began"] <= incident.noticed <= after and _inside(incident.subject, decoy["subject"], fleet)


def _inside(subject: str, place: str, fleet: Fleet) -> bool:
    node = subject.split("/", 1)[0]
    jobs = dict(zip(fleet.topology.node_names, fleet.topology.job_of_node, strict=True))
    return place == "site" or subject == place or subject.startswith(f"{place}/") or jobs.get(node) == place


# -- showing --------------------------------------------------------------------------------------------------------


def _document(figures: Score, decoys: list[tuple[Any, list[str]]], counts: dict[str, int]) -> dict[str, Any]:
    from grayscope.wording import utc

    planted = [
        {"mode": f.row.mode, "subject": f.row.subject, "state": f.row.state, "began": utc(f.row.began), "found": f.incident is not None,
         "delay_s": f.delay / 1e6 if f.incident else None, "suspect": f.incident.subject if f.incident else None, "exact": f.exact,
         "severity": f.incident.severity if f.incident else None, "state_right": f.right}
        for f in figures.overall.finds
    ]  # fmt: skip
    quiet = [{"mode": row["mode"], "subject": row["subject"], "began": utc(row["began"]), "quiet": not ids, "incidents": ids} for row, ids in decoys]
    false = [{"id": i.id, "subject": i.subject, "severity": i.severity, "mode": i.mode} for i in figures.overall.false]
    return {"planted": planted, "decoys": quiet, "false": false, "score": figures.to_dict(), "counts": counts}


def _show(figures: Score, decoys: list[tuple[Any, list[str]]], counts: dict[str, int]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from grayscope.wording import utc

    found = Table("planted", "subject", "state", "began", "found", "delay", "first suspect", "severity", box=box.SIMPLE_HEAD)
    for f in figures.overall.finds:
        said = (_minutes(f.delay), f.incident.subject, f.incident.severity) if f.incident else ("", "", "")
        found.add_row(f.row.mode, f.row.subject, f.row.state, utc(f.row.began)[11:-1], "yes" if f.incident else "no", *said)
    looks = Table("decoy", "subject", "began", "quiet", "false pages and tickets", box=box.SIMPLE_HEAD)
    for row, ids in decoys:
        looks.add_row(row["mode"], row["subject"], utc(row["began"])[11:-1], "no" if ids else "yes", " ".join(ids))
    console = Console(width=None if Console().is_terminal else 120)
    console.print(found, looks)
    part = figures.overall
    pages = sum(i.severity == "page" for i in part.false)
    names = "".join(f"\n  false {i.severity}: {i.id} {i.subject} ({i.mode or 'no mode'})" for i in part.false)
    click.echo(
        f"{len(part.found)} of {len(part.finds)} found, {pages} false pages, {len(part.false) - pages} false tickets, {len(part.repeats)} repeats{names}"
    )
    click.echo(f"{counts['rows']:,} rows, {counts['ticks']:,} ticks")


def _minutes(micros: int) -> str:
    seconds = round(micros / 1e6)
    return f"{seconds // 60} min {seconds % 60:02d} s"
