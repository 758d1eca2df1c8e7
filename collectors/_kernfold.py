"""Kernfold: lines that say the same within a second become one event with a count; who they are about is looked up once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from grayscope.event import Event

from ._kernlines import Said

SECOND = 1_000_000
#: Different events that are gathered at a time; sources that are counted from the first look on.
MOST = 1 << 20
FAMILIES = ("xid", "sxid", "aer", "edac", "mce", "ghes", "link", "module", "nvme", "disk", "kernel")


class Fold:
    """Gathers what lines said. A storm of 800,000 lines that are 29 facts takes as much memory as its different seconds.

    Parameters
    ----------
    subject : callable
        Returns the subject of what was said.
    most : int
        Different events; what is beyond is counted in `lost`.

    Examples
    --------
    >>> fold = Fold(lambda said: f"n1/{said.part}")
    >>> for t in (5_000_000, 5_400_000, 6_000_000):
    ...     fold.add(Said("gpu", "gpu0", "xid", "95", "x"), t)
    >>> [(e.time, e.subject, e.count) for e in fold.take()]
    [(5000000, 'n1/gpu0', 2), (6000000, 'n1/gpu0', 1)]
    """

    def __init__(self, subject: Callable[[Said], str], most: int = MOST) -> None:
        self.subject, self.most = subject, most
        self.families: Counter[str] = Counter()
        self.lost = 0
        self._events: dict[tuple[int, str, str, str, str], tuple[int, int]] = {}

    def add(self, said: Said, time: int) -> None:
        """Add what one line said at `time` (microseconds)."""
        self.families[said.source] += said.times
        key = (time // SECOND, self.subject(said), said.source, said.code, said.text)
        first, count = self._events.get(key, (time, 0))
        if count or len(self._events) < self.most:
            self._events[key] = (min(first, time), count + said.times)
        else:
            self.lost += 1

    def take(self) -> list[Event]:
        """Return the events in order of time, and forget them."""
        events = [Event(time, subject, source, code, text, count) for (_, subject, source, code, text), (time, count) in self._events.items()]
        self._events = {}
        return sorted(events)
