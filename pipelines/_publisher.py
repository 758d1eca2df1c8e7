"""Publisher: hands messages to the broker; while that is away they wait in the spool and go out first, in order, when it is back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from grayscope.errors import GrayscopeError, InputError, Retry, shorten
from grayscope.message import Broker, Message

if TYPE_CHECKING:
    from grayscope.spool import Spool

#: Seconds between tries to reach a broker; the last one stays.
PAUSES = (1.0, 2.0, 5.0, 10.0, 30.0)


class Publisher:
    """Delivery: at least once, in order, as long as the spool has room; what it had to drop is counted there.

    A broker that refuses one message (`InputError`) loses that one, counted in `rejected`: it must not hold up the others.

    Parameters
    ----------
    connect : callable
        Makes the broker; called again after every outage.
    spool : Spool
    """

    def __init__(self, connect: Callable[[], Broker], spool: Spool, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.connect, self.spool, self.monotonic = connect, spool, monotonic
        self.published = self.rejected = self.outages = 0
        self.said = ""
        self._broker: Broker | None = None
        self._failures, self._next = 0, 0.0

    @property
    def up(self) -> bool:
        """Say whether the last try reached the broker."""
        return not self._failures

    def publish(self, messages: Iterable[Message]) -> None:
        """Send, or keep; never raises because of the broker."""
        waiting = list(messages)
        if len(self.spool) or not self._ready():
            self._keep(waiting)
            self._drain()
            return
        sent = 0
        try:
            for message in waiting:
                self._send(message)
                sent += 1
            self._flush()
        except (GrayscopeError, OSError) as error:
            # What a flush did not confirm may be lost: all of it goes out again. A broker without one has carried what it took.
            self._keep(waiting if sent == len(waiting) or hasattr(self._broker, "flush") else waiting[sent:])
            self._failed(error)

    def _drain(self) -> None:
        while self._ready() and (messages := self.spool.oldest()):
            try:
                for message in messages:
                    self._send(message)
                self._flush()
            except (GrayscopeError, OSError) as error:
                self._failed(error)
                return
            self.spool.done()

    def _ready(self) -> bool:
        """Say whether the broker may be used now; connects if there is none."""
        if self._broker is not None:
            return True
        if self.monotonic() < self._next:
            return False
        try:
            self._broker = self.connect()
        except (GrayscopeError, OSError) as error:
            self._failed(error)
            return False
        return True

    def _send(self, message: Message) -> None:
        assert self._broker is not None
        try:
            self._broker.send(message)
        except InputError as error:
            self.rejected += 1
            self.said = shorten(error, 300)
            return
        self.published += 1

    def _flush(self) -> None:
        flush = getattr(self._broker, "flush", None)
        if flush is not None:
            flush()
        self._failures = 0

    def _keep(self, messages: list[Message]) -> None:
        for message in messages:
            try:
                self.spool.append(message)
            except GrayscopeError as error:
                self.said = shorten(error, 300)

    def _failed(self, error: Exception) -> None:
        self.said = shorten(error, 300)
        self.outages += not self._failures
        pause = PAUSES[min(self._failures, len(PAUSES) - 1)]
        self._failures += 1
        self._next = self.monotonic() + max(pause, error.retry_after if isinstance(error, Retry) else 0.0)
        broker, self._broker = self._broker, None
        if broker is not None:
            try:
                broker.close()
            except (GrayscopeError, OSError) as also:
                self.said = shorten(also, 300)

    def close(self) -> None:
        """Try once more to send what waits, then let go."""
        self._next = 0.0
        self._drain()
        if self._broker is not None:
            try:
                self._broker.close()
            except (GrayscopeError, OSError) as error:
                self.said = shorten(error, 300)
        self._broker = None
        self.spool.close()
