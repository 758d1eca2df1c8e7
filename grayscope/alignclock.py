"""Align clock: event time as the fleet tells it; one wrong clock is held back, a fleet that jumps ahead is followed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from grayscope.batch import Batch

#: Messages from the future that are kept until others agree.
HELD = 4096
#: So many of them, with nothing else in between, are believed whoever sends them.
ALONE = 32
#: Nodes that must agree before the first clock that spoke is trusted.
WITNESSES = 3
#: 2010-01-01 in microseconds: beside a clock that is past it, one that is not has lost its battery.
SANE = 1_262_304_000_000_000


class Clock:
    """The latest event time that is believed, and the messages that run too far ahead of it.

    Parameters
    ----------
    ahead : int
        A row this far after everything else is suspected, microseconds.
    counts : dict
        ``clock_ahead`` counts the rows that were given up.
    """

    def __init__(self, ahead: int, counts: dict[str, int]) -> None:
        self.ahead, self.counts = ahead, counts
        self.now: int | None = None
        self.held: list[Batch] = []
        self.dry = True  # nothing but messages from the future has come since the first of those held
        self.sure = False  # the first clock that spoke has been confirmed, or overruled
        self._with: set[str] = set()
        self._behind: set[str] = set()

    def advance(self, time: int) -> None:
        """Take note that the fleet's time is at least `time`."""
        if self.now is None or time > self.now:
            self.now = time

    def event(self, time: int, subject: str) -> None:
        """Advance to the time of an event, unless that is far ahead."""
        if self.now is None:
            self._with.add(root(subject))
        if self.now is None or time <= self.now + self.ahead:
            self.advance(time)

    def overruled(self, batch: Batch) -> int | None:
        """Return the time after which everything must be taken back, None as usual.

        At the very start there is nobody to compare with. The first clock is taken back if as many nodes say that it is
        far earlier: a clock that is ahead makes everybody else late, one that is behind only itself.
        """
        if self.sure or self.now is None or not len(batch.times):
            return None
        time = int(batch.times[-1])
        near = abs(time - self.now) <= self.ahead
        if time < SANE <= self.now:
            return None
        (self._with if near else self._behind if time < self.now else set()).update(roots([batch]))
        if self._behind and len(self._behind - self._with) >= len(self._with):
            self.sure, self.now, self.dry = True, time, False
            return time + self.ahead
        self.sure = len(self._with) >= WITNESSES
        return None

    def trusted(self, batch: Batch, known: Iterable[str]) -> Iterator[Batch]:
        """Yield what may be taken now: rows from the far future wait until most nodes agree with them.

        `known` are the names of all subjects so far.
        """
        if not len(batch.times):
            return
        last = int(batch.times[-1])
        if self.now is None or last <= self.now + self.ahead or self.now < SANE <= last:
            if self.now is None:
                self._with |= roots([batch])
                self.sure = len(self._with) >= WITNESSES
            self.dry = False
            yield batch
            return
        cut = int(np.searchsorted(batch.times, self.now + self.ahead, side="right"))
        if cut:
            self.dry = False
            yield part(batch, 0, cut)
        self._expire(self.now + self.ahead)
        self.dry = self.dry or not self.held
        self.hold(part(batch, cut, len(batch.times)))
        if self._agreed(known):
            held, self.held, self.dry = self.held, [], False
            yield from sorted(held, key=lambda b: int(b.times[0]))

    def hold(self, batch: Batch) -> None:
        """Keep a message from the future, giving up the oldest if there are too many."""
        self.held.append(batch)
        if len(self.held) > HELD:
            self.counts["clock_ahead"] += self.held.pop(0).rows

    def _expire(self, edge: int) -> None:
        # Time has caught up with them: they were wrong, and must not vote with whoever is wrong next.
        old = [b for b in self.held if int(b.times[0]) <= edge]
        if old:
            self.counts["clock_ahead"] += sum(b.rows for b in old)
            self.held = [b for b in self.held if int(b.times[0]) > edge]

    def _agreed(self, known: Iterable[str]) -> bool:
        jumped = roots(self.held)
        everybody = jumped | {root(s) for s in known}
        return 2 * len(jumped) > len(everybody) or (self.dry and len(self.held) >= ALONE)


def root(subject: str) -> str:
    """Return the first component of a name: whose clock it has.

    Examples
    --------
    >>> root("n017/gpu3")
    'n017'
    """
    return subject.split("/", 1)[0]


def roots(batches: Iterable[Batch]) -> set[str]:
    """Return whose clocks stamped these batches."""
    return {root(s) for b in batches for s in b.subjects}


def part(batch: Batch, start: int, stop: int) -> Batch:
    """Return some moments of a batch."""
    return Batch(batch.table, batch.times[start:stop], batch.subjects, batch.metrics, batch.values[start:stop])
