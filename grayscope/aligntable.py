"""Align table: the open ticks of one table, and how they are settled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from grayscope.alignjoin import Join, Part
from grayscope.alignlayout import Layout, Names, those
from grayscope.alignmerge import Merging
from grayscope.batch import Batch
from grayscope.event import Event
from grayscope.roster import Roster, View
from grayscope.tick import Tick

if TYPE_CHECKING:
    from grayscope.align import AlignSettings

#: More names than this in one table are refused: names come from outside.
LIMIT = 1 << 20


@dataclass(slots=True, eq=False)
class Missing:
    """The expected cells that an open tick still lacks, in one era of the layout, as far as its parts have been looked at."""

    era: int
    cells: NDArray[np.bool_]
    left: int
    seen: int = 0  # parts that have been looked at
    unseen: int = 0  # cells in the others, at most


class Table:
    """One table on its way to ticks."""

    def __init__(self, name: str, period: int, settings: AlignSettings, counter: Callable[[str], bool], counts: dict[str, int]) -> None:
        self.name, self.period, self.settings, self.counts = name, period, settings, counts
        self.layout = Layout(counter, settings.lateness)
        self.pending: dict[int, list[Part]] = {}
        self.missing: dict[int, Missing] = {}
        self.join = Join()
        self._joined: tuple[int, int, list[Part] | None] | None = None  # tick, how many of its parts, and what they are together
        self.crowded = False  # subjects report several times a tick, so no tick is complete before its time
        self.start: int | None = None
        self.last: int | None = None
        self.quiet = 0
        self.who: dict[str, tuple[str, ...]] = {}  # identity of the part behind each name
        self._view: View | None = None
        self._alien: frozenset[str] = frozenset()
        self._lacking: tuple[View, int, NDArray[np.bool_]] | None = None
        self._fresh_for: tuple[View, Names] | None = None
        self._no_fresh: NDArray[np.bool_] = np.empty(0, bool)

    @property
    def subjects(self) -> Names:
        """All names that have a place."""
        return self.layout.subjects

    # -- taking -----------------------------------------------------------------------------------------------------

    def take(self, time: int, batch: Batch, k: int, whole: bool = False) -> None:
        """Put the k-th rows of a batch, stamped `time`, into their open tick; `whole` if every value of it is a number."""
        tick = -(-time // self.period) * self.period
        part = (time, batch.subjects, batch.metrics, batch.values[k])
        rows = len(batch.subjects) if whole and batch.metrics else int(np.count_nonzero(np.isfinite(part[3]).any(axis=0)))
        self.counts["rows"] += rows
        if not rows:
            return  # nothing was reported, which is the same as no row
        if self.last is not None and tick <= self.last:
            self.counts["late"] += rows
            self._note_late(tick, part)
            return
        if self.start is None or tick < self.start:
            self.start = tick
        self.pending.setdefault(tick, []).append(part)
        if tick in self.missing:
            self.missing[tick].unseen += part[3].size

    def _note_late(self, tick: int, part: Part) -> None:
        """Learn which cells exist, as if the row had come in time; it has, if the tick was closed early."""
        _, subjects, metrics, values = self._admitted(part)
        self.layout.meet(subjects, metrics, tick)
        self.layout.note(tick, self.layout.index(subjects, metrics), np.isfinite(values))

    def withdraw(self, edge: int) -> Iterator[Batch]:
        """Yield, and forget, the rows after `edge`."""
        for tick in sorted(t for t in self.pending if t > edge):
            for time, subjects, metrics, values in self.pending.pop(tick):
                yield Batch(self.name, np.array([time]), subjects, metrics, values[None])
            self.missing.pop(tick, None)
            self._joined = None
        self.start = min(self.pending, default=None) if self.last is None else self.start

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
        missing = self.missing.get(time)
        if missing is not None and missing.era == self.layout.era and missing.unseen < missing.left:
            return False  # too little has come to matter, as nearly always
        view = roster.at(time)
        if view is not self._view:
            return False  # the first tick of a new view waits: who is fresh, and who is gone, is found when it closes
        if missing is None or missing.era != self.layout.era:
            cells = self._expected(view).copy()
            missing = self.missing[time] = Missing(self.layout.era, cells, int(cells.sum()), 0, sum(part[3].size for part in self.pending[time]))
        if missing.unseen >= missing.left > 0:
            for part in (self._apart(time) if not missing.seen else None) or self.pending[time][missing.seen :]:
                self._tick_off(missing, part)
            missing.seen, missing.unseen = len(self.pending[time]), 0
        return not missing.left

    def _apart(self, time: int) -> list[Part] | None:
        """Return all parts of an open tick joined, None where a cell might be in two of them; worked out again only when more have come."""
        parts = self.pending[time]
        if self._joined is None or self._joined[:2] != (time, len(parts)):
            self._joined = (time, len(parts), self.join.of(parts))
        return self._joined[2]

    def _expected(self, view: View) -> NDArray[np.bool_]:
        if self._lacking is None or self._lacking[0] is not view or self._lacking[1] != self.layout.version:
            expected = frozenset(view.tables.get(self.name, self.subjects))
            self._lacking = (view, self.layout.version, self.layout.lacking(expected))
        return self._lacking[2]

    def _tick_off(self, missing: Missing, part: Part) -> None:
        _, subjects, metrics, values = part
        if not self.layout.knows(subjects, metrics):
            s, m = self.layout.part(subjects, metrics)
            subjects, metrics, values = tuple(subjects[i] for i in s), tuple(metrics[i] for i in m), values[np.ix_(m, s)]
        cells = self.layout.index(subjects, metrics)
        came = np.isfinite(values)
        came &= missing.cells[cells]
        missing.cells[cells] ^= came
        missing.left -= int(np.count_nonzero(came))

    def close(self, time: int, roster: Roster, events: tuple[Event, ...]) -> Tick | None:
        """Settle the tick at `time` and move on."""
        apart = self._apart(time) if time in self.pending else None
        parts = self.pending.pop(time, [])
        parts = sorted(parts, key=lambda p: p[0]) if apart is None else apart
        self.missing.pop(time, None)
        self._joined = None
        self.last = time
        self.quiet = 0 if parts else self.quiet + 1
        view = roster.at(time)
        if view is not self._view:
            self._look(view, time)
        if parts and (self._alien or len(self.subjects) > LIMIT // 2):
            parts = [self._admitted(p) for p in parts]
        for _, subjects, metrics, _ in parts:
            self.layout.meet(subjects, metrics, time)
        assert self.start is not None
        values = self.layout.admit(time, self.start, self._settle(parts, apart is not None))
        for _, subjects, metrics, _ in parts:
            self.layout.heard[self.layout.index(subjects, metrics)[1]] = time
        subjects, metrics = self.layout.shown
        fresh = self._fresh(view)
        for name in self.layout.sweep(time):
            self.who.pop(name, None)
        if not (subjects and metrics):
            return None
        return Tick(self.name, time, self.period, view, subjects, metrics, np.ascontiguousarray(values), fresh, events)

    def _settle(self, parts: list[Part], apart: bool) -> NDArray[np.float32]:
        """Merge the parts of one tick, oldest first: gauges replace, increments add, equal stamps are one row; no cell twice where they are `apart`."""
        lay = self.layout
        if len(parts) == 1 and parts[0][1] == lay.subjects and parts[0][2] == lay.metrics:
            return parts[0][3]
        values = np.full((len(lay.metrics), len(lay.subjects)), np.nan, np.float32)
        if apart:
            for _, subjects, metrics, new in parts:
                values[lay.index(subjects, metrics)] = new
            return values
        merging = Merging(values)
        for time, subjects, metrics, new in parts:
            cells = lay.index(subjects, metrics)
            duplicate, conflicting, several = merging.add(time, cells, lay.adds[cells[0]], new)
            self.counts["duplicate"] += duplicate
            self.counts["conflicting"] += conflicting
            self.crowded |= several
        return values

    # -- who is there -----------------------------------------------------------------------------------------------

    def _fresh(self, view: View) -> NDArray[np.bool_]:
        """Say which subjects are another physical part than at the previous tick."""
        subjects = self.layout.shown[0]
        if self._fresh_for is not None and view is self._fresh_for[0] and subjects is self._fresh_for[1]:
            return self._no_fresh
        fresh = np.zeros(len(subjects), bool)
        for i, subject in enumerate(subjects):
            identity = view.identity(subject)
            fresh[i] = subject in self.who and any(a and b and a != b for a, b in zip(self.who[subject], identity, strict=True))
            self.who[subject] = tuple(b or a for a, b in zip(self.who.get(subject, identity), identity, strict=True))
        self._fresh_for, self._no_fresh = (view, subjects), np.zeros(len(subjects), bool)
        return fresh

    def _look(self, view: View, time: int) -> None:
        """Take a new view of the roster: newcomers join, leavers go, subjects of another table are refused."""
        self._view = view
        self._alien = frozenset(s for s in (*self.subjects, *view.rows) if s in view.rows and view.rows[s].table != self.name)
        gone = {s for s in self.layout.members if s not in view.rows}
        self.layout.expect(frozenset(view.tables.get(self.name, ())))
        keep = (set(self.subjects) | self.layout.members) - gone - self._alien
        for name in set(self.who) - keep:
            del self.who[name]
        self.layout.arrange(keep, set(self.layout.metrics), time)

    def _admitted(self, part: Part) -> Part:
        """Return the part without subjects of another table and without names beyond the limit."""
        time, subjects, metrics, values = part
        if self._alien.isdisjoint(subjects) and self.layout.knows(subjects, metrics):
            return part  # as nearly always
        room = LIMIT - len(self.subjects)
        alien = np.array([s in self._alien for s in subjects], bool)
        beyond = ~np.isin(np.arange(len(subjects)), self.layout.part(subjects, ())[0]) & ~alien
        beyond &= np.cumsum(beyond) > room
        if not (alien | beyond).any():
            return part
        reported = np.isfinite(values).any(axis=0)
        self.counts["wrong_table"] += int((reported & alien).sum())
        self.counts["too_many"] += int((reported & beyond).sum())
        keep = ~(alien | beyond)
        return time, those(subjects, keep), metrics, values[:, keep]
