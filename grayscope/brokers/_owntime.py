"""Owntime: counters of rows that arrived late are compared with the row before by their own time: what comes late is no counter that started again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from grayscope.brokers._layout import arrived, laid, repeats, windows
from grayscope.rates import Rates
from grayscope.tracefiles import Rows, TableFiles

#: Beyond every key.
FOREVER = 2**62


def differences(files: TableFiles, rates: Rates, swaps: list[tuple[int, str]]) -> Iterator[tuple[tuple[str, ...], Rows]]:
    """Yield rows by arrival, their counters as increments since the row before by its own time, and what their columns are called."""
    groups, first = files.groups("time"), {(i, g): key for key, i, g in files.groups("arrived")}
    coming = np.minimum.accumulate([FOREVER, *(first[i, g] for _, i, g in reversed(groups))])[::-1].tolist()  # the first to arrive from each group on
    left, held, metrics = _nothing(files.metrics), None, files.metrics
    for n, (_, i, g) in enumerate(groups):
        rows = Rows.join(left, files.read(i, g))
        ready = rows.time < (groups[n + 1][0] if n + 1 < len(groups) else FOREVER)
        rows, left = rows.take(ready), rows.take(~ready)
        if len(rows.time):  # of two files that begin together the first is read with the second
            metrics, rows = _increments(files, rows, rates, swaps)
            held = rows if held is None else Rows.join(held, rows)
        if held is None:
            continue
        complete = arrived(held) < min(coming[n + 1], int(arrived(left).min(initial=FOREVER)))
        rows, held = held.take(complete), held.take(~complete)
        if len(rows.time):
            yield metrics, rows


def _nothing(metrics: tuple[str, ...]) -> Rows:
    none = np.empty(0, np.int64)
    return Rows(none, none.astype(np.int32), none, tuple(np.empty(0, np.float32) for _ in metrics))


def _increments(files: TableFiles, rows: Rows, rates: Rates, swaps: list[tuple[int, str]]) -> tuple[tuple[str, ...], Rows]:
    """Return rows by their own time with increments instead of totals, in our units, and the names of their columns."""
    rows = rows.take(np.lexsort((rows.subject, rows.time)))
    again, metrics, parts = repeats(rows.time, rows.time, rows.subject), files.metrics, list[Rows]()
    rows = rows.take(order := np.lexsort((rows.subject, again, rows.time)))
    names = np.array(list(files.names), object)
    for low, high, edges in windows(rows.time, rows.time, again[order], rates, swaps):
        some = rows.take(slice(low, high))
        raw, _, row, column = laid(files, some, edges, names)
        out = rates.batch(raw)
        metrics = out.metrics
        parts.append(replace(some, values=tuple(out.values[row, :, column].T)))
    return metrics, Rows.join(*parts)
