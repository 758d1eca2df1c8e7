"""Benchrun: carry a plan out with progress, and write what came of it."""

from __future__ import annotations

import errno
import os
import shutil
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grayscope import plugins
from grayscope.bootstrap import intervals
from grayscope.errors import GrayscopeError, shorten
from grayscope.scoreboard import HOME, Run, names, pooled, tidy
from grayscope.tracewriter import writing

from ._benchforms import Plot, duration, shown
from ._benchpool import Outcome, outcomes
from ._benchprogress import progress
from ._benchunits import Failed, Unit, do, results_key

if TYPE_CHECKING:
    from ._benchforms import Piece
    from ._benchplan import Plan


@dataclass
class Done:
    """Scored runs, and the units that failed with their reasons."""

    runs: list[Run] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


def run(plan: Plan, cache: Path, jobs: int | None) -> Done:
    """Make the traces, run every detector on each as soon as it is there, the rivals in one pass, and score.

    Raises
    ------
    GrayscopeError
        The disk is full: what is done is kept.
    """
    done, cache = Done(), cache.absolute()
    work, jobs = cache / f"unfinished-{os.getpid()}", jobs if jobs is not None else os.cpu_count() or 1
    passes = _passes(plan.detectors, done)
    traces = [Unit(s, cache, work, key) for s in plan.sources if (key := _keyed(s.key, None, s.name, done)) is not None]
    after = {trace.name: [replace(trace, results=results) for results in passes] for trace in traces}
    waiting = deque(traces)
    with progress([unit for trace in traces for unit in (trace, *after[trace.name])], jobs) as (begun, ended):
        try:
            for outcome in outcomes(waiting, do, jobs, begun):
                ended(outcome)
                _take(outcome, done, cache)
                if outcome.error is None and not outcome.task.results:  # what runs on a trace goes first, while its files are warm
                    waiting.extendleft(reversed(after[outcome.task.name]))
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return done


def _passes(detectors: Sequence[str], done: Done) -> list[tuple[tuple[str, str], ...]]:
    """Return which detectors go through a trace together, each with the key of its results: all rivals, anybody else alone."""
    keyed = [(d, key) for d in detectors if (key := _keyed(results_key, d, d, done)) is not None]
    abreast = tuple((d, key) for d, key in keyed if d != HOME and plugins.is_rival(d))
    return [*((pair,) for pair in keyed if pair not in abreast), *([abreast] if abreast else [])]


def _take(outcome: Outcome[Unit], done: Done, cache: Path) -> None:
    parts = outcome.value or []
    if outcome.error is not None:
        done.failed[outcome.task.name] = outcome.error
    done.failed |= {part.name: part.why for part in parts if isinstance(part, Failed)}
    done.runs += [part for part in parts if isinstance(part, Run)]
    full = os.strerror(errno.ENOSPC)
    if any(full in why for why in (outcome.error or "", *(part.why for part in parts if isinstance(part, Failed)))):
        raise GrayscopeError(f"{cache}: {full}: what is done is kept there; make room or name another --cache, then start again")


def _keyed(key: Callable[..., str], argument: str | None, name: str, done: Done) -> str | None:
    try:
        return key() if argument is None else key(argument)
    except Exception as error:  # noqa: BLE001 - a broken plugin or file is one failure, not the end of the bench
        done.failed[name] = f"{type(error).__name__}: {error}"
        return None


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
