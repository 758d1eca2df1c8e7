"""Columns: a detector's memory per metric and subject, which follows the roster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from grayscope.squeezed import squeezed, unsqueezed
from grayscope.tick import Tick

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Field:
    """One array of the memory: shape ``[*lead, M, S]``, or ``[*lead, S]`` without `per_metric`."""

    dtype: DTypeLike
    fill: float
    lead: tuple[int, ...] = ()
    per_metric: bool = True

    def blank(self, metrics: int, subjects: int) -> Array:
        """Return a new array that knows nothing."""
        shape = self.shape(metrics, subjects)
        return np.full(shape, self.fill, self.dtype) if self.fill else np.zeros(shape, self.dtype)  # zeros take no memory until they are written

    def shape(self, metrics: int, subjects: int) -> tuple[int, ...]:
        """Return its shape for so many of both."""
        return (*self.lead, metrics, subjects) if self.per_metric else (*self.lead, subjects)


class Columns:
    """The arrays of one table, laid out as its ticks are.

    Subjects and metrics may come, go and change their order: what is known moves along, what is new starts blank,
    and a replaced part (`Tick.fresh`) starts blank too. Size is bounded by the tick's.
    """

    def __init__(self, fields: Mapping[str, Field]) -> None:
        self.fields = fields
        self.subjects: tuple[str, ...] = ()
        self.metrics: tuple[str, ...] = ()
        self.ticks = 0
        self.arrays = {name: f.blank(0, 0) for name, f in fields.items()}

    def follow(self, tick: Tick) -> None:
        """Take the tick's layout, forget what is fresh in it and count it."""
        if tick.subjects is not self.subjects or tick.metrics is not self.metrics:
            if tick.subjects != self.subjects or tick.metrics != self.metrics:
                self._lay_out(tick.metrics, tick.subjects)
            self.subjects, self.metrics = tick.subjects, tick.metrics
        if tick.fresh.any():
            for name, field in self.fields.items():
                self.arrays[name][..., tick.fresh] = field.fill
        self.ticks += 1

    def _lay_out(self, metrics: tuple[str, ...], subjects: tuple[str, ...]) -> None:
        old_s, new_s = common(self.subjects, subjects)
        old_m, new_m = common(self.metrics, metrics)
        for name, field in self.fields.items():
            array = field.blank(len(metrics), len(subjects))
            if field.per_metric:
                array[..., new_m[:, None], new_s] = self.arrays[name][..., old_m[:, None], old_s]
            else:
                array[..., new_s] = self.arrays[name][..., old_s]
            self.arrays[name] = array


class Memory:
    """`Columns` for every table that a station meets, with snapshot and restore."""

    def __init__(self, fields: Mapping[str, Field]) -> None:
        self.fields = fields
        self.tables: dict[str, Columns] = {}

    def of(self, tick: Tick) -> Columns:
        """Return the tick's table, laid out as the tick is."""
        columns = self.tables.get(tick.table)
        if columns is None:
            columns = self.tables[tick.table] = Columns(self.fields)
        columns.follow(tick)
        return columns

    def snapshot(self) -> dict[str, Array]:
        """Return everything as plain arrays, names included."""
        out: dict[str, Array] = {}
        for table, c in self.tables.items():
            out[f"{table}|subjects"] = np.array(c.subjects, dtype=np.str_)
            out[f"{table}|metrics"] = np.array(c.metrics, dtype=np.str_)
            out[f"{table}|#ticks"] = np.array(c.ticks)
            for name, array in c.arrays.items():
                out |= squeezed(f"{table}|{name}", array)
        return out

    def restore(self, state: Mapping[str, Array]) -> None:
        """Become what `snapshot` returned."""
        self.tables = {}
        for table in {key.split("|", 1)[0] for key in state}:
            c = self.tables[table] = Columns(self.fields)
            c.subjects = tuple(state[f"{table}|subjects"].tolist())
            c.metrics = tuple(state[f"{table}|metrics"].tolist())
            c.ticks = int(state[f"{table}|#ticks"])
            c.arrays = {
                name: np.array(unsqueezed(f"{table}|{name}", state, f.shape(len(c.metrics), len(c.subjects))), f.dtype) for name, f in self.fields.items()
            }


@lru_cache(maxsize=8)
def common(old: tuple[str, ...], new: tuple[str, ...]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the positions, in the old and in the new order, of the names that both have; kept, for every memory of a table asks for the same.

    Examples
    --------
    >>> [at.tolist() for at in common(("a", "b", "c"), ("c", "a", "d"))]
    [[2, 0], [0, 1]]
    """
    where = {name: i for i, name in enumerate(old)}
    at = np.array([where.get(name, -1) for name in new], np.intp)
    both = at[at >= 0], np.flatnonzero(at >= 0)
    for places in both:
        places.flags.writeable = False  # all share them
    return both
