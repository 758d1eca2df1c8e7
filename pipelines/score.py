"""Score: what did a run say beside what was really wrong?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Mapping

    from grayscope.bootstrap import Interval
    from grayscope.score import Part
    from grayscope.trace import Trace

DAY = 86_400_000_000
#: Figure and its heading.
COLUMNS = (
    ("rows", "rows"), ("found", "found"), ("precision", "precision"), ("recall", "recall"), ("f1", "F1"), ("exact_share", "exact"),
    ("named_share", "exact by any"), ("state_right_share", "state"), ("delay_median_s", "delay"),
    ("delay_p90_s", "p90"), ("false", "false"), ("repeats", "repeats"),
)  # fmt: skip
BASE = ("precision_at_base_rates", "precision at base rates")
SINCE = (60, 600, 3600, 86_400)


@click.command()
@click.argument("trace", type=click.Path(path_type=Path))
@click.argument("results", type=click.Path(path_type=Path))
@click.option("--days", help="Comma-separated: also precision and recall of what had been said by the end of each such day with data.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def command(trace: Path, results: Path, days: str | None, as_json: bool) -> None:
    """Compare RESULTS (a directory that replay --out wrote) with the truth of TRACE.

    Figures carry 95 % intervals: truth rows and incidents drawn again with replacement.

    \b
    Examples:
      grayscope score mytrace results
      grayscope score mytrace results --days 1,2,3,5,10,15 --json
    """
    from grayscope.bootstrap import intervals
    from grayscope.errors import InputError
    from grayscope.exposure import exposure
    from grayscope.results import read_results
    from grayscope.score import score
    from grayscope.trace import Trace
    from grayscope.tracefiles import read_table

    wanted = _numbers(days)
    opened, said = Trace.open(trace), read_results(results)
    truth = opened.truth()
    if truth is None:
        raise InputError(f"{trace}: truth.parquet is missing: nothing to score against")
    weeks, counted = exposure(said.coverage)
    ledger = results / "ledger.parquet"
    whole = score(truth, said.incidents, weeks, ledger=read_table(ledger) if ledger.exists() else None)
    ends = _day_ends(opened) if wanted else []
    by_day = {d: score(truth, said.incidents, weeks, until=ends[d - 1]).overall for d in wanted if d <= len(ends)}
    if as_json:
        shown = {d: {k: p.to_dict()[k] for k in ("rows", "found", "precision", "recall", "f1", "false")} for d, p in by_day.items()}
        sure = {"overall": intervals(whole.overall), "modes": {m: intervals(p) for m, p in whole.modes.items()}}
        document = {**whole.to_dict(), "intervals_95": sure, "days": shown, "days_with_data": len(ends), "subject_weeks": weeks, "exposure": counted}
        click.echo(json.dumps(document, indent=1))
        return
    _print(whole.overall, whole.modes, by_day, intervals(whole.overall))
    click.echo(f"exposure: {weeks:.4g} weeks of {counted}")


def _numbers(days: str | None) -> list[int]:
    try:
        found = sorted({int(d) for d in days.split(",")}) if days else []
    except ValueError:
        raise click.BadParameter(f"expected numbers such as 1,2,3, found {days!r}", param_hint="--days") from None
    if any(d < 1 for d in found):
        raise click.BadParameter("days are counted from 1", param_hint="--days")
    return found


def _day_ends(trace: Trace) -> list[int]:
    """Return the end (microseconds) of every UTC day on which any table has a row; empty days do not count."""
    import numpy as np

    days: set[int] = set()
    for table in trace.tables:
        files = trace.open_table(table)
        for _, i, g in files.groups("time"):
            days.update(np.unique(files.read(i, g).time // DAY).tolist())
    return [(d + 1) * DAY - 1 for d in sorted(days)]


def _print(overall: Part, modes: Mapping[str, Part], by_day: Mapping[int, Part], sure: Mapping[str, Interval | None]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from grayscope.errors import shorten

    table = Table("", *(title for _, title in COLUMNS), box=box.SIMPLE_HEAD)
    for name, part in [("all", overall), *modes.items(), *((f"by day {d}", p) for d, p in by_day.items())]:
        figures = part.to_dict()
        table.add_row(shorten(name or "no mode", 24), *(_time(figures[key]) if key.endswith("_s") else _shown(figures[key]) for key, _ in COLUMNS))
    Console(width=None if Console().is_terminal else 140).print(table)
    figures = overall.to_dict()
    shares = [(title, key) for key, title in (*COLUMNS, BASE) if key in sure and not key.endswith("_s")]
    click.echo(f"95 % intervals: {', '.join(f'{title} {_between(figures[key], sure[key])}' for title, key in shares)}")
    rates = [f"{_between(figures[k], sure[k])} {v}s" for v in ("page", "ticket") for k in (f"false_{v}s_per_1000_gpu_weeks",)]
    click.echo(f"false per 1,000 GPU-weeks: {', '.join(rates)}")
    after = ", ".join(f"{_time(s)} {_shown(overall.recall_after(s))}" for s in SINCE)
    click.echo(f"recall by time since onset: {after}")
    if overall.ledger[1]:
        click.echo(f"ledger: {overall.ledger[0]} of {overall.ledger[1]} intervals for when a redundancy is used up hold the true moment; 80 % should")


def _time(seconds: float | None) -> str:
    """Return a duration in its largest fitting unit."""
    if seconds is None:
        return "-"
    size, unit = next((size, unit) for size, unit in ((86_400, "d"), (3600, "h"), (60, "min"), (0, "s")) if seconds >= 2 * size or not size)
    return f"{seconds / (size or 1):.3g} {unit}"


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)


def _between(value: float | None, ends: Interval | None) -> str:
    return _shown(value) if ends is None else f"{_shown(value)} ({_shown(ends[0])} to {_shown(ends[1])})"
