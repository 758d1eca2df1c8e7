"""Memory: messages inside one process: the embedded default."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from grayscope.errors import GrayscopeError
from grayscope.message import Message


class Memory:
    """A bounded queue. Delivery: exactly once, in order, as long as the process lives.

    Parameters
    ----------
    limit : int
        A `send` into a full queue is an error: whoever fills it has to empty it.

    Examples
    --------
    >>> from grayscope.event import heartbeat
    >>> m = Memory()
    >>> m.send(heartbeat(1))
    >>> [e.time for e in m.receive()]
    [1]
    """

    def __init__(self, limit: int = 100_000) -> None:
        self.limit = limit
        self._queue: deque[Message] = deque()

    def send(self, message: Message) -> None:
        """Append one message."""
        if len(self._queue) >= self.limit:
            raise GrayscopeError(f"memory broker: expected at most {self.limit} waiting messages, found more: receive first")
        self._queue.append(message)

    def receive(self) -> Iterator[Message]:
        """Yield what is there, oldest first."""
        while self._queue:
            yield self._queue.popleft()

    def close(self) -> None:
        """Let go of what nobody received."""
        self._queue.clear()
