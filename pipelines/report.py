"""Report: one page of results for a browser without network: map, incidents with plots, ledger, coverage, settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from grayscope.results import Results


@click.command()
@click.argument("results", type=click.Path(path_type=Path))
@click.option("--trace", type=click.Path(path_type=Path), help="The trace that was replayed: gives the whole fleet and the plots.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="HTML file to write.")
@click.option("--by", default="rack", show_default=True, help="Key of the roster that groups the nodes on the map.")
def command(results: Path, trace: Path | None, out: Path, by: str) -> None:
    """Write RESULTS (a directory that replay --out wrote) as one page.

    The page holds no script and loads nothing; it opens anywhere, on a phone too, and prints in black and white.

    \b
    Examples:
      grayscope report results --out report.html
      grayscope report results --trace mytrace --out report.html
      grayscope report results --trace mytrace --by sku --out report.html
    """
    from grayscope.recalling import recall_entries, recall_incidents
    from grayscope.results import read_results
    from grayscope.series import Reader
    from grayscope.trace import Trace
    from grayscope.tracewriter import writing

    from ._reportmap import fleet
    from ._reportpage import PLOTS, Content, page

    read = read_results(results)
    reader = Reader(Trace.open(trace)) if trace is not None else None
    incidents = recall_incidents(read.incidents, str(results / "incidents.parquet"))
    entries = recall_entries(read.ledger, str(results / "ledger.parquet"))
    places = fleet(_states(read, results / "verdicts.parquet"), reader.view if reader else None, by)
    text = page(Content(read, incidents, entries, places, (lambda i: reader.series(i, PLOTS)) if reader else None))
    with writing(out):
        out.write_text(text, "utf-8")
    click.echo(f"{out}: {len(text.encode()):,} bytes, {len(incidents)} incidents", err=True)


def _states(read: Results, where: Path) -> list[tuple[str, str, str]]:
    """Return (subject, worst state, last state) of whoever was ever not normal."""
    from grayscope.errors import InputError
    from grayscope.verdict import STATES

    found: dict[str, tuple[str, str]] = {}
    for row in read.verdicts.select(["subject", "state"]).to_pylist():
        if row["state"] not in STATES:
            raise InputError.at(where, "state", ", ".join(STATES), row["state"])
        worst, _ = found.get(row["subject"], ("normal", ""))
        found[row["subject"]] = (max(worst, row["state"], key=STATES.index), row["state"])
    return [(subject, worst, now) for subject, (worst, now) in sorted(found.items()) if worst != "normal"]
