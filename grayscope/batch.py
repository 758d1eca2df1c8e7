"""Batch: dense numbers of one table, as they travel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from grayscope.errors import InputError


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Rows of one table: ``values[t, m, s]`` is metric m of subject s at time t.

    A row (one time, one subject) whose values are all NaN was not reported.
    Counters are increments since the subject's previous row (`grayscope.rates`).

    Parameters
    ----------
    table : str
        Kind of subject, one of the design's tables or an importer's own.
    times : ndarray of int64, shape [T]
        Event times, microseconds since 1970 UTC, strictly increasing.
    subjects : tuple of str, length S
        Distinct names, any order.
    metrics : tuple of str, length M
        Distinct canonical names (aliases are resolved before this point).
    values : ndarray of float32, shape [T, M, S]
        NaN means not reported.
    arrived : ndarray of int64, shape [T, S], optional
        Order of delivery within the cell, kept by recordings.

    Examples
    --------
    >>> b = Batch("gpu", np.array([0]), ("n1/gpu0",), ("gpu_power_watts",), np.full((1, 1, 1), 300, np.float32))
    >>> b.rows
    1
    """

    table: str
    times: NDArray[np.int64]
    subjects: tuple[str, ...]
    metrics: tuple[str, ...]
    values: NDArray[np.float32]
    arrived: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        shape = (len(self.times), len(self.metrics), len(self.subjects))
        if self.values.shape != shape:
            raise InputError.at(f"batch of {self.table}", "values", shape, self.values.shape)
        if self.values.dtype != np.float32:
            raise InputError.at(f"batch of {self.table}", "values", "float32", self.values.dtype)
        if self.times.dtype != np.int64:
            raise InputError.at(f"batch of {self.table}", "times", "int64", self.times.dtype)
        if not bool((self.times[1:] > self.times[:-1]).all()):  # a difference may be too large for 64 bits
            raise InputError.at(f"batch of {self.table}", "times", "strictly increasing", "repeats or steps back")

    @property
    def rows(self) -> int:
        """Number of reported rows."""
        return int(np.isfinite(self.values).any(axis=1).sum())
