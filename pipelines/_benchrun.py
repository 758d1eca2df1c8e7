"""Benchrun: carry a plan out with progress, and write what came of it."""

from __future__ import annotations

import os
import shutil
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from grayscope.bootstrap import intervals
from grayscope.errors import shorten
from grayscope.scoreboard import HOME, Run, names, pooled, tidy
from grayscope.tracewriter import writing

from ._benchforms import Plot, duration, shown
from ._benchpool import Outcome, outcomes
from ._benchunits import Unit, do, results_key

if TYPE_CHECKING:
    from ._benchforms import Piece
    from ._benchplan import Plan

Told = tuple[Callable[[Unit], object], Callable[[Outcome[Unit]], None]]


@dataclass
class Done:
    """Scored runs, and the units that failed with their reasons."""

    runs: list[Run] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


def run(plan: Plan, cache: Path, jobs: int | None) -> Done:
    """Make the traces, run every detector set on each as soon as it is there, and score."""
    done = Done()
    keys = {d: _keyed(results_key, d, d, done) for d in plan.detectors}
    work = cache / f"unfinished-{os.getpid()}"
    traces = [(s, key) for s in plan.sources if (key := _keyed(s.key, None, s.name, done)) is not None]
    waiting = deque(Unit(s, cache.absolute(), work.absolute(), key) for s, key in traces)
    kinds = [d for d in plan.detectors if keys[d] is not None]
    with _progress(len(traces) * (1 + len(kinds))) as (begun, ended):
        try:
            for outcome in outcomes(waiting, do, jobs if jobs is not None else os.cpu_count() or 1, begun):
                ended(outcome)
                _take(outcome, kinds, keys, waiting, done)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return done


def _take(outcome: Outcome[Unit], detectors: Sequence[str], keys: dict[str, Any], waiting: deque[Unit], done: Done) -> None:
    unit = outcome.task
    if outcome.error is not None:
        done.failed[unit.name] = outcome.error
    elif outcome.value is not None:
        done.runs.append(outcome.value)
    else:  # a trace: what runs on it goes first, while its files are warm
        waiting.extendleft(Unit(unit.source, unit.cache, unit.work, unit.trace, d, keys[d]) for d in reversed(detectors))


def _keyed(key: Callable[..., str], argument: str | None, name: str, done: Done) -> str | None:
    try:
        return key() if argument is None else key(argument)
    except Exception as error:  # noqa: BLE001 - a broken plugin or file is one failure, not the end of the bench
        done.failed[name] = f"{type(error).__name__}: {error}"
        return None


@contextmanager
def _progress(total: int) -> Iterator[Told]:
    """Show a bar on a terminal, a line per piece of work elsewhere; on standard error."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    count, running = 0, dict.fromkeys(list[str]())
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=total)

        def begun(unit: Unit) -> None:
            running[unit.name] = None
            bar.update(task, description=", ".join(running))

        def ended(outcome: Outcome[Unit]) -> None:
            nonlocal count
            count += 1
            running.pop(outcome.task.name, None)
            bar.update(task, advance=1, description=", ".join(running))
            if not console.is_terminal:
                became = "done" if outcome.error is None else "failed"
                click.echo(f"{count}/{total} {outcome.task.name}: {became} in {duration(outcome.seconds)}", err=True)

        yield begun, ended


# -- writing --------------------------------------------------------------------------------------------------------


def write(runs: Sequence[Run], page: Sequence[Piece], out: Path, docs: Path | None) -> list[Path]:
    """Write the table, the page in both forms and its plots; every file appears whole or not at all."""
    import pyarrow.parquet as pq

    from ._benchforms import document, markdown

    texts = {out / "bench.html": document(page)}
    for file in (out / "bench.md", *([docs] if docs is not None else [])):
        texts |= {file.with_name(f"{file.stem}-{p.name}.svg"): p.svg for p in page if isinstance(p, Plot)}
        texts[file] = markdown(page, file.stem)
    table = tidy(runs)
    _placed(out / "bench.parquet", lambda path: pq.write_table(table, path, compression="lz4"))
    for file, text in texts.items():
        _placed(file, lambda path, text=text: path.write_text(text, "utf-8"))  # type: ignore[misc]
    return [out / "bench.parquet", *texts]


def _placed(file: Path, make: Callable[[Path], object]) -> None:
    with writing(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_name(f".{file.name}.partial")
        try:
            make(partial)
            partial.replace(file)
        finally:
            partial.unlink(missing_ok=True)


def summary(runs: Sequence[Run]) -> dict[str, Any]:
    """Return the figures of each detector with intervals: over all simulated scenarios, and for each recorded set."""
    groups: dict[str, list[Run]] = {}
    for r in sorted(runs, key=lambda r: (r.kind == "real", r.scenario)):
        groups.setdefault("simulated" if r.kind == "simulated" else r.scenario, []).append(r)
    found: dict[str, Any] = {}
    for group, here in groups.items():
        parts = {d: pooled([r for r in here if r.detector == d]) for d in names(here)}
        found[group] = {d: {**part.to_dict(), "intervals_95": intervals(part)} for d, part in parts.items()}
    return found


def table(runs: Sequence[Run]) -> None:
    """Print one line per detector, for all simulated scenarios and for each recorded set."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if Console().is_terminal else 140)
    for group, own in summary(runs).items():
        columns = ("precision", "recall", "F1", "exact", "state", "delay", "false pages", "false tickets", "repeats")
        shape = Table(shorten(group), "found", *columns, box=box.SIMPLE_HEAD, caption="false pages and tickets per 1,000 GPU-weeks")
        for name, f in own.items():
            shares = [shown(f[k]) for k in ("precision", "recall", "f1", "exact_share", "state_right_share")]
            rates = [shown(f[f"false_{s}s_per_1000_gpu_weeks"]) for s in ("page", "ticket")]
            delay = duration(f["delay_median_s"])
            shape.add_row(name, f"{f['found']} of {f['rows']}", *shares, delay, *rates, str(f["repeats"]), style="bold" if name == HOME else "")
        console.print(shape)
