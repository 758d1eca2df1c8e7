"""Kafkaclients: the low-level consumers and producers of the client that the settings name; both keep the same promises."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Protocol, Self

from grayscope.brokers._kafkanamesake import Holder
from grayscope.brokers._kafkasettings import KafkaSettings

#: Milliseconds: a topic that nobody has made, and a broker that does not take what is sent.
UNKNOWN, DELIVERY = 5_000, 30_000
#: Milliseconds: until the broker gives a silent producer's transaction up, until a predecessor's is settled, and until a step of it is given up.
TRANSACTION, TAKEOVER, PATIENCE = 60_000, 30_000, 15_000
#: Seconds without any progress after which the stretch that is read is given up.
STANDSTILL = 60.0
#: Milliseconds that Kafka knows at most.
LAST = 2**63 - 1


class Consumer(Protocol):
    """Takes records of topics; see `_kafkaconsumer.Consumer`."""

    joined_anew: int
    broken: bool  # and must be made anew

    def poll(self) -> list[Any]:
        """Return the next records."""

    def commit(self, places: Mapping[tuple[str, int], int]) -> bool:
        """Commit places; say whether they are still ours."""

    def settled(self) -> bool:
        """Say whether it is known what is ours."""

    def assigned(self) -> set[tuple[str, int]]:
        """Return the (topic, partition) that are ours now."""

    def seek(self, topic: str, partition: int, offset: int) -> None:
        """Go on from an offset."""

    def member(self) -> Any:
        """Return who we are in the group, for a transaction."""

    def itself(self) -> str:
        """Return the number under which we are, or were last, a member; ``""`` if never."""

    def lag(self) -> dict[tuple[str, int], int]:
        """Return how many records wait in each partition of ours."""

    def close(self) -> None:
        """Leave."""


class Producer(Protocol):
    """Sends bytes; see `_kafkaproducer.Producer`."""

    broken: bool

    def send(self, topic: str, key: bytes, value: bytes | None, headers: list[tuple[str, bytes]] | None = None, partition: int | None = None) -> Any:
        """Hand one message over; its ``get(timeout=0).offset`` is where it went, once `flush` has returned."""

    def flush(self) -> None:
        """Wait until all is acknowledged."""

    def close(self) -> None:
        """Let go."""

    bytes: int  # on the way


class Transactions(Producer, Protocol):
    """Sends bytes, all together or not at all; see `_kafkatransactions.Transactions`."""

    def begin(self) -> None:
        """Begin."""

    def places(self, offsets: Mapping[tuple[str, int], int], group: Any) -> None:
        """Add the next offset of each (topic, partition), as a member of a group."""

    def commit(self) -> None:
        """Commit."""


class Reader(Protocol):
    """Reads stretches of partitions; see `_kafkareader.Reader`."""

    def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """Return the first offset that is kept, and the one after the last that is committed."""

    def since(self, topic: str, partition: int, moment: int) -> int:
        """Return the first offset of a moment (milliseconds) or later."""

    def partitions(self, topic: str) -> list[int]:
        """Return the numbers of a topic's partitions."""

    def read(self, topic: str, partition: int, start: int, stop: int) -> Iterator[Any]:
        """Yield the records with offsets from `start` up to but not including `stop`."""

    def __enter__(self) -> Self:
        """Return itself."""

    def __exit__(self, *_: object) -> None:
        """Let go."""


def consumer(settings: KafkaSettings, topics: Sequence[str], group: str | None, *, places: dict[tuple[str, int], int] | None = None) -> Consumer:
    """Make the consumer of the client in `settings`."""
    if settings.client == "confluent":
        from grayscope.brokers import _confluentconsumer

        return _confluentconsumer.Consumer(settings, topics, group, places=places)
    from grayscope.brokers import _kafkaconsumer

    return _kafkaconsumer.Consumer(settings, topics, group, places=places)


def producer(settings: KafkaSettings) -> Producer:
    """Make the producer of the client in `settings`."""
    if settings.client == "confluent":
        from grayscope.brokers import _confluentproducer

        return _confluentproducer.Producer(settings)
    from grayscope.brokers import _kafkaproducer

    return _kafkaproducer.Producer(settings)


def transactions(settings: KafkaSettings, name: str) -> Transactions:
    """Make the producer of transactions called `name`, of the client in `settings`."""
    if settings.client == "confluent":
        from grayscope.brokers import _confluenttransactions

        return _confluenttransactions.Transactions(settings, name)
    from grayscope.brokers import _kafkatransactions

    return _kafkatransactions.Transactions(settings, name)


def reader(settings: KafkaSettings) -> Reader:
    """Make the reader of the client in `settings`."""
    if settings.client == "confluent":
        from grayscope.brokers import _confluentreader

        return _confluentreader.Reader(settings)
    from grayscope.brokers import _kafkareader

    return _kafkareader.Reader(settings)


def holder(settings: KafkaSettings, group: str, name: str, places: Collection[tuple[str, int]]) -> Holder:
    """Ask through the client of `settings` who has a name in a group, and who signed the commits of some (topic, partition)."""
    if settings.client == "confluent":
        from grayscope.brokers import _confluentholder

        return _confluentholder.holder(settings, group, name, places)
    from grayscope.brokers import _kafkaholder

    return _kafkaholder.holder(settings, group, name, places)
