"""Kafkafleet: where cells tell of their groups: topics of the usual names one step further down, with one partition each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from grayscope.brokers import _kafkaclients as clients
from grayscope.brokers._kafkasettings import KafkaSettings
from grayscope.brokers.kafka import roster_key
from grayscope.errors import UsageError
from grayscope.frames import frames
from grayscope.message import Message

#: The one cell of the fleet, whose subjects are groups.
CELL = "fleet"


def of_fleet(settings: KafkaSettings) -> KafkaSettings:
    """Return the settings under which the same broker holds the fleet's messages.

    Examples
    --------
    >>> from grayscope.brokers._kafkasettings import kafka_settings
    >>> of_fleet(kafka_settings({"bootstrap.servers": "k1:9092"})).topic("telemetry")
    'grayscope.fleet.telemetry'
    """
    return replace(settings, topic_prefix=f"{settings.topic_prefix}.{CELL}", cell=CELL)


def must_be_there(settings: KafkaSettings) -> None:
    """Look for the topics of the fleet: a transaction into a topic that nobody made waits, and with it all that a worker says.

    Raises
    ------
    UsageError
        They are missing.
    """
    with clients.reader(settings) as reader:
        for topic in map(of_fleet(settings).topic, ("telemetry", "roster")):
            if not reader.partitions(topic):
                raise UsageError(f"kafka topic {topic}: missing, and `summary` is set: grayscope topics apply --fleet")


def records(settings: KafkaSettings, message: Message) -> Iterator[tuple[str, bytes, bytes]]:
    """Yield (topic, key, frame) of a summary: numbers, or rows of the roster one by one, for that topic keeps the last word on each."""
    if isinstance(message, tuple):
        for row in message:
            yield from ((settings.topic("roster"), roster_key(row), frame) for frame in frames((row,), settings.message_bytes))
    else:
        yield from ((settings.topic("telemetry"), CELL.encode(), frame) for frame in frames(message, settings.message_bytes))
