"""Align layout: the names of one table, sorted, and since when each of its cells has been reported."""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: A name that the roster does not expect is forgotten after a day of silence; looked for at every full hour.
FORGET, SWEEP = 86400 * 1_000_000, 3600 * 1_000_000
#: Names whose places are remembered, summed over all messages' name lists.
PLACED = 1 << 20
NEVER = np.iinfo(np.int64).max
Names = tuple[str, ...]


class Layout:
    """Rows are metrics, columns are subjects.

    A cell that was first reported after the table had warmed up is shown only once the lateness has passed since: its
    first row might otherwise count or not, depending on the order of arrival. So it is with names that have no other cell.

    Parameters
    ----------
    counter : callable
        Says whether a metric name is a counter.
    lateness : int
        Microseconds.
    """

    def __init__(self, counter: Callable[[str], bool], lateness: int) -> None:
        self.counter, self.lateness = counter, lateness
        self.subjects: Names = ()
        self.metrics: Names = ()
        self.members: Set[str] = frozenset()  # who is expected by the roster
        self.adds: NDArray[np.bool_] = np.empty(0, bool)  # metrics whose values add up within a tick
        self.first: NDArray[np.int64] = np.empty((0, 0), np.int64)  # tick at which a cell was first reported
        self.heard: NDArray[np.int64] = np.empty(0, np.int64)  # tick of each subject's last row
        self.shown: tuple[Names, Names] = ((), ())  # subjects and metrics of the last tick
        self.era = 0  # grows with every new arrangement
        self.version = 0  # grows with every cell that becomes known, too
        self._where_s: dict[str, int] = {}
        self._where_m: dict[str, int] = {}
        self._place: dict[tuple[int, int], tuple[Any, Any, Any]] = {}
        self._placed = 0
        self._hidden: tuple[Any, ...] | None = None  # rows and columns to leave out of a tick, if any
        self._young: NDArray[np.bool_] | None = None  # cells to blank, if any
        self._stale, self._unseen = True, False
        self._swept = 0

    # -- names ------------------------------------------------------------------------------------------------------

    def knows(self, subjects: Names, metrics: Names) -> bool:
        """Say whether all these names have a place."""
        if (id(subjects), id(metrics)) in self._place and self._place[id(subjects), id(metrics)][2][0] is subjects:
            return True
        return self._where_s.keys() >= set(subjects) and self._where_m.keys() >= set(metrics)

    def part(self, subjects: Names, metrics: Names) -> tuple[list[int], list[int]]:
        """Return which of these subjects and metrics have a place."""
        return [i for i, s in enumerate(subjects) if s in self._where_s], [i for i, m in enumerate(metrics) if m in self._where_m]

    def meet(self, subjects: Names, metrics: Names, time: int) -> None:
        """Make room for names that are new."""
        if not self.knows(subjects, metrics):
            self.arrange(set(self.subjects) | set(subjects), set(self.metrics) | set(metrics), time)

    def arrange(self, some_subjects: Set[str], some_metrics: Set[str], time: int) -> None:
        """Take these names and no others; who is new counts as heard at `time`."""
        subjects, metrics = tuple(sorted(some_subjects)), tuple(sorted(some_metrics))
        if subjects == self.subjects and metrics == self.metrics:
            return
        first, heard = np.full((len(metrics), len(subjects)), NEVER, np.int64), np.full(len(subjects), time, np.int64)
        kept_s, kept_m = self.part(subjects, metrics)
        old_s, old_m = [self._where_s[subjects[i]] for i in kept_s], [self._where_m[metrics[i]] for i in kept_m]
        first[np.ix_(kept_m, kept_s)] = self.first[np.ix_(old_m, old_s)]
        heard[kept_s] = self.heard[old_s]
        self.restore(subjects, metrics, first, heard)

    def restore(self, subjects: Names, metrics: Names, first: NDArray[np.int64], heard: NDArray[np.int64]) -> None:
        """Take these names with their memory; a new arrangement."""
        self.subjects, self.metrics, self.first, self.heard = subjects, metrics, first, heard
        self._where_s, self._where_m = {s: i for i, s in enumerate(subjects)}, {m: i for i, m in enumerate(metrics)}
        self.adds = np.array([self.counter(m) for m in metrics], bool)
        self._place.clear()
        self._placed = 0
        self.era += 1
        self._changed()

    def index(self, subjects: Names, metrics: Names) -> tuple[Any, Any]:
        """Return the cells of some names as an index pair, slices where they lie side by side; cached, as the same tuples come again and again."""
        found = self._place.get((id(subjects), id(metrics)))
        if found is not None and found[2][0] is subjects and found[2][1] is metrics:
            return found[0], found[1]
        at_m, at_s = [self._where_m[m] for m in metrics], [self._where_s[s] for s in subjects]
        rows, columns = _stretch(at_m), _stretch(at_s)
        if not isinstance(rows, slice) and not isinstance(columns, slice):
            rows, columns = rows[:, None], columns[None, :]
        self._placed += len(subjects) + len(metrics) + 16
        if self._placed > PLACED:
            self._place.clear()
            self._placed = 0
        self._place[id(subjects), id(metrics)] = (rows, columns, (subjects, metrics))
        return rows, columns

    def expect(self, members: Set[str]) -> None:
        """Take note of who is in the roster."""
        self.members = members
        self._stale = True

    def sweep(self, time: int) -> Set[str]:
        """At full hours, forget the names that nobody expects and that have been silent for a day; return them."""
        if time // SWEEP == self._swept // SWEEP:
            return frozenset()
        self._swept = time
        gone = {s for s, heard in zip(self.subjects, self.heard.tolist(), strict=True) if heard < time - FORGET and s not in self.members}
        if gone:
            self.arrange(set(self.subjects) - gone, set(self.metrics), time)
        return gone

    # -- cells ------------------------------------------------------------------------------------------------------

    def note(self, time: int, cells: tuple[Any, Any], reported: NDArray[np.bool_]) -> None:
        """Remember that these cells have been reported in the tick at `time`."""
        earlier = reported & (self.first[cells] > time)
        if earlier.any():
            self.first[cells] = np.where(earlier, time, self.first[cells])
            self._changed()

    def _changed(self) -> None:
        self._unseen = bool((self.first == NEVER).any())
        self._stale = True
        self.version += 1

    def admit(self, time: int, start: int, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return a tick's matrix without the cells and names that are too young; `shown` says what is left."""
        if self._unseen:
            self.note(time, (slice(None), slice(None)), np.isfinite(values))
        if self._stale or self._young is not None:
            self._show(time, start + self.lateness)
        if self._young is not None:
            values = np.where(self._young, np.float32(np.nan), values)  # a copy: the matrix may be the message's own
        return values if self._hidden is None else values[self._hidden]

    def _show(self, time: int, warm: int) -> None:
        known = self.first < NEVER
        young = known & (self.first > warm) & (np.where(known, self.first, 0) + self.lateness >= time)
        old = known & ~young
        columns = old.any(axis=0) | np.array([s in self.members for s in self.subjects], bool)
        rows = old.any(axis=1)
        self._hidden = None if rows.all() and columns.all() else np.ix_(np.flatnonzero(rows), np.flatnonzero(columns))
        self._young = young if young.any() else None
        self._stale = False
        subjects, metrics = those(self.subjects, columns), those(self.metrics, rows)
        # The same objects as long as nothing changes: later stations look for that.
        self.shown = (self.shown[0] if self.shown[0] == subjects else subjects, self.shown[1] if self.shown[1] == metrics else metrics)

    def lacking(self, expected: Set[str]) -> NDArray[np.bool_]:
        """Return the cells that a complete tick holds: all that those who are expected ever reported."""
        known = self.first < NEVER
        present = np.array([s in expected for s in self.subjects], bool)
        # Who is expected and never spoke lacks everything.
        cells: NDArray[np.bool_] = (known | ~known.any(axis=0)) & present
        return cells


def _stretch(places: list[int]) -> Any:
    """Return places that follow one another as a slice, others as an array.

    Examples
    --------
    >>> _stretch([3, 4, 5]), _stretch([3, 5]).tolist()
    (slice(3, 6, None), [3, 5])
    """
    one_by_one = bool(places) and places == list(range(places[0], places[-1] + 1))
    return slice(places[0], places[-1] + 1) if one_by_one else np.array(places, np.intp)


def those(names: Names, keep: Any) -> Names:
    """Return the names that are to be kept.

    Examples
    --------
    >>> those(("a", "b"), np.array([False, True]))
    ('b',)
    """
    return names if keep.all() else tuple(n for n, k in zip(names, keep.tolist(), strict=True) if k)
