"""Looker: one thread per source, on ticks that are aligned to the wall clock; a source that hangs holds up nobody else."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from grayscope.errors import MissingPackage, Unsupported

from ._sources import Moment, make, offers, reason

if TYPE_CHECKING:
    from grayscope.message import Collector, Message

    from ._agentconfig import AgentSettings, Source

#: Seconds until a source that this machine does not have, or that failed to start, is tried again: drivers come up late.
AGAIN = 300.0


class Look(NamedTuple):
    """What one look brought: the tick in microseconds, how long it took in seconds, and the error that ended it."""

    source: str
    time: int
    messages: list[Message]
    seconds: float
    error: str = ""


def ticks_after(now: float, period: float, last: float = 0.0) -> float:
    """Return the next multiple of `period` that lies after `now` and after the tick before.

    A clock that was set back is followed: what is stamped again is late downstream, silence until it has caught up would be worse.

    Examples
    --------
    >>> ticks_after(1003.0, 10.0), ticks_after(1010.0, 10.0), ticks_after(1009.9, 10.0, last=1010.0), ticks_after(1003.0, 10.0, last=4600.0)
    (1010.0, 1020.0, 1020.0, 1010.0)
    """
    return (int((last if now < last <= now + 2 * period else now) // period) + 1) * period


class Looker:
    """Looks at one source, tick after tick, until told to stop.

    Python cannot end a thread that hangs in the kernel or a driver. It is left alone: its ticks are missed and counted, `stalled`
    says so meanwhile, and it goes on by itself when the call returns. A thread that never returns does not keep the process alive.

    Parameters
    ----------
    source : Source
    settings : AgentSettings
    out : queue of Look
        Bounded; when nobody empties it, looks are dropped and counted in `lost`.

    Attributes
    ----------
    state : str
        ``starting``, ``running``, ``unsupported`` or ``failed``.
    said : str
        Why, in one line.
    """

    def __init__(
        self, source: Source, settings: AgentSettings, out: queue.Queue[Look], *, clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic, again: float = AGAIN,
    ) -> None:  # fmt: skip
        self.source, self.settings, self.out, self.again = source, settings, out, again
        self.clock, self.monotonic = clock, monotonic
        self.state, self.said = "starting", ""
        self.collector: Collector | None = None
        self.looks = self.errors = self.missed = self.lost = 0
        self.last_seconds = 0.0
        self._moment, self._stop = Moment(), threading.Event()
        self._since: float | None = None
        self._thread = threading.Thread(target=self._run, name=f"look-{source.name}", daemon=True)

    @property
    def started(self) -> bool:
        """Say whether it has been told to look."""
        return self._thread.ident is not None

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Ask for the end; returns at once, for a source may hang."""
        self._stop.set()

    def join(self, limit: float) -> bool:
        """Wait for the end; say whether it came."""
        if self.started:
            self._thread.join(limit)
        return not self._thread.is_alive()

    def stalled(self) -> float:
        """Return for how many seconds the look in progress is beyond its deadline, 0 if it is not."""
        since = self._since
        return max(0.0, self.monotonic() - since - self.source.deadline) if since is not None else 0.0

    def once(self, tick: float) -> Look:
        """Make the collector if need be, look, and return what came; never raises."""
        self._moment.time = tick
        began = self._since = self.monotonic()
        messages, error = [], ""
        try:
            if self.collector is None:
                self.collector = make(self.source, offers(self.settings, self._moment, self.source))
            messages = list(self.collector.collect())
            self.state, self.said = "running", getattr(self.collector, "last_error", "")
        except (Unsupported, MissingPackage) as refusal:
            self.state, self.said, self.collector = "unsupported", reason(refusal, self.source.collector), None
        except Exception as failure:  # noqa: BLE001 - somebody else's driver or our own bug: one source fails, the agent goes on
            self.state, self.said, error = "failed", reason(failure, self.source.collector), reason(failure)
            self.errors += 1
        finally:
            self._since = None
        self.looks += 1
        self.last_seconds = self.monotonic() - began
        return Look(self.source.name, int(tick * 1e6), messages, self.last_seconds, error)

    def close(self) -> None:
        """Let the collector let go of its library or sockets; what goes wrong there is nobody's loss."""
        with contextlib.suppress(Exception):
            getattr(self.collector, "close", lambda: None)()

    def _run(self) -> None:
        self._loop()
        self.close()

    def _loop(self) -> None:
        tick = 0.0
        while not self._stop.is_set():
            now = self.clock()
            due = ticks_after(now, self.source.period, tick)
            self.missed += max(0, round((due - tick) / self.source.period) - 1) if tick else 0
            if self._stop.wait(max(0.0, due - now)):
                return
            tick = due
            try:
                self.out.put_nowait(self.once(tick))
            except queue.Full:
                self.lost += 1
            if self.collector is None:
                self._stop.wait(self.again)
                tick = 0.0
