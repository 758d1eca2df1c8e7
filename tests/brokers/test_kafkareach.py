"""Kafkareach: every way in which a cluster is not reached is one clear line, soon, and nothing fills the terminal."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from kafka import errors

from grayscope.brokers import _kafkareach
from grayscope.brokers._kafkareach import plain, reached
from grayscope.brokers._kafkareasons import explain
from grayscope.brokers._kafkasettings import kafka_settings
from grayscope.errors import GrayscopeError, MissingPackage, UsageError
from tests.brokers.kafkadoors import CLIENTS, said


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(
    ("servers", "meaning"),
    [
        ("127.0.0.1:9", "nobody listens there"),
        ("127.0.0.1:9,[::1]:9", "nobody listens there"),
        ("nosuch.invalid:9092", "host name is not known"),
        ("PLAINTEXT://nosuch.invalid", "host name is not known"),
        ("127.0.0.1:99999", "port"),
    ],
)
def test_nobody_there_is_told_at_once(servers: str, meaning: str, client: str) -> None:
    assert meaning in said(**{"bootstrap.servers": servers, "client": client})


@pytest.mark.parametrize(
    ("line", "protocol", "meaning"),
    [
        ("Handshake failed: certificate verify failed: certificate has expired", "SSL", "has expired"),
        ("socket disconnected", "PLAINTEXT", "speaks TLS or wants a user"),
        ("socket disconnected", "SSL", "wants a user"),
        ("DNS Resolution failure", "SSL", "host name is not known"),
        ("nothing known", "SSL", "no answer within"),
    ],
)
def test_what_the_log_holds_is_explained(line: str, protocol: str, meaning: str) -> None:
    assert meaning in explain(["x", line], kafka_settings({"security.protocol": protocol}))[0]


@pytest.mark.parametrize(("error", "kind"), [(RuntimeError("Libraries for zstd not found"), MissingPackage), (ValueError("x"), UsageError),
                                             (errors.KafkaConfigurationError("y"), GrayscopeError)])  # fmt: skip
def test_what_the_client_refuses_is_ours_to_say(error: Exception, kind: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    def make(**_: Any) -> None:
        raise error

    monkeypatch.setattr(_kafkareach, "dialled", lambda _: "")
    with pytest.raises(kind) as caught:
        reached(make, kafka_settings({"compression.type": "zstd"}), {})
    assert "pip install zstandard" in str(caught.value) or kind is not MissingPackage


def test_refusals_on_a_topic_say_what_to_do() -> None:
    assert "grant this user WRITE" in plain(errors.TopicAuthorizationFailedError(), "t")
    assert "group.id" in plain(errors.GroupAuthorizationFailedError(), "t")
    assert "grayscope topics apply" in plain(errors.UnknownTopicOrPartitionError(), "t")
    assert "message.bytes" in plain(errors.MessageSizeTooLargeError(), "t")


def test_the_clients_log_stays_quiet_but_is_there_for_who_asks(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("kafka.net").warning("something")
    assert "something" in caplog.text
