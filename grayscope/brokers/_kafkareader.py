"""Kafkareader: reads stretches of one partition at a time, without a group: what a worker needs to go on where another stopped."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from kafka import KafkaConsumer
from kafka.errors import KafkaError
from kafka.structs import TopicPartition

from grayscope.brokers._kafkaclients import LAST, STANDSTILL
from grayscope.brokers._kafkareach import plain, reached
from grayscope.brokers._kafkasettings import KafkaSettings
from grayscope.errors import GrayscopeError


class Reader:
    """Committed records of partitions, as often as one likes; use it as a context manager."""

    def __init__(self, settings: KafkaSettings) -> None:
        fixed = {"enable_auto_commit": False, "isolation_level": "read_committed", "allow_auto_create_topics": False, "group_id": None}
        fixed |= {"group_instance_id": None, "auto_offset_reset": "earliest", "metrics_enabled": False, "max_poll_records": 2000}
        self._client = reached(KafkaConsumer, settings, {**settings.of(KafkaConsumer.DEFAULT_CONFIG), **fixed})

    def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """Return the first offset that is kept, and the one after the last that is committed."""
        tp = TopicPartition(topic, partition)
        first = self._ask(lambda: self._client.beginning_offsets([tp]), topic)[tp]
        return int(first), int(self._ask(lambda: self._client.end_offsets([tp]), topic)[tp])

    def since(self, topic: str, partition: int, moment: int) -> int:
        """Return the first offset whose record is of this moment (milliseconds) or later; the end where there is none."""
        tp, moment = TopicPartition(topic, partition), min(max(moment, 0), LAST)  # the client takes no others
        found = self._ask(lambda: self._client.offsets_for_times({tp: moment}), topic).get(tp)
        return int(found.offset) if found is not None else self.bounds(topic, partition)[1]

    def partitions(self, topic: str) -> list[int]:
        """Return the numbers of a topic's partitions."""
        return sorted(self._ask(lambda: self._client.partitions_for_topic(topic), topic) or ())

    def read(self, topic: str, partition: int, start: int, stop: int) -> Iterator[Any]:
        """Yield the records with offsets from `start` up to but not including `stop`; what is no longer kept is passed over."""
        tp = TopicPartition(topic, partition)
        self._client.assign([tp])
        self._client.seek(tp, start)
        place, moved = start, time.monotonic()
        while place < stop:
            found = self._ask(lambda: self._client.poll(timeout_ms=500), topic).get(tp, [])
            for record in found:
                if record.offset >= stop:
                    return
                yield record
            reached_ = self._ask(lambda: self._client.position(tp), topic) or place
            if reached_ > place or found:
                place, moved = reached_, time.monotonic()
            elif time.monotonic() - moved > STANDSTILL:
                raise GrayscopeError(f"kafka topic {topic}: partition {partition} gives nothing from offset {place} on, expected some up to {stop}")

    def _ask(self, question: Callable[[], Any], topic: str) -> Any:
        try:
            return question()
        except KafkaError as error:
            raise GrayscopeError(plain(error, topic)) from error

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(KafkaError):
            self._client.close(autocommit=False, timeout_ms=2000)
