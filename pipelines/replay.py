"""Replay: what would the detector have said about a recorded trace?"""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command()
@click.argument("trace", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Write a results directory.")
@click.option("--config", type=click.Path(path_type=Path), help="Settings file.")
@click.option("--detectors", help="Comma-separated names instead of all that are on by default.")
@click.option("--false-pages", type=float, help="Accepted false pages per 1,000 GPU-weeks.")
@click.option("--scores", is_flag=True, help="Keep the evidence stream in the results.")
@click.option("--json", "as_json", is_flag=True, help="Incidents as JSON lines.")
@click.option("--explain", is_flag=True, help="Each incident in detail: signals, peers, what is left, what would refute it.")
@click.option("--exit-code", is_flag=True, help="Exit 1 if there is a page or a ticket.")
def command(
    trace: Path, out: Path | None, config: Path | None, detectors: str | None, false_pages: float | None, scores: bool, as_json: bool, explain: bool,
    exit_code: bool,
) -> int:  # fmt: skip
    """Run TRACE (a directory in the trace format) through the engine and list the incidents.

    \b
    Examples:
      grayscope replay mytrace
      grayscope replay mytrace --out results --scores
      grayscope replay mytrace --detectors slower --false-pages 10 --json
      grayscope replay mytrace --explain
    """
    from grayscope.explaining import explained
    from grayscope.replaying import replay
    from grayscope.results import incident_dict
    from grayscope.settings import load_settings
    from grayscope.showing import incident_lines, progress

    settings = load_settings(config, flags={"detectors": detectors, "false_pages_per_1000_gpu_weeks": false_pages})
    with progress("replaying") as tell:
        run = replay(trace, settings=settings, out=out, scores=scores, progress=tell)
    details = {i.id: text for i, text in explained(run.found, run.entries)} if explain else {}
    if as_json:
        for incident in run.found:
            click.echo(json.dumps(incident_dict(incident) | ({"detail": details[incident.id]} if explain else {})))
    else:
        for line in incident_lines(run.found, details):
            click.echo(line)
        click.echo(f"{run.counts['rows']:,} rows, {run.counts['ticks']:,} ticks, {len(run.found)} incidents", err=True)
    return int(exit_code and any(i.severity in ("page", "ticket") for i in run.found))
