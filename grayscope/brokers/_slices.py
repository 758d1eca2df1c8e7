"""Slices: rows of a table's files as dense batches in order of delivery, one per moment."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from grayscope.batch import Batch
from grayscope.rates import Rates, Raw
from grayscope.tracefiles import Rows, TableFiles

Ints = NDArray[np.int64]
#: Moments that are laid out densely at a time.
WINDOW = 32
#: Moments within one period that are delivered one by one; beyond, a period's rows travel together.
MOMENTS = 4
#: A moment at which less than one in so many of its window's subjects speaks is told without the others.
SPARSE = 2
#: Names that are remembered, summed over all lists.
SAID = 1 << 20


def slices(files: TableFiles, period: int, recorded: bool, rates: Rates, swaps: list[tuple[int, str]]) -> Iterator[tuple[int, Batch]]:
    """Yield (key, batch) by ascending key: the order of arrival if it was recorded, else the time.

    Where every subject has its own clock there may be as many moments as rows. Then all rows of a period are
    delivered at the period's end, which is the tick that they belong to in any case.
    """
    groups = files.groups("arrived" if recorded else "time")
    left: Rows | None = None
    swaps = list(swaps)
    for n, (_, i, g) in enumerate(groups):
        rows = files.read(i, g)
        left = rows if left is None else Rows.join(left, rows)
        if n + 1 < len(groups):
            # Rows of later groups cannot come before this key, so what lies below it is complete.
            bound = groups[n + 1][0] if recorded else (groups[n + 1][0] - 1) // period * period
            ready = (_arrived(left) if recorded else left.time) <= (bound - 1 if recorded else bound)
            rows, left = left.take(ready), left.take(~ready)
        else:
            rows, left = left, None
        if len(rows.time):
            yield from _deliver(files, rows, period, recorded, rates, swaps)


def _arrived(rows: Rows) -> Ints:
    assert rows.arrived is not None
    return rows.arrived


def _deliver(files: TableFiles, rows: Rows, period: int, recorded: bool, rates: Rates, swaps: list[tuple[int, str]]) -> Iterator[tuple[int, Batch]]:
    key, stamp = (_arrived(rows), rows.time) if recorded else _moments(rows, period)
    if not _sorted(key, stamp, rows.subject):
        order = np.lexsort((rows.subject, stamp, key))
        rows, key, stamp = rows.take(order), key[order], stamp[order]
    again = _repeats(key, stamp, rows.subject)
    if again.any():
        order = np.lexsort((rows.subject, again, stamp, key))
        rows, key, stamp, again = rows.take(order), key[order], stamp[order], again[order]
    new = np.flatnonzero((np.diff(key) != 0) | (np.diff(stamp) != 0) | (np.diff(again) != 0)) + 1
    edges = np.concatenate([[0], new, [len(key)]])
    names = np.array(list(files.names), object)
    cuts = {int(np.searchsorted(stamp[edges[:-1]], time)) for time, _ in swaps}
    starts = sorted({*range(0, len(edges) - 1, WINDOW), *(c for c in cuts if c < len(edges) - 1)})
    for start, stop in zip(starts, [*starts[1:], len(edges) - 1], strict=True):
        low, high = int(edges[start]), int(edges[stop])
        while swaps and swaps[0][0] <= int(stamp[low]):
            rates.forget({swaps.pop(0)[1]})
        yield from _dense(files, rows.take(slice(low, high)), edges[start : stop + 1] - low, key[low:high], stamp[low:high], names, rates)


def _dense(files: TableFiles, rows: Rows, edges: Ints, key: Ints, stamp: Ints, names: NDArray[np.object_], rates: Rates) -> Iterator[tuple[int, Batch]]:
    """Lay the rows of some moments out as one matrix, take the counters' increments, and cut it into batches."""
    who, column = _who(rows.subject, edges)
    subjects = _names(files, who, names)
    moments = len(edges) - 1
    wide = np.float64 if any(v.dtype == np.float64 for v in rows.values) else np.float32
    values = np.full((moments, len(files.metrics), len(who)), np.nan, wide)
    if len(rows.time) == moments * len(who):
        for m, v in enumerate(rows.values):  # everybody is there each time: no scattering
            values[:, m, :] = v.reshape(moments, len(who))
    else:
        row = np.repeat(np.arange(moments), np.diff(edges))
        for m, v in enumerate(rows.values):
            values[row, m, column] = v
    raw = Raw(files.table, np.arange(moments), subjects, files.metrics, files.factors, values)
    out = rates.batch(raw)
    for k, (first, last) in enumerate(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)):
        some, cells = subjects, out.values[k : k + 1]
        if SPARSE * (last - first) < len(who):  # each node speaks for itself: blanks for all the others would cost more than names of its own
            some, cells = _names(files, rows.subject[first:last], names), np.take(cells, column[first:last], axis=2)
        yield int(key[first]), Batch(files.table, stamp[first : first + 1], some, out.metrics, cells)


def _who(subject: NDArray[np.int32], edges: Ints) -> tuple[NDArray[np.int32], NDArray[np.intp]]:
    """Return the subjects that occur, and each row's place among them."""
    first = subject[: int(edges[1])]
    if len(subject) == len(first) * (len(edges) - 1) and (subject.reshape(-1, len(first)) == first).all():
        return first, np.empty(0, np.intp)  # the usual case: the same subjects each time
    who, column = np.unique(subject, return_inverse=True)
    return who, column


def _names(files: TableFiles, who: NDArray[np.int32], names: NDArray[np.object_]) -> tuple[str, ...]:
    """Return names; the very same tuple as before where they are the same, which later stations look for."""
    key = who.tobytes()
    found = files.said.get(key)
    if found is None:
        if files.names_said + len(who) > SAID:
            files.said.clear()
            files.names_said = 0
        files.names_said += len(who)
        found = files.said[key] = tuple(names[who].tolist())
    return found


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


def _repeats(key: Ints, stamp: Ints, subject: NDArray[np.int32]) -> Ints:
    """Return for rows sorted by (key, stamp, subject) how many equal ones came before."""
    same = np.concatenate([[False], (np.diff(key) == 0) & (np.diff(stamp) == 0) & (np.diff(subject) == 0)])
    if not same.any():
        return np.zeros(len(key), np.int64)
    run = np.cumsum(same)
    return run - np.maximum.accumulate(np.where(same, 0, run))
