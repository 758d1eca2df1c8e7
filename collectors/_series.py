"""Series: what a source's series mean, as numbers for arrays; from samples to rows, one value per cell and moment."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from grayscope.rates import Raw

from ._naming import Naming

#: Distinct series and columns that are known at a time; names come from outside.
MOST_SERIES, MOST_COLUMNS = 1 << 22, 4096
#: Different stamps of one table in one live look.
MOST_STAMPS = 64
BLANK, BLANK_FLOAT, BLANK_INT = 9.2e18, (140737488355328.0, 140737488355331.0), (2147483632.0, 2147483635.0)
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class Look(NamedTuple):
    """Samples as they were read: series number, time in microseconds and value, each of shape [N]."""

    series: NDArray[np.int32]
    times: Ints
    values: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Long:
    """Settled samples of one table: numbers of subject and column, time and value, each of shape [N]."""

    table: str
    times: Ints
    subject: NDArray[np.int32]
    column: NDArray[np.int32]
    values: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """Where each of N samples of a table goes: number of metric and subject, and factor to the metric's first unit, each of shape [N]."""

    table: str
    subjects: tuple[str, ...]
    metrics: tuple[str, ...]
    factors: Floats
    metric: NDArray[np.intp]
    subject: NDArray[np.intp]
    relative: Floats

    def raw(self, stamps: Ints, stamp: NDArray[np.intp] | int, values: Floats) -> Raw:
        """Return the samples as rows; `stamp` is the number of each one's moment."""
        out = np.full((len(stamps), len(self.metrics), len(self.subjects)), np.nan)
        out[stamp, self.metric, self.subject] = values * self.relative
        return Raw(self.table, stamps, self.subjects, self.metrics, self.factors, out)


class _Numbers(dict[Any, int]):
    """Numbers things in order of first appearance."""

    def __missing__(self, thing: Any) -> int:
        self[thing] = number = len(self)
        return number


