"""Explain: an incident in detail: measured against whom, since when, what is left, how sure, what would refute it."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command()
@click.argument("name", metavar="SUBJECT|INCIDENT")
@click.option("--results", type=click.Path(path_type=Path), required=True, help="Directory that replay --out wrote.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def command(name: str, results: Path, as_json: bool) -> None:
    """Explain what is held against a subject, or one incident by its id.

    \b
    Examples:
      grayscope explain n011/gpu7/pcie --results results
      grayscope explain 0c3af75c3591 --results results --json
    """
    from grayscope.explaining import explained
    from grayscope.recalling import recall_entries, recall_incidents
    from grayscope.results import read_results
    from grayscope.saidrows import incident_dict
    from grayscope.showing import incident_lines

    from ._finding import find

    read = read_results(results)
    entries = recall_entries(read.ledger, str(results / "ledger.parquet"))
    found = find(recall_incidents(read.incidents, str(results / "incidents.parquet")), name)
    details = {i.id: text for i, text in explained(found, entries)}
    if as_json:
        for incident in found:
            click.echo(json.dumps(incident_dict(incident) | {"detail": details[incident.id]}))
        return
    for line in incident_lines(found, details):
        click.echo(line)
