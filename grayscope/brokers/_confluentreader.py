"""Confluentreader: `_kafkareader` through confluent-kafka: stretches of one partition at a time, without a group."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from grayscope.brokers._confluentreach import connected, library, plain
from grayscope.brokers._confluentrecords import ANSWER, QUEUED, Record, batch, record
from grayscope.brokers._kafkaclients import LAST, STANDSTILL
from grayscope.brokers._kafkasettings import KafkaSettings
from grayscope.errors import GrayscopeError

#: Records that are taken at once, and seconds that the first is waited for.
MOST, POLL = 2000, 0.5
#: What a broker answers while a partition is new or moves to another: it is asked again after so many seconds, as long as an answer is waited for.
MOVES, AGAIN = frozenset({"NOT_LEADER_FOR_PARTITION", "LEADER_NOT_AVAILABLE"}), 0.1


class Reader:
    """Committed records of partitions, as often as one likes; use it as a context manager."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._kafka = library()
        arguments = settings.librdkafka() | {
            "enable.auto.commit": False, "enable.auto.offset.store": False, "isolation.level": "read_committed", "allow.auto.create.topics": False,
            "enable.partition.eof": True, "auto.offset.reset": "earliest", "group.id": settings.given.get("group_id", settings.topic_prefix),
        }  # fmt: skip
        arguments.pop("group.instance.id", None)  # nobody joins
        # What is read is there already: no answer is worth waiting for more.
        self._client, self._told = connected(self._kafka.Consumer, settings, {**QUEUED, "fetch.wait.max.ms": 10, **arguments})

    def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """Return the first offset that is kept, and the one after the last that is committed."""
        tp = self._kafka.TopicPartition(topic, partition)
        first, last = self._ask(lambda: self._client.get_watermark_offsets(tp, timeout=ANSWER), topic)
        return int(first), int(last)

    def since(self, topic: str, partition: int, moment: int) -> int:
        """Return the first offset whose record is of this moment (milliseconds) or later; the end where there is none."""
        asked = self._kafka.TopicPartition(topic, partition, min(max(moment, 0), LAST))
        found = self._ask(lambda: self._sound(self._client.offsets_for_times([asked], timeout=ANSWER)[0]), topic)
        return int(found.offset) if found.offset >= 0 else self.bounds(topic, partition)[1]

    def partitions(self, topic: str) -> list[int]:
        """Return the numbers of a topic's partitions."""
        found = self._ask(lambda: self._topic(topic), topic)
        return [] if found is None else sorted(found.partitions)

    def read(self, topic: str, partition: int, start: int, stop: int) -> Iterator[Record]:
        """Yield the records with offsets from `start` up to but not including `stop`; what is no longer kept is passed over."""
        self._ask(lambda: self._client.assign([self._kafka.TopicPartition(topic, partition, start)]), topic)
        place, moved = start, time.monotonic()
        while place < stop:
            for message in self._ask(lambda: batch(self._client, MOST, POLL), topic):
                reached, found = record(message, topic)
                if (message.topic(), message.partition()) != (topic, partition):
                    continue  # of a stretch before
                if found is not None and start <= found.offset < stop:
                    yield found
                if reached > place:
                    place, moved = reached, time.monotonic()
            if place < stop and time.monotonic() - moved > STANDSTILL:
                raise GrayscopeError(f"kafka topic {topic}: partition {partition} gives nothing from offset {place} on, expected some up to {stop}")

    def _topic(self, topic: str) -> Any:
        found = self._client.list_topics(topic, timeout=ANSWER).topics.get(topic)
        unknown = found is None or (found.error is not None and found.error.name() == "UNKNOWN_TOPIC_OR_PART")
        return None if unknown else self._sound(found)

    def _sound(self, answer: Any) -> Any:
        """Return an answer; raise the error that it carries, as others are raised."""
        if answer.error is not None:
            raise self._kafka.KafkaException(answer.error)
        return answer

    def _ask(self, question: Callable[[], Any], topic: str) -> Any:
        end = time.monotonic() + ANSWER
        while True:
            try:
                return question()
            except self._kafka.KafkaException as error:
                if error.args[0].name() not in MOVES or time.monotonic() >= end:
                    raise GrayscopeError(plain(error, topic, self._told)) from error
            time.sleep(AGAIN)

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go."""
        with suppress(self._kafka.KafkaException, RuntimeError):
            self._client.close()
