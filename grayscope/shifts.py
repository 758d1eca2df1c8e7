"""Shifts: how far the median of a whole peer group has left its own past.

When half of a group moves together it is the group's matter (a phase of the job, a leaf, a batch of parts) and nobody's
in it. The median cannot be moved by fewer than half, so it alone is followed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Names = tuple[tuple[str, ...], ...]
#: Ticks over which a group's usual median is learned, and before which nothing is said.
PAST, YOUNG = 1024, 64
#: Ticks over which the present is averaged.
NOW = 16
FIELDS = ("base", "spread", "now", "age")


@dataclass(slots=True, eq=False)
class Followed:
    """Memory of one table, [M, G] each, and what its cells are called."""

    cells: dict[tuple[str, str], tuple[int, int]]
    arrays: dict[str, Floats]


class Shifts:
    """Part of stand. Deterministic and bounded by the number of groups."""

    def __init__(self) -> None:
        self.tables: dict[str, Followed] = {}

    def lay_out(self, table: str, metrics: tuple[str, ...], groups: tuple[Names, ...], layout: NDArray[np.int32], width: int) -> None:
        """Take the layout of a table's groups: `groups[layout[m]]` are the key values of metric m's groups."""
        old = self.tables.get(table)
        cells = {(name, "|".join(group)): (m, g) for m, name in enumerate(metrics) for g, group in enumerate(groups[layout[m]])}
        arrays = {field: np.zeros((len(metrics), width), np.float32) for field in FIELDS}
        if old is not None:
            both = [(old.cells[key], place) for key, place in cells.items() if key in old.cells]
            for field in FIELDS:
                for (m0, g0), (m, g) in both:
                    arrays[field][m, g] = old.arrays[field][m0, g0]
        self.tables[table] = Followed(cells, arrays)

    def step(self, table: str, centre: Floats, floor: Floats, there: NDArray[np.bool_], sign: NDArray[np.int8]) -> tuple[Floats, Floats]:
        """Return (shift, before) of every group [M, G]: the shift in usual spreads, larger is worse, 0 until it is known; the usual median.

        Parameters
        ----------
        centre, floor : [M, G]
            Medians on the metric's scale, and the least spread that means anything.
        there : [M, G]
            Groups with enough members at this tick.
        sign : [M]
            Direction of worse.
        """
        a = self.tables[table].arrays
        usual = np.maximum(a["spread"] * np.float32(1.25), floor)
        distance = np.where(there, centre - a["base"], np.float32(0))
        old = a["age"] >= YOUNG
        a["now"] += np.where(there & old, (distance - a["now"]) / np.float32(NOW), np.float32(0))
        shift = np.where(old, sign[:, None] * a["now"] / usual, np.float32(0))
        before = a["base"].copy()
        edge = np.where(old, 3 * usual, np.float32(np.inf))
        step = np.clip(distance, -edge, edge)
        rate = 1 / np.minimum(a["age"] + 1, np.float32(PAST))
        a["base"] += np.where(there, step * rate, np.float32(0))
        a["spread"] += np.where(there & (a["age"] > 0), (np.abs(step) - a["spread"]) * rate, np.float32(0))
        a["age"] += there
        return shift.astype(np.float32), before

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Return all memory as arrays."""
        out: dict[str, NDArray[Any]] = {}
        for table, followed in self.tables.items():
            out[f"{table}|shift|cells"] = np.array([[m, g, *key] for key, (m, g) in followed.cells.items()], np.str_)
            out |= {f"{table}|shift|{field}": array.copy() for field, array in followed.arrays.items()}
        return out

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Become what `snapshot` returned."""
        self.tables = {}
        for name in state:
            table, _, field = name.partition("|shift|")
            if field == "cells":
                cells = {(metric, group): (int(m), int(g)) for m, g, metric, group in state[name].tolist()}
                self.tables[table] = Followed(cells, {f: np.array(state[f"{table}|shift|{f}"], np.float32) for f in FIELDS})
