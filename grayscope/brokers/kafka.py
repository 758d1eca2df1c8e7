"""Kafka: messages through Apache Kafka, with confluent-kafka where it is installed, else kafka-python; docs/kafka.md tells the rest."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

from grayscope.batch import Batch
from grayscope.brokers._kafkaclients import Consumer, Producer, consumer, holder, producer
from grayscope.brokers._kafkanamesake import Namesake
from grayscope.brokers._kafkasettings import kafka_settings
from grayscope.errors import GrayscopeError, InputError, shorten
from grayscope.event import Event
from grayscope.frames import decode, frames
from grayscope.message import Message
from grayscope.roster import RosterRow

#: Polls without any partition after which `receive` believes that there is none for it.
UNASSIGNED = 90
#: Milliseconds after which a silent member is given up, where nothing else is said.
SESSION = 45_000


class Kafka:
    """Delivery: at least once, in order per topic and cell; what `flush` returned for is on all replicas in sync.

    Each message is sent in as many frames as its size takes. `poll` and `receive` begin with the whole roster, and go on where the
    group's last `commit` stopped. What cannot be read is counted in `rejected` and set aside in the topic ``rejected``, with the reason
    and where it came from.

    Parameters
    ----------
    **settings
        Kafka's own names, quoted, nested or with underscores (``bootstrap.servers``, ``security.protocol``, ``group.id``, ...), and
        ours: ``topic.prefix``, ``cell`` (key of what is sent), ``message.bytes`` (largest frame), ``buffer.memory``, ``client``.

    Raises
    ------
    UsageError
        A setting is unknown or wrong.
    GrayscopeError
        At the first message: why the cluster cannot be reached, in one line.

    Examples
    --------
    >>> Kafka(**{"bootstrap.servers": "k1:9092", "topic.prefix": "test"}).settings.topic("telemetry")
    'test.telemetry'
    """

    def __init__(self, **settings: Any) -> None:
        self.settings = kafka_settings(settings)
        self.group = str(self.settings.given.get("group_id", self.settings.topic_prefix))
        self.rejected: dict[str, int] = {}
        #: Next offset of each (topic, partition) after what was given out.
        self.places: dict[tuple[str, int], int] = {}
        self._producer: Producer | None = None
        self._consumer: Consumer | None = None
        self._roster: Consumer | None = None
        self._namesake = Namesake(self.settings, self.group, int(self.settings.given.get("session_timeout_ms", SESSION)) / 1000, holder)
        self._told: deque[Any] = deque()
        self._held: deque[Any] = deque()

    # -- sending --------------------------------------------------------------------------------------------------------

    def send(self, message: Message) -> None:
        """Hand one message over; waits while ``buffer.memory`` bytes are on the way."""
        largest, cell = self.settings.message_bytes, self.settings.cell.encode()
        if isinstance(message, (Batch, Event)):
            topic = self.settings.topic("telemetry" if isinstance(message, Batch) else "events")
            for frame in frames(message, largest):
                self._out().send(topic, cell, frame)
            return
        for row in message:  # one by one: the topic keeps the last word on each
            for frame in frames((row,), largest):
                self._out().send(self.settings.topic("roster"), roster_key(row), frame)

    def flush(self) -> None:
        """Wait until all that was sent is acknowledged."""
        if self._producer is not None:
            self._producer.flush()

    def _out(self) -> Producer:
        if self._producer is None:
            self._producer = producer(self.settings)
        return self._producer

    # -- receiving ------------------------------------------------------------------------------------------------------

    def poll(self) -> list[Message]:
        """Return the next messages, waiting about a second for the first; the very first time begins with all of the roster."""
        if self._consumer is not None and self._consumer.broken:
            self._anew(self._consumer)
        if self._consumer is None or self._roster is None:
            return self._begin()
        self._held += self._consumer.poll()
        # Asked after the others: who is spoken of for the first time has been introduced by now.
        self._introduced(self._roster)
        return self._messages()

    def receive(self) -> Iterator[Message]:
        """Yield messages until there are no more in the partitions that the group has given us."""
        idle = 0
        while idle < UNASSIGNED:
            found = self.poll()
            yield from found
            if found or self._held:
                idle = 0
                continue
            left = self.lag()
            if left and not any(left.values()):
                return
            idle = 0 if left else idle + 1

    def commit(self, places: Mapping[tuple[str, int], int] | None = None) -> bool:
        """Commit what was given out (or `places`); say whether all of it is still ours to commit.

        What was set aside is safe before its place is committed.
        """
        self.flush()
        return self._consumer is None or self._consumer.commit(self.places if places is None else places)

    def lag(self) -> dict[tuple[str, int], int]:
        """Return how many records each of our partitions holds that were not given out."""
        return self._consumer.lag() if self._consumer is not None else {}

    def _begin(self) -> list[Message]:
        """Join the group; return the whole roster as it is now."""
        self._roster = self._roster or consumer(self.settings, [self.settings.topic("roster")], None)
        self._introduced(self._roster)
        self._consumer = consumer(self.settings, [self.settings.topic(name) for name in ("telemetry", "events")], self.group, places=self.places)
        return self._messages()

    def _anew(self, shut_out: Consumer) -> None:
        """Join again, unless another process has our group.instance.id; what was not given out comes again."""
        self._namesake.ours(shut_out.itself(), ())
        self._consumer = None
        self._held.clear()
        shut_out.close()

    def _introduced(self, roster: Consumer) -> None:
        """Take what the roster has been told since we asked last, up to its end as it is now."""
        while any(roster.lag().values()):
            self._told += roster.poll()

    def _messages(self) -> list[Message]:
        """Give out what is held, the roster first. What cannot be given out now, as the broker is away, stays for the next time."""
        found: list[Message] = []
        for held in (self._told, self._held):
            while held:
                try:
                    self._take(held[0], found)
                except GrayscopeError:
                    if found:
                        return found
                    raise
                held.popleft()
        return found

    def _take(self, record: Any, found: list[Message]) -> None:
        if record.value is not None:  # else a roster row that was deleted by hand
            try:
                message = decode(record.value, f"{record.topic}/{record.partition}@{record.offset}")
            except InputError as error:
                self._refuse(record, error)
            else:
                if isinstance(message, tuple) and found and isinstance(found[-1], tuple):
                    message = (*found.pop(), *message)  # type: ignore[misc]
                found.append(message)
        if record.topic != self.settings.topic("roster"):
            self.places[record.topic, record.partition] = record.offset + 1

    def _refuse(self, record: Any, error: InputError) -> None:
        told = {"reason": shorten(error, 1000), "topic": record.topic, "partition": record.partition, "offset": record.offset}
        headers = [("key", record.key or b""), *((name, str(value).encode()) for name, value in told.items())]
        self._out().send(self.settings.topic("rejected"), record.topic.encode(), record.value, headers)
        self.rejected[record.topic] = self.rejected.get(record.topic, 0) + 1

    def close(self) -> None:
        """Send what waits, leave the group; nothing is committed."""
        producer, self._producer = self._producer, None
        consumers, self._consumer, self._roster = (self._consumer, self._roster), None, None
        try:
            if producer is not None and not producer.broken:
                producer.flush()
        finally:
            for client in (producer, *consumers):
                if client is not None:
                    client.close()


def roster_key(row: RosterRow) -> bytes:
    """Return the key under which the compacted topic keeps a row: a later row replaces it, another validity stands beside it.

    Examples
    --------
    >>> roster_key(RosterRow("n1/gpu0", "gpu", since=7)), roster_key(RosterRow("n1", "node"))
    (b'n1/gpu0@7', b'n1@')
    """
    return f"{row.subject}@{'' if row.since is None else row.since}".encode("utf-8", "surrogatepass")
