"""Tablerows: what happens to rows before they are named: cells that are split, rows that are chosen, columns that become rows."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from operator import and_

import numpy as np
import polars as pl
from numpy.typing import NDArray

from grayscope.errors import InputError

from ._tablemap import Condition, Melt, MetricMap, TableMap
from ._tablenames import as_text
from ._tabletime import as_number


def split(frame: pl.DataFrame, how: TableMap) -> tuple[pl.DataFrame, int]:
    """Cut cells such as ``"a,b"`` into columns; return the rows with as many parts as asked for, and how many had not."""
    good = pl.Series([True]).new_from_index(0, frame.height)
    for column, (by, into) in how.input.split.items():
        parts = as_text(frame[column], how.where).str.split(by)
        good &= (parts.list.len() == len(into)).fill_null(False)
        frame = frame.with_columns(parts.list.get(i, null_on_oob=True).str.strip_chars().alias(name) for i, name in enumerate(into))
    return (frame, 0) if good.all() else (frame.filter(good), int((~good).sum()))


def chosen(frame: pl.DataFrame, conditions: Iterable[Condition], where: str) -> pl.DataFrame:
    """Return the rows for which all conditions hold; an empty cell passes ``null = true`` alone."""
    tests = [_holds(frame[c.column], c, where) for c in conditions]
    return frame.filter(reduce(and_, tests)) if tests else frame


def _holds(column: pl.Series, condition: Condition, where: str) -> pl.Series:
    value = condition.value
    if condition.test == "null":
        return column.is_null() if value else column.is_not_null()
    if condition.test in ("in", "not"):
        found = reduce(lambda a, b: a | b, (_equals(column, v, where) for v in value))
        return (found if condition.test == "in" else ~found) & column.is_not_null()
    number = as_number(column, where)
    compare = {"above": np.greater, "below": np.less, "at_least": np.greater_equal, "at_most": np.less_equal}[condition.test]
    return pl.Series(compare(number.fill_null(np.nan).to_numpy(), value))


def _equals(column: pl.Series, value: str | float | bool, where: str) -> pl.Series:
    if isinstance(value, bool):
        return as_text(column, where).str.to_lowercase().is_in([str(value).lower()]).fill_null(False)
    if isinstance(value, int | float):
        return pl.Series(as_number(column, where).fill_null(np.nan).to_numpy() == value)
    return as_text(column, where).is_in([value]).fill_null(False)


def melted_columns(melt: Melt, columns: Iterable[str], where: str) -> list[str]:
    """Return the columns that become rows."""

    def is_one(column: str) -> bool:
        if melt.keep is not None:
            return column not in melt.keep
        return column.startswith(melt.prefix) if melt.prefix is not None else column in melt.columns

    found = [c for c in columns if is_one(c)]
    if not found:
        raise InputError.at(where, "[melt]", "at least one column to melt", "none")
    return found


def melted(frame: pl.DataFrame, melt: Melt, columns: list[str]) -> pl.DataFrame:
    """Turn `columns` into rows; each gives one row per row, named by the column without the prefix."""
    if len({frame[c].dtype for c in columns}) > 1:  # a file may store whole and broken numbers differently
        frame = frame.with_columns(frame[c].cast(pl.String) for c in columns)
    long = frame.unpivot(columns, index=[c for c in frame.columns if c not in columns], variable_name=melt.name, value_name=melt.value)
    return long.with_columns(pl.col(melt.name).str.strip_prefix(melt.prefix)) if melt.prefix else long


class Values:
    """The metrics of each row; remembers which column never held a number."""

    def __init__(self, metrics: tuple[MetricMap, ...], where: str) -> None:
        self.metrics, self.where = metrics, where
        self.bad = 0
        self._good: set[str] = set()
        self._wrong: dict[str, str] = {}

    def read(self, frame: pl.DataFrame) -> dict[str, NDArray[np.floating]]:
        """Return metric -> values [N] in our units, NaN where nothing was reported."""
        return {m.name: self._one(frame[m.column], m) for m in self.metrics}

    def _one(self, column: pl.Series, metric: MetricMap) -> NDArray[np.floating]:
        number = as_number(column, self.where)
        values = number.fill_null(np.nan).to_numpy().copy()
        text = column.is_not_null() & number.is_null()
        self.bad += int(text.sum()) + int(np.isinf(values).sum())
        values[np.isinf(values)] = np.nan
        if np.isfinite(values).any():
            self._good.add(metric.name)
        elif text.any():
            self._wrong.setdefault(metric.name, str(column.filter(text)[0]))
        if metric.zero_is_missing:
            values[values == 0] = np.nan
        values *= metric.factor
        if metric.exact:
            return values
        with np.errstate(over="ignore"):
            return np.where(np.abs(values) < np.finfo(np.float32).max, values, np.nan).astype(np.float32)

    def check(self) -> None:
        """Raise if a column had texts only: that is another column than the map's author meant."""
        for m in self.metrics:
            if m.name in self._wrong and m.name not in self._good:
                raise InputError.at(self.where, f"column {m.column!r} of [metrics.{m.name}]", "numbers", self._wrong[m.name])
