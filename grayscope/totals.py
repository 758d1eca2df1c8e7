"""Totals: what the counters of one table showed last, per subject."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from grayscope.errors import InputError

Floats = NDArray[np.float64]


class Totals:
    """The last total and the largest increment of every counter of one table, per subject: shape [C, S]."""

    def __init__(self) -> None:
        self.names: dict[str, int] = {}
        self.where: dict[str, int] = {}
        self.last: Floats = np.empty((0, 0))
        self.peak: Floats = np.empty((0, 0))
        self._asked: tuple[tuple[str, ...], tuple[str, ...], tuple[NDArray[np.intp], ...]] | None = None

    def places(self, names: tuple[str, ...], subjects: tuple[str, ...]) -> tuple[NDArray[np.intp], ...]:
        """Return where the cells of some counters and subjects are; new ones are unknown."""
        if self._asked is not None and self._asked[0] is names and self._asked[1] is subjects:
            return self._asked[2]
        rows, columns = ([numbers.setdefault(x, len(numbers)) for x in of] for numbers, of in ((self.names, names), (self.where, subjects)))
        if len(self.where) > 1 << 20:
            raise InputError.at("counters", "subjects of one table", f"at most {1 << 20}", len(self.where))
        more = tuple((0, len(numbers) - known) for numbers, known in zip((self.names, self.where), self.last.shape, strict=True))
        self.last, self.peak = (np.pad(x, more, constant_values=np.nan) for x in (self.last, self.peak))
        self._asked = names, subjects, np.ix_(np.array(rows, np.intp), np.array(columns, np.intp))
        return self._asked[2]

    def forget(self, subjects: set[str]) -> None:
        """Forget what some subjects had."""
        for s in subjects & self.where.keys():
            self.last[:, self.where[s]] = self.peak[:, self.where[s]] = np.nan
