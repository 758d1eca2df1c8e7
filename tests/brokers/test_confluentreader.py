"""Confluentreader: a partition that is new, or moves to another broker, is asked again; what a broker refuses is an error at once."""

from __future__ import annotations

import pytest

from grayscope.brokers import _confluentreader
from grayscope.brokers._confluentreader import Reader
from grayscope.errors import GrayscopeError

kafka = pytest.importorskip("confluent_kafka")


class Moving:
    """Stands in for librdkafka's client: raises these errors, one after another, and then answers."""

    def __init__(self, *errors: int) -> None:
        self.errors = [*errors]

    def get_watermark_offsets(self, _: object, timeout: float) -> tuple[int, int]:
        if self.errors:
            raise kafka.KafkaException(kafka.KafkaError(self.errors.pop(0)))
        return 3, 9


def reader(*errors: int) -> Reader:
    made = Reader.__new__(Reader)
    made._kafka, made._client, made._told = kafka, Moving(*errors), None  # type: ignore[assignment]
    return made


def test_a_partition_that_moves_is_asked_again() -> None:
    assert reader(kafka.KafkaError.NOT_LEADER_FOR_PARTITION, kafka.KafkaError.LEADER_NOT_AVAILABLE).bounds("t", 0) == (3, 9)


def test_one_that_moves_for_too_long_and_one_that_is_refused_are_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = reader(kafka.KafkaError.TOPIC_AUTHORIZATION_FAILED)
    with pytest.raises(GrayscopeError, match="kafka topic t: "):
        refused.bounds("t", 0)
    monkeypatch.setattr(_confluentreader, "ANSWER", 0.15)
    with pytest.raises(GrayscopeError, match="kafka topic t: Broker: Not leader"):
        reader(*[kafka.KafkaError.NOT_LEADER_FOR_PARTITION] * 9).bounds("t", 0)
