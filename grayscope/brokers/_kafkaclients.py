"""Kafkaclients: the low-level consumer and producer of the client that the settings name; both keep the same promises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from grayscope.brokers._kafkasettings import KafkaSettings


class Consumer(Protocol):
    """Takes records of topics; see `_kafkaconsumer.Consumer`."""

    joined_anew: int

    def poll(self) -> list[Any]:
        """Return the next records."""

    def commit(self, places: Mapping[tuple[str, int], int]) -> bool:
        """Commit places; say whether they are still ours."""

    def lag(self) -> dict[tuple[str, int], int]:
        """Return how many records wait in each partition of ours."""

    def close(self) -> None:
        """Leave."""


class Producer(Protocol):
    """Sends bytes; see `_kafkaproducer.Producer`."""

    broken: bool

    def send(self, topic: str, key: bytes, value: bytes | None, headers: list[tuple[str, bytes]] | None = None) -> None:
        """Hand one message over."""

    def flush(self) -> None:
        """Wait until all is acknowledged."""

    def close(self) -> None:
        """Let go."""

    bytes: int  # on the way


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
