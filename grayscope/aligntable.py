"""Align table: the open ticks of one table and the layout of its cells."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from grayscope.alignmerge import Merging
from grayscope.batch import Batch
from grayscope.event import Event
from grayscope.roster import Roster, View
from grayscope.tick import Tick

if TYPE_CHECKING:
    from grayscope.align import AlignSettings

#: More names than this in one table are refused: names come from outside.
LIMIT = 1 << 20
#: A name that the roster does not expect is forgotten after a day of silence; looked for at every full hour.
FORGET, SWEEP = 86400 * 1_000_000, 3600 * 1_000_000
#: Names whose places are remembered, summed over all messages' name lists.
PLACED = 1 << 20
NEVER = np.iinfo(np.int64).max
Part = tuple[int, tuple[str, ...], tuple[str, ...], NDArray[np.float32]]


class Table:
    """One table on its way to ticks. Cells are (metric, subject); names are kept sorted."""

    def __init__(self, name: str, period: int, settings: AlignSettings, counter: Callable[[str], bool], counts: dict[str, int]) -> None:
        self.name, self.period, self.settings, self.counter, self.counts = name, period, settings, counter, counts
        self.subjects: tuple[str, ...] = ()
        self.metrics: tuple[str, ...] = ()
        self.first: NDArray[np.int64] = np.empty((0, 0), np.int64)  # tick at which a cell was first reported
        self.heard: NDArray[np.int64] = np.empty(0, np.int64)  # tick of each subject's last row
        self.crowded = False  # subjects report several times a tick, so no tick is complete before its time
        self.who: dict[str, tuple[str, ...]] = {}  # identity of the part behind each name
        self.adds: NDArray[np.bool_] = np.empty(0, bool)  # metrics whose values add up within a tick
        self.pending: dict[int, list[Part]] = {}
        self.missing: dict[int, NDArray[np.bool_]] = {}  # expected cells that an open tick still lacks
        self.start: int | None = None
        self.last: int | None = None
        self.quiet = 0
        self._view: View | None = None
        self._alien: frozenset[str] = frozenset()
        self._place: dict[tuple[int, int], tuple[Any, Any, Any]] = {}
        self._placed = 0
        self.shown: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())  # subjects and metrics of the last tick
        self._hidden: tuple[Any, ...] | None = None  # rows and columns to leave out of a tick, if any
        self._young: NDArray[np.bool_] | None = None  # cells to blank, if any
        self._stale = True

    # -- taking -----------------------------------------------------------------------------------------------------

    def take(self, time: int, batch: Batch, k: int) -> None:
        """Put the k-th rows of a batch, stamped `time`, into their open tick."""
        tick = -(-time // self.period) * self.period
        values = batch.values[k]
        self.counts["rows"] += int(np.isfinite(values).any(axis=0).sum())
        if self.last is not None and tick <= self.last:
            reported = np.isfinite(values)
            self.counts["late"] += int(reported.any(axis=0).sum())
            _, subjects, metrics, values = self._admitted((time, batch.subjects, batch.metrics, values))
            self._meet(subjects, metrics)
            self._note_first(tick, self._index(subjects, metrics), np.isfinite(values))
            return
        if not values.size or (np.isnan(values.flat[0]) and np.isnan(values).all()):
            return  # nothing was reported, which is the same as no row
        if self.start is None or tick < self.start:
            self.start = tick
        self.pending.setdefault(tick, []).append((time, batch.subjects, batch.metrics, values))
        if tick in self.missing:
            self._tick_off(tick, batch.subjects, batch.metrics, values)

    def withdraw(self, edge: int) -> Iterator[Batch]:
        """Yield, and forget, the rows after `edge`."""
        for tick in sorted(t for t in self.pending if t > edge):
            for time, subjects, metrics, values in self.pending.pop(tick):
                yield Batch(self.name, np.array([time]), subjects, metrics, values[None])
            self.missing.pop(tick, None)
        self.start = min(self.pending, default=None) if self.last is None else self.start

    def _tick_off(self, tick: int, subjects: tuple[str, ...], metrics: tuple[str, ...], values: NDArray[np.float32]) -> None:
        if not self._known(subjects, metrics):
            s = [i for i, name in enumerate(subjects) if name in self._names_s]
            m = [i for i, name in enumerate(metrics) if name in self._names_m]
            subjects, metrics, values = tuple(subjects[i] for i in s), tuple(metrics[i] for i in m), values[np.ix_(m, s)]
        cells = self._index(subjects, metrics)
        self.missing[tick][cells] &= ~np.isfinite(values)

    # -- closing ----------------------------------------------------------------------------------------------------

    def due(self) -> int | None:
        """Return the time of the next tick to close, None while the table sleeps."""
        nearest = min(self.pending) if self.pending else None
        if self.last is None or self.quiet >= self.settings.empty:
            return nearest
        return self.last + self.period if nearest is None else min(nearest, self.last + self.period)

    def complete(self, time: int, now: int, roster: Roster) -> bool:
        """Say whether all that is expected at `time` has come, so that nothing can change the tick any more."""
        started = self.start is not None and time > self.start + self.settings.lateness
        if not (self.settings.eager and started and time in self.pending and now >= time) or self.crowded:
            return False
        view = roster.at(time)
        expected = view.tables.get(self.name, self.subjects)
        if view is not self._view or not self._known(expected, ()):
            return False
        if time not in self.missing:
            lacking = self.first < NEVER
            present = set(expected)
            lacking[:, [s not in present for s in self.subjects]] = False
            silent = np.array([s in present for s in self.subjects], bool) & ~(self.first < NEVER).any(axis=0)
            lacking[:, silent] = True  # the roster expects it, and it never spoke
            self.missing[time] = lacking
            for _, subjects, metrics, values in self.pending[time]:
                self._tick_off(time, subjects, metrics, values)
        return not self.missing[time].any()

    def close(self, time: int, roster: Roster, events: tuple[Event, ...]) -> Tick | None:
        """Settle the tick at `time` and move on."""
        parts = sorted(self.pending.pop(time, ()), key=lambda p: p[0])
        self.missing.pop(time, None)
        self.last = time
        self.quiet = 0 if parts else self.quiet + 1
        view = roster.at(time)
        if view is not self._view:
            self._look(view)
        if parts and (self._alien or len(self.subjects) > LIMIT // 2):
            parts = [self._admitted(p) for p in parts]
        for _, subjects, metrics, _ in parts:
            self._meet(subjects, metrics)
        values = self._admit(time, self._settle(parts))
        for _, subjects, metrics, _ in parts:
            self.heard[self._index(subjects, metrics)[1]] = time
        subjects, metrics = self.shown
        fresh = self._fresh(view)
        self._sweep(time)
        if not (subjects and metrics):
            return None
        return Tick(self.name, time, self.period, view, subjects, metrics, values, fresh, events)

    def _settle(self, parts: list[Part]) -> NDArray[np.float32]:
        """Merge the parts of one tick, oldest first: gauges replace, increments add, equal stamps are one row."""
        if len(parts) == 1 and parts[0][1] == self.subjects and parts[0][2] == self.metrics:
            return parts[0][3]
        values = np.full((len(self.metrics), len(self.subjects)), np.nan, np.float32)
        if len(parts) == 1:
            self._put(values, parts[0])
            return values
        merging = Merging(values)
        for time, subjects, metrics, new in parts:
            cells = self._index(subjects, metrics)
            duplicate, conflicting, several = merging.add(time, cells, self.adds[cells[0].ravel()][:, None], new)
            self.counts["duplicate"] += duplicate
            self.counts["conflicting"] += conflicting
            self.crowded |= several
        return values

    def _put(self, values: NDArray[np.float32], part: Part) -> None:
        _, subjects, metrics, new = part
        values[self._index(subjects, metrics)] = new

    def _admit(self, time: int, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Blank the cells, and leave out the names, that are too young to be the same in every order of arrival."""
        if self._unseen:
            self._note_first(time, (slice(None), slice(None)), np.isfinite(values))
        if self._stale or self._young is not None:
            self._show(time)
        if self._young is not None:
            values = np.where(self._young, np.float32(np.nan), values)  # a copy: the matrix may be the message's own
        return values if self._hidden is None else values[self._hidden]

    def _show(self, time: int) -> None:
        """Work out which cells are old enough, and from them which names a tick shows: theirs and the roster's."""
        assert self.start is not None
        warm = self.start + self.settings.lateness
        known = self.first < NEVER
        young = known & (self.first > warm) & (np.where(known, self.first, 0) + self.settings.lateness >= time)
        old = known & ~young
        columns = old.any(axis=0) | np.array([s in self._members for s in self.subjects], bool)
        rows = old.any(axis=1)
        self._hidden = None if rows.all() and columns.all() else np.ix_(np.flatnonzero(rows), np.flatnonzero(columns))
        self._young = young if young.any() else None
        self._stale = False
        subjects, metrics = _those(self.subjects, columns), _those(self.metrics, rows)
        # The same objects as long as nothing changes: later stations look for that.
        self.shown = (self.shown[0] if self.shown[0] == subjects else subjects, self.shown[1] if self.shown[1] == metrics else metrics)

    def _note_first(self, time: int, cells: tuple[Any, Any], reported: NDArray[np.bool_]) -> None:
        earlier = reported & (self.first[cells] > time)
        if earlier.any():
            self.first[cells] = np.where(earlier, time, self.first[cells])
            self._age()

    def _age(self) -> None:
        self._unseen = bool((self.first == NEVER).any())
        self._stale = True

    _unseen = False

    def _sweep(self, time: int) -> None:
        """At full hours, forget the names that nobody expects and that have been silent for a day."""
        if time // SWEEP == self._swept // SWEEP:
            return
        self._swept = time
        gone = {s for s, heard in zip(self.subjects, self.heard.tolist(), strict=True) if heard < time - FORGET and s not in self._members}
        if gone:
            for name in gone & set(self.who):
                del self.who[name]
            self._lay_out(tuple(s for s in self.subjects if s not in gone), self.metrics)

    _swept = 0

    # -- who is there -----------------------------------------------------------------------------------------------

    def _fresh(self, view: View) -> NDArray[np.bool_]:
        """Say which subjects are another physical part than at the previous tick."""
        subjects = self.shown[0]
        if view is self._fresh_view and subjects is self._fresh_subjects:
            return self._no_fresh
        fresh = np.zeros(len(subjects), bool)
        for i, subject in enumerate(subjects):
            identity = view.identity(subject)
            fresh[i] = subject in self.who and any(a and b and a != b for a, b in zip(self.who[subject], identity, strict=True))
            self.who[subject] = tuple(b or a for a, b in zip(self.who.get(subject, identity), identity, strict=True))
        self._fresh_view, self._fresh_subjects, self._no_fresh = view, subjects, np.zeros(len(subjects), bool)
        return fresh

    _fresh_view: View | None = None
    _fresh_subjects: tuple[str, ...] = ()
    _no_fresh: NDArray[np.bool_] = np.empty(0, bool)

    def _look(self, view: View) -> None:
        """Take a new view of the roster: newcomers join, leavers go, subjects of another table are refused."""
        self._view = view
        self._alien = frozenset(s for s in (*self.subjects, *view.rows) if s in view.rows and view.rows[s].table != self.name)
        gone = {s for s in self._members if s not in view.rows}
        self._members = frozenset(view.tables.get(self.name, ()))
        keep = (set(self.subjects) | self._members) - gone - self._alien
        for name in set(self.who) - keep:
            del self.who[name]
        self._stale = True
        self._lay_out(tuple(sorted(keep)), self.metrics)

    _members: frozenset[str] = frozenset()

    def _known(self, subjects: tuple[str, ...], metrics: tuple[str, ...]) -> bool:
        return self._names_s.issuperset(subjects) and self._names_m.issuperset(metrics)

    _names_s: frozenset[str] = frozenset()
    _names_m: frozenset[str] = frozenset()

    def _meet(self, subjects: tuple[str, ...], metrics: tuple[str, ...]) -> None:
        """Make room for names that are new."""
        if not self._known(subjects, metrics):
            self._lay_out(tuple(sorted(self._names_s | set(subjects))), tuple(sorted(self._names_m | set(metrics))))

    def _lay_out(self, subjects: tuple[str, ...], metrics: tuple[str, ...]) -> None:
        if subjects == self.subjects and metrics == self.metrics:
            return
        where_s = {s: i for i, s in enumerate(self.subjects)}
        where_m = {m: i for i, m in enumerate(self.metrics)}
        first = np.full((len(metrics), len(subjects)), NEVER, np.int64)
        kept_s = [i for i, s in enumerate(subjects) if s in where_s]
        kept_m = [i for i, m in enumerate(metrics) if m in where_m]
        old_s = [where_s[subjects[i]] for i in kept_s]
        old_m = [where_m[metrics[i]] for i in kept_m]
        first[np.ix_(kept_m, kept_s)] = self.first[np.ix_(old_m, old_s)]
        heard = np.full(len(subjects), self.last if self.last is not None else 0, np.int64)
        heard[kept_s] = self.heard[old_s]
        self.first, self.heard = first, heard
        self._age()
        self.subjects, self.metrics = subjects, metrics
        self._names_s, self._names_m = frozenset(subjects), frozenset(metrics)
        self.adds = np.array([self.counter(m) for m in metrics], bool)
        self.missing.clear()
        self._place.clear()
        self._placed = 0

    def _index(self, subjects: tuple[str, ...], metrics: tuple[str, ...]) -> tuple[Any, Any]:
        """Return the cells of a part as an index pair; cached, as the same tuples come again and again."""
        key = (id(subjects), id(metrics))
        found = self._place.get(key)
        if found is not None and found[2][0] is subjects and found[2][1] is metrics:
            return found[0], found[1]
        where_s = {s: i for i, s in enumerate(self.subjects)}
        where_m = {m: i for i, m in enumerate(self.metrics)}
        cells = (np.array([where_m[m] for m in metrics], np.intp)[:, None], np.array([where_s[s] for s in subjects], np.intp)[None, :])
        self._placed += len(subjects) + len(metrics) + 16
        if self._placed > PLACED:
            self._place.clear()
            self._placed = 0
        self._place[key] = (*cells, (subjects, metrics))
        return cells

    def _admitted(self, part: Part) -> Part:
        """Return the part without subjects of another table and without names beyond the limit."""
        time, subjects, metrics, values = part
        room = LIMIT - len(self.subjects)
        alien = np.array([s in self._alien for s in subjects], bool)
        beyond = np.array([s not in self._names_s for s in subjects], bool) & ~alien
        beyond &= np.cumsum(beyond) > room
        if not (alien | beyond).any():
            return part
        reported = np.isfinite(values).any(axis=0)
        self.counts["wrong_table"] += int((reported & alien).sum())
        self.counts["too_many"] += int((reported & beyond).sum())
        keep = ~(alien | beyond)
        return time, tuple(s for s, k in zip(subjects, keep.tolist(), strict=True) if k), metrics, values[:, keep]


def _those(names: tuple[str, ...], keep: Any) -> tuple[str, ...]:
    return names if keep.all() else tuple(n for n, k in zip(names, keep.tolist(), strict=True) if k)
