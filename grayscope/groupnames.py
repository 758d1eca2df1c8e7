"""Groupnames: what the peer groups of a table's metrics are called, so that what is known of each follows it into a new layout.

Many metrics share one list of groups, so each list is kept, matched and written once: one name per metric and group of 10,000 parts
took longer to write down than all the numbers of a state.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grayscope.columns import common

Places = NDArray[np.intp]


class GroupNames:
    """Names of the groups of each metric; immutable.

    Parameters
    ----------
    metrics : sequence of str, length M
    lists : sequence of sequence of str
        Names of groups, each list once.
    of : sequence of int, length M
        Which list holds the names of a metric's groups; a group's place in the list is its column.

    Examples
    --------
    >>> old, new = GroupNames("ab", [["x", "y"]], [0, 0]), GroupNames("bc", [["y", "z", "x"]], [0, 0])
    >>> [(m, n, p.tolist(), q.tolist()) for m, n, p, q in new.since(old)]
    [(1, 0, [1, 0], [0, 2])]
    """

    def __init__(self, metrics: Sequence[str], lists: Sequence[Sequence[str]], of: Sequence[int]) -> None:
        self.metrics, self.lists, self.of = tuple(metrics), tuple(tuple(names) for names in lists), tuple(of)
        self._told: NDArray[np.uint8] | None = None

    @classmethod
    def among(cls, metrics: Iterable[str], groups: Iterable[tuple[tuple[str, ...], ...]]) -> GroupNames:
        """Return the names for the key values of each metric's groups; those of several metrics may be one object."""
        found: dict[int, int] = {}
        lists, of = list[tuple[tuple[str, ...], ...]](), list[int]()
        for each in groups:
            of.append(found.setdefault(id(each), len(lists)))
            if of[-1] == len(lists):
                lists.append(each)
        return cls(tuple(metrics), [["|".join(group) for group in each] for each in lists], of)

    def groups(self, metric: int) -> int:
        """Return how many groups a metric has."""
        return len(self.lists[self.of[metric]])

    def since(self, old: GroupNames) -> Iterator[tuple[int, int, Places, Places]]:
        """Yield for each metric that `old` has too: its old row, its row, and of the groups that both have the old columns and the columns."""
        rows, where = {name: m for m, name in enumerate(old.metrics)}, dict[tuple[int, int], tuple[Places, Places]]()
        for m, name in enumerate(self.metrics):
            if name in rows:
                pair = (old.of[rows[name]], self.of[m])
                if pair not in where:
                    where[pair] = common(old.lists[pair[0]], self.lists[pair[1]])
                yield rows[name], m, *where[pair]

    def told(self) -> NDArray[np.uint8]:
        """Return them as bytes; the same object each time."""
        if self._told is None:
            text = json.dumps({"metrics": self.metrics, "lists": self.lists, "of": self.of}, separators=(",", ":"))
            self._told = np.frombuffer(text.encode(), np.uint8)
        return self._told

    @classmethod
    def read(cls, told: NDArray[Any]) -> GroupNames:
        """Become what `told` returned."""
        found = json.loads(told.tobytes())
        return cls(found["metrics"], found["lists"], found["of"])
