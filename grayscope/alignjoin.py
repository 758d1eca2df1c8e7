"""Align join: many small parts of one tick become few large ones where no cell is in two of them, which is nearly always so.

A node sends the rows of its eight GPUs. To settle and count a thousand such parts one by one costs more than to judge them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Names = tuple[str, ...]
Part = tuple[int, Names, Names, NDArray[np.float32]]


class Join:
    """Joins parts; remembers the names of the last ones, as the same come again and again."""

    def __init__(self) -> None:
        self._last: dict[Names, tuple[list[Names], Names]] = {}

    def of(self, parts: Sequence[Part]) -> list[Part] | None:
        """Return one part for each list of metrics, None where a cell might be in two parts; their time means nothing.

        Examples
        --------
        >>> one, two = np.ones((1, 1), np.float32), np.full((1, 2), 2, np.float32)
        >>> (part,) = Join().of([(7, ("b", "c"), ("m",), two), (8, ("a",), ("m",), one)]) or []
        >>> part[1], part[3].tolist()
        (('a', 'b', 'c'), [[1.0, 2.0, 2.0]])
        >>> Join().of([(7, ("a",), ("m",), one), (8, ("a",), ("m",), one)]) is None
        True
        """
        alike: dict[Names, list[Part]] = {}
        for part in parts:
            alike.setdefault(part[2], []).append(part)
        if len(alike) > 1 and len({name for metrics in alike for name in metrics}) < sum(len(metrics) for metrics in alike):
            return None
        found = [self._joined(metrics, some) for metrics, some in alike.items()]
        return None if any(part is None for part in found) else found  # type: ignore[return-value]

    def _joined(self, metrics: Names, parts: list[Part]) -> Part | None:
        if len(parts) == 1:
            return parts[0]
        parts = sorted(parts, key=_first)
        lists = [part[1] for part in parts]
        names = self._names(metrics, lists)
        return None if names is None else (parts[0][0], names, metrics, np.concatenate([part[3] for part in parts], axis=1))

    def _names(self, metrics: Names, lists: list[Names]) -> Names | None:
        """Return all names in order, None where one comes twice; the same object as long as the lists are the same objects."""
        last = self._last.get(metrics)
        if last is not None and len(last[0]) == len(lists) and all(map(_same, last[0], lists)):
            return last[1]
        names = tuple(name for some in lists for name in some)
        if len({*names}) < len(names):
            return None
        if len(self._last) > 64:
            self._last.clear()
        self._last[metrics] = (lists, names)
        return names


def _first(part: Part) -> str:
    return part[1][0]


def _same(a: Any, b: Any) -> bool:
    return a is b
