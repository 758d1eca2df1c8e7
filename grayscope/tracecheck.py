"""Tracecheck: what is in a trace, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from grayscope.errors import InputError, shorten
from grayscope.modes import Modes
from grayscope.plugins import nearest
from grayscope.trace import Trace
from grayscope.wording import utc


def info(path: str | Path) -> dict[str, Any]:
    """Return a summary of a trace: tables with rows, subjects, metrics, period and times."""
    trace = Trace.open(path)
    tables = {}
    for table in trace.tables:
        files = trace.open_table(table)
        first, last = 2**63 - 1, -(2**63)
        for rows in files.all():
            if len(rows.time):
                first, last = min(first, int(rows.time.min())), max(last, int(rows.time.max()))
        tables[table] = {
            "rows": files.rows, "subjects": len(files.names), "metrics": len(files.metrics), "period_s": trace.periods[table] / 1e6,
            "counters": trace.counters[table], "first": utc(first) if files.names else None, "last": utc(last) if files.names else None,
            "not judged": [m for m in files.metrics if trace.catalogue.get(m) is None],
        }  # fmt: skip
    truth = trace.truth()
    return {
        "cluster": trace.cluster, "note": shorten(trace.note, 400), "tables": tables, "roster rows": len(trace.roster.rows),
        "events": len(trace.events()), "truth rows": truth.num_rows if truth is not None else None,
    }  # fmt: skip


def validate(path: str | Path) -> list[str]:
    """Return every problem of a trace, one line each; an empty list is a valid trace."""
    try:
        trace = Trace.open(path)
    except InputError as error:
        return str(error).splitlines()
    problems: list[str] = []
    parts = [_roster_problems(trace), _period_problems(trace), *(_table_problems(trace, table) for table in trace.tables)]
    for part in parts:
        try:
            problems += part
        except InputError as error:
            problems += str(error).splitlines()
    problems += [f"{trace.path}: {n} rows rejected: {reason}" for reason, n in sorted(trace.counts.items())]
    truth = None if problems else trace.truth()
    if truth is not None:
        known = Modes.load().modes
        problems += [f"truth.parquet: unknown mode {m!r}: {nearest(m, known)}" for m in sorted({*truth["mode"].to_pylist()} - {*known})]
    return problems


def _roster_problems(trace: Trace) -> Iterator[str]:
    rows = trace.roster.rows
    for older, younger in pairwise(rows):
        if older.subject == younger.subject and older.table == younger.table and (older.until is None or (younger.since or 0) < older.until):
            yield f"roster.parquet: {older.subject}: two rows hold at {utc(younger.since or 0)}, the younger one counts"
    trace.events()
    trace.truth()


def _period_problems(trace: Trace) -> Iterator[str]:
    for table, period in trace.periods.items():
        if period < 100_000:
            yield f"{table}: a period of {period} microseconds is shorter than anything samples"


def _table_problems(trace: Trace, table: str) -> Iterator[str]:
    files = trace.open_table(table)
    doubled = unsorted = 0
    last = -(2**63)
    for rows in files.all():
        order = np.lexsort((rows.subject, rows.time))
        time, subject = rows.time[order], rows.subject[order]
        doubled += int(((np.diff(time) == 0) & (np.diff(subject) == 0)).sum())
        unsorted += int((np.diff(rows.time) < 0).sum() + (len(time) > 0 and time[0] < last))
        last = int(time[-1]) if len(time) else last
    if not files.names:
        yield f"{table}: no rows"
    if doubled:
        yield f"{table}: {doubled} rows repeat a time of the same subject"
    if unsorted:
        yield f"{table}: not sorted by time ({unsorted} steps back)"
    elsewhere = {r.subject: r.table for r in trace.roster.rows if r.table != table and r.subject in files.names}
    for name, other in sorted(elsewhere.items())[:20]:
        yield f"{table}: subject {name} belongs to table {other} by the roster"
    for name in files.metrics:
        metric = trace.catalogue.get(name)
        if metric is not None and metric.table != table:
            yield f"{table}: column {name} is a metric of table {metric.table}, it will not be judged"
