"""Shifts: how far the median of a whole peer group has left its own past.

When half of a group moves together it is the group's matter (a phase of the job, a leaf, a batch of parts) and nobody's
in it. The median cannot be moved by fewer than half, so it alone is followed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from grayscope.fewpeers import Few
from grayscope.groupnames import GroupNames
from grayscope.medians import CROWD, F

Floats = NDArray[np.float32]
Names = tuple[tuple[str, ...], ...]
#: Ticks over which a group's usual median is learned, and before which nothing is said.
PAST, YOUNG = 1024, 64
#: Ticks over which the present is averaged.
NOW = 16
FIELDS = ("base", "spread", "now", "age", "few")


@dataclass(slots=True, eq=False)
class Followed:
    """Memory of one table, [M, G] each, and what its groups are called."""

    names: GroupNames
    arrays: dict[str, Floats]

    def there(self) -> NDArray[np.bool_]:
        """Return which places [M, G] stand for a group: few metrics have many."""
        groups = np.array([self.names.groups(m) for m in range(len(self.names.metrics))], np.intp)
        width = next((array.shape[1] for array in self.arrays.values()), groups.max(initial=0))
        return np.arange(width) < groups[:, None]


class Shifts:
    """Part of stand. Deterministic and bounded by the number of groups."""

    def __init__(self) -> None:
        self.tables: dict[str, Followed] = {}

    def lay_out(self, table: str, metrics: tuple[str, ...], groups: tuple[Names, ...], layout: NDArray[np.int32], width: int, few: Iterable[Few] = ()) -> None:
        """Take the layout of a table's groups: `groups[layout[m]]` are the key values of metric m's groups.

        Those of `few` are measured by their least bad member. A group that becomes one of them, or ceases to be one, is another from then on: its
        median is no higher than its least bad member because anything rose.
        """
        old = self.tables.get(table)
        names = GroupNames.among(metrics, (groups[layout[m]] for m in range(len(metrics))))
        arrays = {field: np.zeros((len(metrics), width), np.float32) for field in FIELDS}
        for of in few:
            arrays["few"][of.row, of.groups] = 1
        if old is not None:
            for m0, m, before, now in names.since(old.names):
                same = old.arrays["few"][m0, before] == arrays["few"][m, now]
                for field in FIELDS[:-1]:
                    arrays[field][m, now[same]] = old.arrays[field][m0, before[same]]
        self.tables[table] = Followed(names, arrays)

    def step(
        self, table: str, centre: Floats, floor: Floats, count: NDArray[np.int32], sign: NDArray[np.int8], groups: NDArray[np.int32]
    ) -> tuple[Floats, Floats]:
        """Return (shift, before) of every group [M, G]: the shift in usual spreads, larger is worse, 0 until it is known; the usual median.

        Parameters
        ----------
        centre, floor : [M, G]
            Medians on the metric's scale, and the least spread that means anything.
        count : [M, G]
            Members that reported.
        sign, groups : [M]
            Direction of worse, and how many groups there are.
        """
        a = self.tables[table].arrays
        shift, before = np.zeros_like(centre), a["base"].copy()
        _follow(centre, floor, count, sign, groups, a["base"], a["spread"], a["now"], a["age"], shift)
        return shift, before

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Return all memory as arrays."""
        out: dict[str, NDArray[Any]] = {}
        for table, followed in self.tables.items():
            out[f"{table}|shift|names"] = followed.names.told()
            out |= {f"{table}|shift|{field}": array[followed.there()] for field, array in followed.arrays.items()}
        return out

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Become what `snapshot` returned."""
        self.tables = {}
        for name in state:
            table, _, field = name.partition("|shift|")
            if field == "names":
                followed = self.tables[table] = Followed(GroupNames.read(state[name]), {})
                there = followed.there()
                for f in FIELDS:
                    array = followed.arrays[f] = np.zeros(there.shape, np.float32)
                    array[there] = state[f"{table}|shift|{f}"]


@njit(
    "void(float32[:,::1], float32[:,::1], int32[:,::1], int8[::1], int32[::1], float32[:,::1], float32[:,::1], float32[:,::1], float32[:,::1], float32[:,::1])",
    cache=True,
    error_model="numpy",
)
def _follow(
    centre: Any, floor: Any, count: Any, sign: Any, groups: Any, base: Any, spread: Any, now: Any, age: Any, shift: Any
) -> None:  # pragma: no cover - compiled
    """Follow every group's usual median and spread by one tick; write its shift. All arrays are [M, G] but `sign` and `groups` [M]."""
    for m in range(centre.shape[0]):
        for g in range(groups[m]):
            there = count[m, g] >= CROWD
            usual = max(spread[m, g] * F(1.25), floor[m, g])
            distance = centre[m, g] - base[m, g] if there else F(0.0)
            old = age[m, g] >= F(YOUNG)
            if old and there:
                now[m, g] += (distance - now[m, g]) / F(NOW)
            shift[m, g] = F(sign[m]) * now[m, g] / usual if old else F(0.0)
            if not there:
                continue
            step = min(max(distance, -F(3.0) * usual), F(3.0) * usual) if old else distance
            rate = F(1.0) / min(age[m, g] + F(1.0), F(PAST))
            base[m, g] += step * rate
            if age[m, g] > F(0.0):
                spread[m, g] += (abs(step) - spread[m, g]) * rate
            age[m, g] += F(1.0)
