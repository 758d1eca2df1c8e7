"""Simulate: write the trace of a generated fleet, with what was really wrong in it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import click


@click.command()
@click.option("--out", type=click.Path(path_type=Path), help="Trace directory to write; must not exist.")
@click.option("--scenario", default="mixed", show_default=True, help="Name of a packaged scenario, or a TOML file.")
@click.option("--nodes", type=click.IntRange(1, 9999), help="Instead of the scenario's.")
@click.option("--hours", type=click.FloatRange(0.02, 24 * 366), help="Instead of the scenario's.")
@click.option("--period", type=click.IntRange(1, 3600), help="Seconds between rows, instead of the scenario's.")
@click.option("--seed", type=int, help="Another fleet, other faults.")
@click.option("--acceleration", type=click.FloatRange(0, 1e9), help="Factor on the base rates of faults, instead of the scenario's.")
@click.option("--list", "listing", is_flag=True, help="Show the packaged scenarios and write nothing.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of lines.")
def command(
    out: Path | None, scenario: str, nodes: int | None, hours: float | None, period: int | None, seed: int | None, acceleration: float | None,
    listing: bool, as_json: bool,
) -> None:  # fmt: skip
    """Simulate a fleet and write it as a trace, for replay and score.

    \b
    Examples:
      grayscope simulate --list
      grayscope simulate --out mytrace
      grayscope simulate --out mytrace --scenario links --nodes 32 --hours 6 --seed 3
      grayscope simulate --out mytrace --scenario my.toml --json
    """
    from grayscope.errors import UsageError
    from grayscope.fleet.scenario import load, names
    from grayscope.fleet.simulation import Simulation
    from grayscope.showing import progress

    if listing:
        found = {name: load(name) for name in names()}
        rows = [{"name": n, "nodes": s.nodes, "hours": s.hours, "acceleration": s.acceleration, "note": s.note} for n, s in found.items()]
        click.echo(json.dumps(rows, indent=1) if as_json else "\n".join(f"{r['name']:<11} {r['nodes']:>5} nodes {r['hours']:>5g} h  {r['note']}" for r in rows))
        return
    if out is None:
        raise UsageError("name a directory to write: --out TRACE")
    base = load(scenario)
    link = None if period is None else max(base.link_period_s // period, 1) * period
    chosen = base.but(nodes=nodes, hours=hours, period_s=period, link_period_s=link, seed=seed, acceleration=acceleration)
    simulation = Simulation(chosen)
    with progress("simulating") as tell:
        written = simulation.write(out, progress=tell)
    truth = Counter((row["mode"], row["state"]) for row in written.truth)
    if as_json:
        document = {
            "trace": str(out), "scenario": chosen.name, "seed": chosen.seed, "acceleration": chosen.acceleration, "nodes": chosen.nodes, "hours": chosen.hours,
            "gpu_weeks": simulation.gpu_weeks, "rows": written.rows, "drawn": written.drawn,
            "truth": [{"mode": m, "state": s, "rows": n} for (m, s), n in sorted(truth.items())],
        }  # fmt: skip
        click.echo(json.dumps(document, indent=1))
        return
    for (mode, state), count in sorted(truth.items()):
        click.echo(f"{count:>5} {state:<7} {mode}")
    click.echo(
        f"{out}: {sum(written.rows.values()):,} rows in {len(written.rows)} tables, {len(written.truth)} truth rows, {simulation.gpu_weeks:.2f} GPU-weeks"
    )