class Series:
    """All series met so far: `add` gives each a number, `settle` makes rows of samples.

    Where a source has two names for one metric of one subject (`DCGM_FI_DEV_GPU_UTIL`, `DCGM_FI_PROF_GR_ENGINE_ACTIVE`), the one that the
    catalogue lists first is kept and the other counted as `second_name`. The look that meets the metric first decides, once
    and for all: a change of source on the way would look like a change of the thing.
    """

    def __init__(self, naming: Naming) -> None:
        self.naming = naming
        self.look = 0
        self._tuples: dict[tuple[str, ...], tuple[str, ...]] = {}
        self.forget()

    def forget(self) -> None:
        """Drop all numbers, which bounds memory where labels churn."""
        self.cell, self.of_column, self.of_identity = array("i"), array("i"), array("i")
        self.cells, self.subjects, self.columns, self.identities = _Numbers(), _Numbers(), _Numbers(), _Numbers()
        self.cell_table, self.cell_subject, self.tables = array("i"), array("i"), _Numbers()
        self.kept, self.kept_rank, self.kept_look = array("i"), array("i"), array("i")
        self.metric, self.factor, self.relative = list[str](), list[float](), list[float]()
        self.first_factor: dict[str, float] = {}
        self._began = np.empty(0, np.int64)

    def add(self, name: str, labels: Mapping[str, str]) -> int:
        """Return the number of a series, -1 (counted) if it is not one that we know."""
        place = self.naming.place(name, labels)
        if place is None:
            return -1
        key = (place.column, place.factor, place.metric)
        if len(self.cell) >= MOST_SERIES or (key not in self.columns and len(self.columns) >= MOST_COLUMNS):
            self.naming.reject("too_many")
            return -1
        column = self.columns[key]
        if column == len(self.metric):
            self.metric.append(place.metric)
            self.factor.append(place.factor)
            self.relative.append(place.factor / self.first_factor.setdefault(place.metric, place.factor))
        cell = self.cells[(place.table, place.subject, place.metric)]
        if cell == len(self.kept):
            self.cell_table.append(self.tables[place.table])
            self.cell_subject.append(self.subjects[place.subject])
            self.kept.append(column)
            self.kept_rank.append(place.rank)
            self.kept_look.append(self.look)
        elif place.rank < self.kept_rank[cell] and self.kept_look[cell] == self.look:
            self.kept[cell], self.kept_rank[cell] = column, place.rank
        self.cell.append(cell)
        self.of_column.append(column)
        self.of_identity.append(self.identities[(self.subjects[place.subject], place.table, place.keys)])
        return len(self.cell) - 1

    # -- samples to rows ------------------------------------------------------------------------------------------------

    def settle(self, look: Look) -> list[Long]:
        """Return one `Long` per table: blanks, second names and repeats are dropped and counted."""
        keep = self._real(look)
        cell, column = as_numbers(self.cell)[look.series], as_numbers(self.of_column)[look.series]
        second = keep & (as_numbers(self.kept)[cell] != column)
        self._count("second_name", second)
        keep &= ~second
        cell, column, times, values = cell[keep], column[keep], look.times[keep], look.values[keep]
        # Where two series tell the same, the one that began later is the live one: the other may be an echo of its last sample.
        order = np.lexsort((-self._begun(look)[keep], times, cell))
        again = np.zeros(len(cell), bool)
        again[order[1:]] = (np.diff(cell[order]) == 0) & (np.diff(times[order]) == 0)
        self._count("duplicate", again)
        table, names = as_numbers(self.cell_table)[cell], list(self.tables)
        found = []
        for t in np.unique(table[~again]).tolist():
            here = (table == t) & ~again
            found.append(Long(names[t], times[here], as_numbers(self.cell_subject)[cell[here]], column[here], values[here]))
        return found

    def _begun(self, look: Look) -> Ints:
        """Return for every sample when its series was first seen, and note it."""
        never = np.iinfo(np.int64).max
        grown = np.full(len(self.cell), never)
        grown[: len(self._began)] = self._began
        first = np.full(len(grown), never)
        np.minimum.at(first, look.series, look.times)
        self._began = np.where(grown == never, first, grown)
        return self._began[look.series]

    def _real(self, look: Look) -> NDArray[np.bool_]:
        """Say which samples are numbers; the exporters' ways to print *blank* are none."""
        nan, infinite = np.isnan(look.values), np.isinf(look.values)
        blank = self.blank(look)
        self._count("not_a_number", nan)
        self._count("not_finite", infinite)
        self._count("blank", blank & ~infinite)
        return ~(nan | infinite | blank)

    def blank(self, look: Look) -> NDArray[np.bool_]:
        """Say which samples stand for *blank*; so does what is infinite."""
        v = look.values
        blank = (np.abs(v) >= BLANK) | ((v >= BLANK_FLOAT[0]) & (v <= BLANK_FLOAT[1]))
        whole = (v >= BLANK_INT[0]) & (v <= BLANK_INT[1])
        if whole.any():
            dcgm = np.array([key[0].startswith("DCGM_") for key in self.columns], bool)
            blank |= whole & dcgm[as_numbers(self.of_column)[look.series]]
        return blank

    def _count(self, reason: str, where: NDArray[np.bool_]) -> None:
        n = int(np.count_nonzero(where))
        if n:
            self.naming.rejected[reason] = self.naming.rejected.get(reason, 0) + n

    def raw(self, long: Long) -> Raw:
        """Return the rows of a look as a dense `Raw` of canonical metrics; stamps are bounded in number."""
        times = long.times
        if len(np.unique(times)) > MOST_STAMPS:
            times = times // 1_000_000 * 1_000_000
        stamps, t = np.unique(times, return_inverse=True)
        if len(stamps) > MOST_STAMPS:
            stale = times < stamps[-MOST_STAMPS]
            self._count("stale", stale)
            return self.raw(Long(long.table, times[~stale], long.subject[~stale], long.column[~stale], long.values[~stale]))
        return self.layout(long).raw(stamps, t, long.values)

    def layout(self, long: Long) -> Layout:
        """Return where the samples of a look go in its rows."""
        who, s = np.unique(long.subject, return_inverse=True)
        numbers = _Numbers()
        of_column = np.array([numbers[m] for m in self.metric], np.intp)
        what, m = np.unique(of_column[long.column], return_inverse=True)
        metrics = np.array(list(numbers), object)[what]
        factors = np.array([self.first_factor[name] for name in metrics])
        subjects = np.array(list(self.subjects), object)[who]
        relative = np.array(self.relative)[long.column]
        return Layout(long.table, self.same(tuple(subjects)), self.same(tuple(metrics)), factors, m, s, relative)

    def wide(self, long: Long, most: int = 2_000_000) -> Iterator[tuple[Ints, NDArray[np.object_], dict[str, NDArray[np.floating[Any]]]]]:
        """Yield (times, subjects, columns by the source's names) in slices of about `most` samples, ascending in time."""
        order = np.argsort(long.times, kind="stable")
        names, start = np.array(list(self.subjects), object), 0
        sorted_times = long.times[order]
        while start < len(order):
            stop = len(order) if start + most >= len(order) else int(np.searchsorted(sorted_times, sorted_times[start + most], "left"))
            stop = stop if stop > start else int(np.searchsorted(sorted_times, sorted_times[start], "right"))
            part = order[start:stop]
            yield self._wide(long.times[part], long.subject[part], long.column[part], long.values[part], names)
            start = stop

    def _wide(
        self, times: Ints, subject: NDArray[np.int32], column: NDArray[np.int32], values: Floats, names: NDArray[np.object_]
    ) -> tuple[Ints, NDArray[np.object_], dict[str, NDArray[np.floating[Any]]]]:
        stamps, t = np.unique(times, return_inverse=True)
        rows, row = np.unique(t.astype(np.int64) * len(names) + subject, return_inverse=True)
        columns: dict[str, NDArray[np.floating[Any]]] = {}
        keys = list(self.columns)
        for c in np.unique(column).tolist():
            here = column == c
            metric = self.naming.catalogue.get(self.metric[c])
            filled = np.full(len(rows), np.nan)
            filled[row[here]] = values[here]
            counts = metric is not None and metric.type == "counter"
            columns[keys[c][0]] = filled if counts else filled.astype(np.float32)
        return stamps[rows // len(names)], names[rows % len(names)], columns

    def same(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Return the very same tuple for equal names: later stations look for identity."""
        if len(self._tuples) > 1024:
            self._tuples.clear()
        return self._tuples.setdefault(names, names)


def as_numbers(numbers: array[int]) -> NDArray[np.int32]:
    """Return a copy that may be indexed by arrays while the original grows."""
    return np.array(numbers, np.int32)
