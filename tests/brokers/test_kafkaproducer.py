"""Kafkaproducer: what is on the way has a bound, and nothing refused goes unsaid."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from kafka import errors

from grayscope.brokers import _kafkaproducer
from grayscope.brokers._kafkaproducer import Producer
from grayscope.brokers._kafkasettings import kafka_settings
from grayscope.errors import GrayscopeError


class FakeFuture:
    """A message on the way; the broker answers when it is waited for."""

    def __init__(self, error: Exception | None) -> None:
        self.error, self.is_done, self.waited = error, False, 0

    def get(self, timeout: float) -> None:
        self.waited += 1
        self.is_done = True
        if self.error is not None:
            raise self.error


class FakeClient:
    """A client that is none."""

    def __init__(self) -> None:
        self.futures: list[FakeFuture] = []
        self.error: Exception | None = None
        self.sending: Exception | None = None
        self.closed = 0

    def send(self, topic: str, value: bytes | None, key: bytes, headers: list[Any], partition: int | None = None) -> FakeFuture:
        if self.sending is not None:
            raise self.sending
        self.futures.append(FakeFuture(self.error))
        return self.futures[-1]

    def flush(self, timeout: float) -> None:
        for future in self.futures:
            future.is_done = True

    def close(self, timeout: float) -> None:
        self.closed += 1


def made(monkeypatch: pytest.MonkeyPatch, **options: Any) -> tuple[Producer, FakeClient, dict[str, Any]]:
    client, seen = FakeClient(), {}

    def reached(make: Any, settings: Any, arguments: dict[str, Any]) -> FakeClient:
        seen.update(arguments)
        return client

    monkeypatch.setattr(_kafkaproducer, "reached", reached)
    return Producer(kafka_settings(options)), client, seen


def test_it_asks_for_all_replicas_and_makes_no_topics(monkeypatch: pytest.MonkeyPatch) -> None:
    _, _, seen = made(monkeypatch)
    assert (seen["acks"], seen["enable_idempotence"], seen["allow_auto_create_topics"], seen["compression_type"]) == ("all", True, False, "lz4")
    _, _, seen = made(monkeypatch, **{"compression.type": "none", "linger.ms": 50})
    assert (seen["compression_type"], seen["linger_ms"]) == (None, 50)


def test_what_is_on_the_way_stays_below_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    producer, client, _ = made(monkeypatch, **{"buffer.memory": 1000})
    most = 0
    for _ in range(100):
        producer.send("t", b"k", b"x" * 99)
        most = max(most, producer.bytes)
    assert most == 1000
    assert sum(f.waited for f in client.futures) == 90
    producer.flush()
    assert producer.bytes == 0


def test_a_message_larger_than_the_bound_goes_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    producer, client, _ = made(monkeypatch, **{"buffer.memory": 10})
    producer.send("t", b"k", b"x" * 99)
    producer.send("t", b"k", b"x" * 99)
    assert [f.waited for f in client.futures] == [1, 0]


def test_what_was_refused_is_said_at_the_next_flush(monkeypatch: pytest.MonkeyPatch) -> None:
    producer, client, _ = made(monkeypatch)
    client.error = errors.NotEnoughReplicasError()
    producer.send("t", b"k", b"x")
    with pytest.raises(GrayscopeError, match=r"kafka topic t: .*NotEnoughReplicas"):
        producer.flush()


CASES = [(errors.KafkaTimeoutError("no"), "topics apply"), (errors.MessageSizeTooLargeError("no"), "message.bytes"), (ValueError("bad name"), "bad name")]


@pytest.mark.parametrize(("error", "said"), CASES)
def test_what_cannot_be_sent_is_said_at_once(monkeypatch: pytest.MonkeyPatch, error: Exception, said: str) -> None:
    producer, client, _ = made(monkeypatch)
    client.sending = error
    with pytest.raises(GrayscopeError, match=said):
        producer.send("t", b"k", b"x")
    producer.close()
    assert client.closed == 1


def test_a_client_that_refuses_to_close_is_made_to(monkeypatch: pytest.MonkeyPatch) -> None:
    producer, client, _ = made(monkeypatch)
    forced: list[bool] = []
    client._sender = SimpleNamespace(force_close=lambda: forced.append(True))  # type: ignore[attr-defined]

    def close(timeout: float) -> None:
        client.closed += 1
        if not forced:
            raise errors.KafkaTimeoutError("Timeout waiting for future")

    monkeypatch.setattr(client, "close", close)
    producer.close()
    assert (client.closed, forced) == (2, [True])


def test_what_failed_once_is_not_waited_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    producer, client, _ = made(monkeypatch)
    client.error = errors.NotEnoughReplicasError()
    producer.send("t", b"k", b"x")
    assert not producer.broken
    with pytest.raises(GrayscopeError):
        producer.flush()
    assert producer.broken
