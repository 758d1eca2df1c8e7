"""Kafkatold: what people say, sent to the cells that it concerns and read back: events, the roster and the incidents as they are now."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from grayscope.brokers import _kafkaclients as clients
from grayscope.brokers._kafkasettings import KafkaSettings
from grayscope.errors import InputError
from grayscope.event import PEOPLE, Event
from grayscope.frames import decode, encode
from grayscope.roster import RosterRow

#: A frame without one of these cannot be an event of people's: most are heartbeats, and need not be parsed.
MARKS = tuple(f'"source":"{source}"'.encode() for source in sorted(PEOPLE))


def tell(settings: KafkaSettings, events: Iterable[tuple[str, Event]]) -> None:
    """Send (cell, event) pairs; return when all of them are safe."""
    producer = clients.producer(settings)
    try:
        for cell, event in events:
            producer.send(settings.topic("events"), cell.encode(), encode(event))
        producer.flush()
    finally:
        producer.close()


def roster(settings: KafkaSettings) -> Iterator[RosterRow]:
    """Yield the rows of the roster as it is now, older validities included; what cannot be read is passed over."""
    for value in _whole(settings, "roster"):
        try:
            found = decode(value, "roster")
        except InputError:
            continue
        yield from found if isinstance(found, tuple) else ()


def incidents(settings: KafkaSettings) -> list[dict[str, Any]]:
    """Return every incident that the topic keeps, in its latest form, as `grayscope.results.incident_dict` describes it, with its `cell`."""
    latest: dict[str, dict[str, Any]] = {}
    for value in _whole(settings, "incidents"):
        try:
            told = json.loads(value)
        except (ValueError, RecursionError):
            continue
        if isinstance(told, dict) and told.get("kind") == "incident" and isinstance(told.get("id"), str):
            latest[told["id"]] = told
    return list(latest.values())


def events(settings: KafkaSettings, since: int) -> Iterator[Event]:
    """Yield what people have said since a time (microseconds), by partition."""
    topic = settings.topic("events")
    with clients.reader(settings) as reader:
        for partition in reader.partitions(topic):
            start, stop = reader.since(topic, partition, since // 1000), reader.bounds(topic, partition)[1]
            for record in reader.read(topic, partition, start, stop) if start < stop else ():
                if record.value is None or not any(mark in record.value for mark in MARKS):
                    continue
                try:
                    found = decode(record.value, topic)
                except InputError:
                    continue
                if isinstance(found, Event) and found.source in PEOPLE:
                    yield found


def _whole(settings: KafkaSettings, name: str) -> Iterator[bytes]:
    consumer = clients.consumer(settings, [settings.topic(name)], None)
    try:
        while any(consumer.lag().values()):
            yield from (r.value for r in consumer.poll() if r.value is not None)
    finally:
        consumer.close()
