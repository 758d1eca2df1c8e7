"""Confluentconsumer, without a broker: an error among the records of one poll loses none of them; what breaks the client is known as that."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from grayscope.errors import GrayscopeError

kafka = pytest.importorskip("confluent_kafka", reason="pip install 'grayscope[confluent]'")
module: Any = __import__("grayscope.brokers._confluentconsumer", fromlist=["Consumer"])


def message(offset: int, error: Any = None) -> Any:
    told = {"topic": "t", "partition": 0, "offset": offset, "timestamp": (1, offset), "key": None, "value": b"", "headers": None, "error": error}
    return SimpleNamespace(**{name: lambda value=value: value for name, value in told.items()})


def consumer(*polls: list[Any]) -> Any:
    some, waiting = module.Consumer.__new__(module.Consumer), list(polls)

    def poll(_: float) -> Any:
        return waiting[0].pop(0) if waiting else None

    def consume(_: int, __: float) -> Any:
        return waiting.pop(0)

    some.topics, some.places, some._next, some._most, some._passing = ("t",), {}, {}, 100, frozenset()
    some._wrong, some.broken, some._kafka, some._told, some._grouped, some._itself = None, False, kafka, [], True, ""
    some._heard = []
    some._client = SimpleNamespace(poll=poll, consume=consume, memberid=lambda: "w1-a" if not some.broken else None)
    some.monotonic = lambda: 0.0 if waiting else 9.0
    return some


def test_an_error_among_records_loses_none_of_them_and_is_told_after_them() -> None:
    unknown = kafka.KafkaError(kafka.KafkaError.UNKNOWN_TOPIC_OR_PART)
    some = consumer([message(5), message(6), message(0, unknown), message(7)], [message(8)])
    assert [r.offset for r in some.poll()] == [5, 6, 7]
    with pytest.raises(GrayscopeError, match="kafka topic t: there is none"):
        some.poll()
    assert [r.offset for r in some.poll()] == [8]


def test_what_was_said_before_the_first_poll_is_not_lost() -> None:
    denied = kafka.KafkaError(kafka.KafkaError.GROUP_AUTHORIZATION_FAILED)
    some = consumer([message(5)])
    some._heard = [message(0, denied)]  # said once, while the cluster was waited for
    with pytest.raises(GrayscopeError, match=r"group\.id: grant this user READ on it"):
        some.poll()
    assert [r.offset for r in some.poll()] == [5]


def test_a_client_that_was_shut_out_is_broken_and_says_why_in_one_line() -> None:
    fenced = kafka.KafkaError(kafka.KafkaError._FATAL, "Fatal error: Broker: Static consumer fenced by other consumer with same group.instance.id")
    some = consumer([message(1)], [message(0, fenced)])
    some.poll()
    with pytest.raises(GrayscopeError, match="give each worker its own --worker"):
        some.poll()
    assert some.broken
    assert some.itself() == "w1-a"
