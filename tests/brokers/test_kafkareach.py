"""Kafkareach: every way in which a cluster is not reached is one clear line, soon, and nothing fills the terminal."""

from __future__ import annotations

import gc
import logging
import re
import subprocess
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kafka import errors

from grayscope.brokers import _kafkareach
from grayscope.brokers._kafkareach import explain, plain, reached
from grayscope.brokers._kafkasettings import kafka_settings
from grayscope.brokers.kafka import Kafka
from grayscope.errors import GrayscopeError, MissingPackage, UsageError
from grayscope.event import heartbeat
from tests.kafkaserver import Cluster, needs_java


@pytest.fixture(scope="module")
def guarded(server: Callable[[str, str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A node with TLS, passwords and access rules; the TLS port wants a client certificate."""
    needs_java(server)
    server("openssl", "openssl")
    folder = tmp_path_factory.mktemp("guarded")
    lines = ["listener.name.ssl.ssl.client.auth=required", "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
             "super.users=User:ANONYMOUS"]  # fmt: skip
    (folder / "more").write_text("\n".join(lines) + "\n")
    cluster = Cluster(folder / "run")
    try:
        yield cluster.up(KAFKA_TLS="1", KAFKA_PROPERTIES=str(folder / "more"))
    finally:
        cluster.down()


def said(**options: Any) -> str:
    broker = Kafka(**options)
    try:
        with pytest.raises(GrayscopeError) as caught:
            broker.send(heartbeat(1))
        broker.close()
        return str(caught.value)
    finally:
        broker.close()
        with warnings.catch_warnings():  # kafka-python drops the socket of a handshake that failed without closing it
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()


SCRAM = {"security.protocol": "SASL_SSL", "sasl.mechanism": "SCRAM-SHA-512", "sasl.username": "grayscope"}


@pytest.mark.slow
def test_each_wrong_door_is_told_in_one_line(guarded: Cluster, capfd: pytest.CaptureFixture[str]) -> None:
    ca, sasl, tls, open_ = guarded.authority, guarded.address("sasl"), guarded.address("ssl"), guarded.servers
    cases: list[tuple[str, dict[str, Any]]] = [
        ("user (or|and) password", {"bootstrap.servers": sasl, **SCRAM, "ssl.ca.location": ca, "sasl.password": "wrong"}),
        (r"offer this sasl\.mechanism", {"bootstrap.servers": sasl, **SCRAM, "sasl.mechanism": "PLAIN", "ssl.ca.location": ca, "sasl.password": "x"}),
        ("certificate is not trusted", {"bootstrap.servers": sasl, **SCRAM, "sasl.password": "grayscope-secret"}),
        ("speaks TLS", {"bootstrap.servers": sasl}),
        ("does not speak TLS", {"bootstrap.servers": open_, "security.protocol": "SSL", "ssl.ca.location": ca}),
        ("client certificate", {"bootstrap.servers": tls, "security.protocol": "SSL", "ssl.ca.location": ca}),
    ]
    for expected, options in cases:
        text = said(**options)
        assert re.search(expected, text), (options, text)
        assert "\n" not in text
        assert len(text) < 300
        assert "grayscope-secret" not in text
    assert capfd.readouterr().err == ""


@pytest.mark.slow
def test_what_the_user_may_not_do_is_told_with_the_right_to_grant(guarded: Cluster) -> None:
    options = {"bootstrap.servers": guarded.address("sasl"), **SCRAM, "ssl.ca.location": guarded.authority, "sasl.password": "grayscope-secret"}
    assert "grayscope.events" in said(**options)
    from grayscope.brokers._kafkatopics import Topics

    with Topics(kafka_settings({"bootstrap.servers": guarded.servers}), partitions=1) as topics:
        topics.apply(topics.changes())
    assert "grant this user" in said(**options)
    with Topics(kafka_settings(options), partitions=1) as topics, pytest.raises(GrayscopeError, match="grant this user"):
        topics.apply(topics.changes())


@pytest.mark.slow
def test_a_client_certificate_opens_the_door(guarded: Cluster, tmp_path: Path) -> None:
    tls, key, request, certificate = guarded.folder / "tls", tmp_path / "key", tmp_path / "csr", tmp_path / "crt"
    for line in (f"req -newkey rsa:2048 -nodes -subj /CN=agent -keyout {key} -out {request}",
                 f"x509 -req -in {request} -CA {tls}/ca.pem -CAkey {tls}/ca.key -CAcreateserial -days 1 -out {certificate}"):  # fmt: skip
        subprocess.run(["openssl", *line.split()], check=True, capture_output=True)
    options = {"bootstrap.servers": guarded.address("ssl"), "security.protocol": "SSL", "ssl.ca.location": guarded.authority,
               "ssl.certificate.location": str(certificate), "ssl.key.location": str(key)}  # fmt: skip
    text = said(**options)
    assert "grayscope.events" in text, text  # inside: only the topic is not this user's


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
def test_nobody_there_is_told_at_once(servers: str, meaning: str) -> None:
    assert meaning in said(**{"bootstrap.servers": servers})


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
