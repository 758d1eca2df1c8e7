"""Bench: which detector finds what, how soon and at how many false alarms, on simulated and recorded fleets?"""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command()
@click.option("--scenarios", help="Comma-separated names or files.  [default: all packaged ones, of `scale` one seed; six with --quick]")
@click.option("--detectors", default="all", show_default=True, help="Comma-separated: `grayscope` is all that are on by default, others run alone.")
@click.option("--seeds", metavar="N|LIST", help="How many per scenario, from 1 on, or which: 101,102 or 101-105.  [default: 5, with --quick 1]")
@click.option("--quick", is_flag=True, help="16 nodes, 3 hours, one seed: minutes instead of hours.")
@click.option("--nodes", type=click.IntRange(1, 9999), help="Instead of the scenarios'.")
@click.option("--hours", type=click.FloatRange(0.02, 24 * 366), help="Instead of the scenarios'.")
@click.option("--jobs", type=click.IntRange(0, 256), help="Processes; 0 does all in this one.  [default: one per core]")
@click.option("--out", type=click.Path(path_type=Path), default=Path("bench"), show_default=True, help="Folder for bench.parquet, bench.md and bench.html.")
@click.option("--cache", type=click.Path(path_type=Path), help="Folder for traces and results that are kept.  [default: OUT/cache]")
@click.option("--docs", type=click.Path(path_type=Path), help="Also write the page to this Markdown file.")
@click.option(
    "--real", type=click.Path(path_type=Path), help="Folder of recorded sets: those with labels join in.  [default with --maps: $GRAYSCOPE_SHARED or ../shared]"
)
@click.option("--maps", type=click.Path(path_type=Path), help="Folder with their import maps and sets.toml.  [default: tests/maps]")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of a table.")
def command(
    scenarios: str | None, detectors: str, seeds: str | None, quick: bool, nodes: int | None, hours: float | None, jobs: int | None, out: Path,
    cache: Path | None, docs: Path | None, real: Path | None, maps: Path | None, as_json: bool,
) -> int:  # fmt: skip
    """Simulate, replay and score: detectors x scenarios x seeds.

    Traces and results are kept under a digest of all that they depend on: a second run costs next to nothing. Exit status 1 if a piece of work failed.

    \b
    Examples:
      grayscope bench --quick
      grayscope bench --scenarios weak,links --detectors grayscope,minder --seeds 3
      grayscope bench --detectors grayscope --seeds 101-103   (seeds to tune on; 1 to 5 are for judging)
      grayscope bench --quick --real DATA --maps tests/maps --docs docs/benchmark.md
    """
    from . import _benchplan as planning
    from ._benchpage import pieces
    from ._benchrun import run, summary, table, write

    plan = planning.plan(scenarios, detectors, seeds, nodes or (16 if quick else None), hours or (3.0 if quick else None), quick, real, maps)
    done = run(plan, cache or out / "cache", jobs)
    page = list(pieces(planning.bench(plan, done.runs, done.failed)))
    files = write(done.runs, page, out, docs)
    if as_json:
        click.echo(json.dumps({**summary(done.runs), "failed": done.failed, "files": [str(f) for f in files]}, indent=1))
    else:
        table(done.runs)
        click.echo(f"written: {', '.join(str(f) for f in files)}", err=True)
    for name, why in done.failed.items():
        click.echo(f"grayscope: failed: {name}: {why}", err=True)
    return int(bool(done.failed))
