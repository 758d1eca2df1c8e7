"""Message: what travels between collectors, brokers and the engine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from grayscope.batch import Batch
from grayscope.event import Event
from grayscope.roster import RosterRow

#: One message: dense numbers, one event, or roster rows that add to (or replace) what is known.
Message = Batch | Event | tuple[RosterRow, ...]


class Collector(Protocol):
    """A source: `collect` looks once, now, and returns what it saw.

    Raises `grayscope.errors.Unsupported` where this machine cannot have the source at all. Never blocks for
    longer than its own time limit and never raises because of one bad row: bad rows are counted in `rejected`.
    """

    rejected: dict[str, int]

    def collect(self) -> Iterable[Message]:
        """Return what there is to see at this moment."""
        ...


class Broker(Protocol):
    """A carrier of messages. Each implementation states its delivery guarantee in one line."""

    def send(self, message: Message) -> None:
        """Hand one message over; it is carried once `close` (or a flush of its own) has returned."""
        ...

    def receive(self) -> Iterator[Message]:
        """Yield messages in order of delivery until the carrier has no more."""
        ...

    def close(self) -> None:
        """Finish what was sent and let go of files and sockets; safe to call twice."""
        ...
