"""Slices: rows of a table's files as dense batches in order of delivery, one per moment."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from grayscope.batch import Batch
from grayscope.brokers._layout import arrived, laid, named, repeats, windows
from grayscope.brokers._owntime import differences
from grayscope.rates import Rates
from grayscope.tracefiles import Rows, TableFiles

Ints = NDArray[np.int64]
#: Moments within one period that are delivered one by one; beyond, a period's rows travel together.
MOMENTS = 4
#: A moment at which less than one in so many of its window's subjects speaks is told without the others.
SPARSE = 2


def slices(files: TableFiles, period: int, recorded: bool, rates: Rates, swaps: list[tuple[int, str]]) -> Iterator[tuple[int, Batch]]:
    """Yield (key, batch) by ascending key: the order of arrival if it was recorded, else the time.

    Where every subject has its own clock there may be as many moments as rows. Then all rows of a period are
    delivered at the period's end, which is the tick that they belong to in any case.
    """
    swaps = list(swaps)
    if recorded and rates.cumulative:  # a late row is no counter that started again
        plain = Rates(rates.catalogue, cumulative=False, counts=rates.counts)
        for metrics, rows in differences(files, rates, swaps):
            yield from _deliver(files, rows, period, recorded, plain, [], metrics)
        return
    groups = files.groups("arrived" if recorded else "time")
    left: Rows | None = None
    for n, (_, i, g) in enumerate(groups):
        rows = files.read(i, g)
        left = rows if left is None else Rows.join(left, rows)
        if n + 1 < len(groups):
            # Rows of later groups cannot come before this key, so what lies below it is complete.
            bound = groups[n + 1][0] if recorded else (groups[n + 1][0] - 1) // period * period
            ready = (arrived(left) if recorded else left.time) <= (bound - 1 if recorded else bound)
            rows, left = left.take(ready), left.take(~ready)
        else:
            rows, left = left, None
        if len(rows.time):
            yield from _deliver(files, rows, period, recorded, rates, swaps)


def _deliver(
    files: TableFiles, rows: Rows, period: int, recorded: bool, rates: Rates, swaps: list[tuple[int, str]], metrics: tuple[str, ...] | None = None
) -> Iterator[tuple[int, Batch]]:  # fmt: skip
    """Yield batches by key; `metrics` names the columns where they are no more those of the files."""
    key, stamp = (arrived(rows), rows.time) if recorded else _moments(rows, period)
    if not _sorted(key, stamp, rows.subject):
        order = np.lexsort((rows.subject, stamp, key))
        rows, key, stamp = rows.take(order), key[order], stamp[order]
    again = repeats(key, stamp, rows.subject)
    if again.any():
        order = np.lexsort((rows.subject, again, stamp, key))
        rows, key, stamp, again = rows.take(order), key[order], stamp[order], again[order]
    names = np.array(list(files.names), object)
    for low, high, edges in windows(key, stamp, again, rates, swaps):
        yield from _dense(files, rows.take(slice(low, high)), edges, key[low:high], stamp[low:high], names, rates, metrics)


def _dense(
    files: TableFiles, rows: Rows, edges: Ints, key: Ints, stamp: Ints, names: NDArray[np.object_], rates: Rates, metrics: tuple[str, ...] | None
) -> Iterator[tuple[int, Batch]]:  # fmt: skip
    """Lay the rows of some moments out as one matrix, take the counters' increments, and cut it into batches."""
    raw, who, _, column = laid(files, rows, edges, names, metrics)
    out = rates.batch(raw)
    for k, (first, last) in enumerate(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)):
        some, cells = raw.subjects, out.values[k : k + 1]
        if SPARSE * (last - first) < len(who):  # each node speaks for itself: blanks for all the others would cost more than names of its own
            some, cells = named(files, rows.subject[first:last], names), np.take(cells, column[first:last], axis=2)
        yield int(key[first]), Batch(files.table, stamp[first : first + 1], some, out.metrics, cells)


def _moments(rows: Rows, period: int) -> tuple[Ints, Ints]:
    """Return each row's (key, stamp): its own time, or the end of its period where a period holds many times."""
    time = rows.time
    distinct = time[np.concatenate([[True], np.diff(time) > 0])] if (np.diff(time) >= 0).all() else np.unique(time)
    ticks, n = np.unique(-(-distinct // period) * period, return_counts=True)
    crowded = ticks[n > MOMENTS]
    if not crowded.size:
        return time, time
    tick = -(-time // period) * period
    together = np.isin(tick, crowded)
    order = np.lexsort((time, rows.subject, tick))
    same = (np.diff(tick[order]) == 0) & (np.diff(rows.subject[order]) == 0)
    later = np.concatenate([[False], same & (np.diff(time[order]) > 0)])
    fresh = np.concatenate([[True], ~same])
    rank = np.empty(len(time), np.int64)
    total = np.cumsum(later)
    rank[order] = total - np.maximum.accumulate(np.where(fresh, total, 0))  # n-th different time of a subject in its tick
    most = int(rank.max(initial=0))
    stamp = np.where(together, np.maximum(tick - most + rank, tick - period + 1), time)
    return stamp, stamp


def _sorted(key: Ints, stamp: Ints, subject: NDArray[np.int32]) -> bool:
    """Say whether rows are in order of (key, stamp, subject) already, as our writers leave them."""
    if key is stamp:
        step = np.diff(key)
        return bool(((step > 0) | ((step == 0) & (np.diff(subject) >= 0))).all())
    return False
