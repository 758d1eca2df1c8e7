"""Confluentrecords: what confluent-kafka gives out, as kafka-python does; what it says instead of a record, and which of that it heals itself."""

from __future__ import annotations

from typing import Any, NamedTuple

from grayscope.brokers._confluentreach import library, plain
from grayscope.errors import GrayscopeError

#: Seconds that a question waits for its answer.
ANSWER = 15.0
#: What librdkafka heals by itself.
PASSING = frozenset(
    {"_TRANSPORT", "_DESTROY_BROKER", "_ALL_BROKERS_DOWN", "_TIMED_OUT", "_MAX_POLL_EXCEEDED", "_RESOLVE", "COORDINATOR_NOT_AVAILABLE", "NOT_COORDINATOR"}
)


#: What lies ready in the client, which would keep 64 MB: a few ticks of ten thousand GPUs; once there is so much, it would ask for no more for a second.
QUEUED = {"queued.max.messages.kbytes": 8 << 10, "fetch.queue.backoff.ms": 10}


class Record(NamedTuple):
    """One record, as kafka-python gives it; `timestamp` in milliseconds."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]


def batch(client: Any, most: int, seconds: float) -> list[Any]:
    """Return the messages that lie ready, at most so many, waiting for the first.

    The client's `consume` waits until it has all that it was asked for: so one is waited for, and the rest is what is there.
    """
    first = client.poll(seconds)
    if first is None:
        return []
    try:
        return [first, *(client.consume(most - 1, 0) if most > 1 else [])]
    except library().KafkaException:  # the next poll says it again; the first must not be lost
        return [first]


def record(message: Any, topic: str, passing: frozenset[str] = PASSING) -> tuple[int, Record | None]:
    """Return where the partition goes on after a message, and the record that it is, if it is one.

    Raises
    ------
    GrayscopeError
        It is an error that the client does not heal.
    """
    error = message.error()
    if error is None:
        offset = message.offset()
        told = Record(message.topic(), message.partition(), offset, message.timestamp()[1], message.key(), message.value(), message.headers() or [])
        return offset + 1, told
    if error.name() == "_PARTITION_EOF":
        return message.offset(), None
    if error.name() in passing:
        return 0, None
    raise GrayscopeError(plain(error, message.topic() or topic))
