"""Kafkarejected: what readers could not read, and how it goes back to where it came from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from grayscope.brokers import _kafkaclients as clients
from grayscope.brokers._kafkasettings import KafkaSettings
from grayscope.errors import InputError
from grayscope.frames import decode

#: Topics to which something may be sent again, whatever a header claims.
SOURCES = ("telemetry", "events", "roster")


@dataclass(frozen=True, slots=True)
class Rejected:
    """One message set aside: its number, when (milliseconds since 1970 UTC), where it came from, why, and what it was."""

    number: int
    time: int
    topic: str
    partition: str
    offset: str
    reason: str
    key: bytes
    value: bytes


def rejected(settings: KafkaSettings) -> Iterator[Rejected]:
    """Yield what is set aside, oldest first, up to now."""
    consumer = clients.consumer(settings, [settings.topic("rejected")], None)
    try:
        while any(consumer.lag().values()):
            yield from map(_read, consumer.poll())
    finally:
        consumer.close()


def retry(settings: KafkaSettings, messages: list[Rejected]) -> Iterator[tuple[Rejected, str]]:
    """Send messages again that can be read now; yield each with what became of it (``""``: sent). They stay set aside as well."""
    producer = clients.producer(settings)
    sources = {settings.topic(name) for name in SOURCES}
    try:
        for message in messages:
            why = "" if message.topic in sources else f"expected to come from one of {', '.join(sorted(sources))}"
            try:
                decode(message.value, f"rejected {message.number}")
            except InputError as error:
                why = why or str(error)
            if not why:
                producer.send(message.topic, message.key, message.value)
                producer.flush()
            yield message, why
    finally:
        producer.close()


def _read(record: Any) -> Rejected:
    told = {name: bytes(value or b"") for name, value in record.headers}
    topic, partition, offset, reason = (told.get(name, b"").decode("utf-8", "replace") for name in ("topic", "partition", "offset", "reason"))
    return Rejected(record.offset, record.timestamp, topic, partition, offset, reason, told.get("key", b""), record.value or b"")
