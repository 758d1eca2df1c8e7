"""Layout: rows of a few moments laid out as one dense matrix."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from grayscope.rates import Rates, Raw
from grayscope.tracefiles import Rows, TableFiles

Ints = NDArray[np.int64]
#: Moments that are laid out densely at a time.
WINDOW = 32
#: Names that are remembered, summed over all lists.
SAID = 1 << 20


def arrived(rows: Rows) -> Ints:
    """Return the order of arrival of rows of which it was recorded."""
    assert rows.arrived is not None
    return rows.arrived


def windows(key: Ints, stamp: Ints, again: Ints, rates: Rates, swaps: list[tuple[int, str]]) -> Iterator[tuple[int, int, Ints]]:
    """Yield the first row of a few moments, the first one after them, and the edges between them; who is replaced by then is forgotten."""
    new = np.flatnonzero((np.diff(key) != 0) | (np.diff(stamp) != 0) | (np.diff(again) != 0)) + 1
    edges = np.concatenate([[0], new, [len(key)]]) if len(key) else np.zeros(1, np.int64)
    cuts = {int(np.searchsorted(stamp[edges[:-1]], time)) for time, _ in swaps}
    starts = sorted({*range(0, len(edges) - 1, WINDOW), *(c for c in cuts if c < len(edges) - 1)})
    for start, stop in zip(starts, [*starts[1:], len(edges) - 1], strict=False):
        low, high = int(edges[start]), int(edges[stop])
        while swaps and swaps[0][0] <= int(stamp[low]):
            rates.forget({swaps.pop(0)[1]})
        yield low, high, edges[start : stop + 1] - low


def laid(
    files: TableFiles, rows: Rows, edges: Ints, names: NDArray[np.object_], metrics: tuple[str, ...] | None = None
) -> tuple[Raw, NDArray[np.int32], NDArray[np.intp], NDArray[np.intp]]:  # fmt: skip
    """Return the rows of some moments as a matrix, the subjects that occur, and each row's moment and place among them."""
    who, column = _who(rows.subject, edges)
    moments = len(edges) - 1
    row = np.repeat(np.arange(moments), np.diff(edges))
    called = files.metrics if metrics is None else metrics
    wide = np.float64 if any(v.dtype == np.float64 for v in rows.values) else np.float32
    values = np.full((moments, len(called), len(who)), np.nan, wide)
    if len(rows.time) == moments * len(who):
        for m, v in enumerate(rows.values):  # everybody is there each time: no scattering
            values[:, m, :] = v.reshape(moments, len(who))
        column = np.tile(np.arange(len(who)), moments)
    else:
        for m, v in enumerate(rows.values):
            values[row, m, column] = v
    factors = files.factors if metrics is None else np.ones(len(called))
    return Raw(files.table, np.arange(moments), named(files, who, names), called, factors, values), who, row, column


def _who(subject: NDArray[np.int32], edges: Ints) -> tuple[NDArray[np.int32], NDArray[np.intp]]:
    """Return the subjects that occur, and each row's place among them."""
    first = subject[: int(edges[1])]
    if len(subject) == len(first) * (len(edges) - 1) and (subject.reshape(-1, len(first)) == first).all():
        return first, np.empty(0, np.intp)  # the usual case: the same subjects each time
    who, column = np.unique(subject, return_inverse=True)
    return who, column


def named(files: TableFiles, who: NDArray[np.int32], names: NDArray[np.object_]) -> tuple[str, ...]:
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


def repeats(key: Ints, stamp: Ints, subject: NDArray[np.int32]) -> Ints:
    """Return for rows sorted by (key, stamp, subject) how many equal ones came before."""
    same = np.concatenate([[False], (np.diff(key) == 0) & (np.diff(stamp) == 0) & (np.diff(subject) == 0)])
    if not same.any():
        return np.zeros(len(key), np.int64)
    run = np.cumsum(same)
    return run - np.maximum.accumulate(np.where(same, 0, run))
