"""Pace: when the next look is due, and how a watch is asked to stop."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable


class Pace:
    """Waits for the middle of the next interval, so that no look slips over the edge of its tick.

    Parameters
    ----------
    every : float
        Seconds.
    stop : threading.Event
        Ends the waiting, and the watch.

    Examples
    --------
    >>> pace = Pace(10.0, threading.Event())
    >>> pace.due(1003.0), pace.due(1004.999), pace.due(1015.1), pace.due(1052.0)
    (1005.0, 1015.0, 1025.0, 1055.0)
    """

    def __init__(self, every: float, stop: threading.Event, clock: Callable[[], float] = time.time) -> None:
        self.every, self.stop, self.clock = every, stop, clock
        self.last = 0

    def due(self, now: float) -> float:
        """Return when the next look after `now` is due; never twice the same interval, even where a wait ends early."""
        self.last = max(int((now + self.every / 2) // self.every), self.last + 1)
        return (self.last + 0.5) * self.every

    def __call__(self) -> bool:
        """Wait; say whether to go on."""
        now = self.clock()
        return not self.stop.wait(max(0.0, self.due(now) - now))


class stopping:  # noqa: N801 - reads as a verb
    """Turn Ctrl-C and a polite kill into an event, so that a round is never cut in the middle; a second one kills."""

    def __enter__(self) -> threading.Event:
        self.event = threading.Event()
        self.before = {s: signal.signal(s, self._stop) for s in (signal.SIGINT, signal.SIGTERM)}
        return self.event

    def _stop(self, number: int, frame: object) -> None:
        del frame
        self.event.set()
        signal.signal(number, self.before[signal.Signals(number)])

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)
