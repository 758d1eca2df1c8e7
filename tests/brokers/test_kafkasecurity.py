"""Kafka's doors, against a real broker: every way of being refused is one line that says what to do, soon, through either client."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kafka.admin import ACL, ACLOperation, ACLPermissionType, KafkaAdminClient, ResourcePattern, ResourceType

from grayscope.brokers import _confluentreach
from grayscope.brokers._kafkaclients import holder
from grayscope.brokers._kafkanamesake import Holder
from grayscope.brokers._kafkareasons import TRIES
from grayscope.brokers._kafkasettings import kafka_settings
from grayscope.brokers._kafkatopics import Topics
from grayscope.brokers.kafka import Kafka
from grayscope.errors import GrayscopeError
from grayscope.event import heartbeat
from grayscope.roster import RosterRow
from tests.brokers.kafkadoors import CLIENTS, SCRAM, SECRET, expire, guarded_by, refused, said, signed
from tests.kafkaserver import Cluster, needs_java

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("client", CLIENTS)]


@pytest.fixture(scope="module")
def guarded(server: Callable[[str, str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    needs_java(server)
    server("openssl", "openssl")
    cluster = guarded_by(tmp_path_factory.mktemp("guarded"))
    try:
        yield cluster
    finally:
        cluster.down()


@pytest.fixture(scope="module")
def expired(guarded: Cluster) -> Cluster:
    """The same node with a certificate that has expired: for the last test."""
    expire(guarded)
    return guarded


def user(cluster: Cluster, client: str) -> dict[str, Any]:
    return {"bootstrap.servers": cluster.address("sasl"), **SCRAM, "ssl.ca.location": cluster.authority, "sasl.password": SECRET, "client": client}


#: What is wrong, where, and what the line says.
DOORS: list[tuple[str, dict[str, Any], str]] = [
    ("sasl", {**SCRAM, "sasl.password": "wrong"}, "user (or|and) password"),
    ("sasl", {**SCRAM, "sasl.username": "nobody", "sasl.password": SECRET}, "user (or|and) password"),
    ("sasl", {**SCRAM, "sasl.mechanism": "PLAIN", "sasl.password": "x"}, r"offer this sasl\.mechanism"),
    ("sasl", {**SCRAM, "sasl.password": SECRET, "ssl.ca.location": ""}, "certificate is not trusted"),
    ("sasl", {}, "speaks TLS"),
    ("open", {"security.protocol": "SSL"}, "does not speak TLS"),
    ("open", {**SCRAM, "sasl.password": SECRET}, "does not speak TLS"),
    ("open", {**SCRAM, "security.protocol": "SASL_PLAINTEXT", "sasl.password": SECRET}, "takes no user|hangs up"),
    ("ssl", {"security.protocol": "SSL"}, "client certificate"),
]


@pytest.mark.parametrize(("door", "options", "expected"), DOORS)
def test_a_wrong_door_is_told_in_one_line(
    guarded: Cluster, client: str, door: str, options: dict[str, Any], expected: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("grayscope.brokers._kafkareach.TRIES", TRIES[:2])  # the third is for servers that answer late
    servers = guarded.servers if door == "open" else guarded.address(door)
    authority = {"ssl.ca.location": guarded.authority} if "security.protocol" in options else {}
    text = said(**{"bootstrap.servers": servers, "client": client, **authority, **options})
    assert re.search(expected, text), text
    assert capfd.readouterr().err == ""


def test_a_client_certificate_opens_the_door_until_it_has_expired(guarded: Cluster, client: str, tmp_path: Path) -> None:
    options = {"bootstrap.servers": guarded.address("ssl"), "security.protocol": "SSL", "ssl.ca.location": guarded.authority, "client": client}
    certificate, key = signed(guarded, tmp_path)
    text = said(**{**options, "ssl.certificate.location": certificate, "ssl.key.location": key})
    assert "grayscope.events" in text, text  # inside: only the topic is not this user's
    certificate, key = signed(guarded, tmp_path, days=-1)
    text = said(**{**options, "ssl.certificate.location": certificate, "ssl.key.location": key})
    assert "client certificate" in text, text


def test_each_missing_right_is_told_until_all_are_there(guarded: Cluster, client: str, prefix: str, capfd: pytest.CaptureFixture[str]) -> None:
    options = {**user(guarded, client), "topic.prefix": prefix}
    with Topics(kafka_settings({"bootstrap.servers": guarded.servers, "topic.prefix": prefix}), partitions=1) as topics:
        topics.apply(topics.changes())
    with Topics(kafka_settings(options), partitions=1) as topics, pytest.raises(GrayscopeError, match="grant this user"):
        topics.apply(topics.changes())
    admin = KafkaAdminClient(bootstrap_servers=guarded.servers)

    def grant(kind: ResourceType, operation: ACLOperation, *names: str) -> None:
        admin.create_acls([ACL("User:grayscope", "*", operation, ACLPermissionType.ALLOW, ResourcePattern(kind, name)) for name in names])

    every = [f"{prefix}.{name}" for name in ("telemetry", "events", "roster", "rejected")]
    try:
        assert f"{prefix}.events" in said(**options)  # not even to be seen
        grant(ResourceType.TOPIC, ACLOperation.DESCRIBE, *every)
        text = said(**options)
        assert (f"{prefix}.events" in text, "grant this user WRITE" in text) == (True, True), text
        grant(ResourceType.TOPIC, ACLOperation.WRITE, *every)
        sender = Kafka(**options)
        sender.send((RosterRow("n1", "node"),))
        sender.send(heartbeat(1))
        sender.flush()
        sender.close()
        text = refused(_received, **options)
        assert (f"{prefix}.roster" in text, "READ to receive" in text) == (True, True), text
        grant(ResourceType.TOPIC, ACLOperation.READ, f"{prefix}.roster")
        text = refused(_received, **options)
        assert "group.id: grant this user READ on it" in text, text
        with pytest.raises(GrayscopeError, match=r"group\.id: grant this user READ on it"):
            holder(kafka_settings(options), prefix, "w1", ())
        grant(ResourceType.GROUP, ACLOperation.READ, prefix)
        text = refused(_received, **options)
        assert re.search(rf"{prefix}\.(events|telemetry).*READ to receive", text), text
        grant(ResourceType.TOPIC, ACLOperation.READ, *every)
        reader = Kafka(**options)
        found = list(reader.receive())
        reader.close()
        assert [m.time for m in found if hasattr(m, "time")] == [1]
        assert holder(kafka_settings(options), prefix, "w1", [(f"{prefix}.events", 0)]) == Holder("", ("",))  # needs no more than that
        assert capfd.readouterr().err == ""
    finally:
        admin.close()


def _received(broker: Kafka) -> None:
    for _ in broker.receive():
        pass
    broker.commit()


def test_a_group_refused_while_the_cluster_was_still_waited_for_is_told(
    guarded: Cluster, client: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    waited = _confluentreach._waited

    def late(client: Any, *rest: Any) -> str:  # librdkafka says it once, and before anybody asks
        client.list_topics(timeout=15)
        time.sleep(1)  # by now it knows
        return waited(client, *rest)

    monkeypatch.setattr(_confluentreach, "_waited", late)
    with Topics(kafka_settings({"bootstrap.servers": guarded.servers, "topic.prefix": prefix}), partitions=1) as topics:
        topics.apply(topics.changes())
    admin = KafkaAdminClient(bootstrap_servers=guarded.servers)
    names = [f"{prefix}.{name}" for name in ("telemetry", "events", "roster")]
    admin.create_acls([ACL("User:grayscope", "*", ACLOperation.READ, ACLPermissionType.ALLOW, ResourcePattern(ResourceType.TOPIC, name)) for name in names])
    admin.close()
    assert "group.id: grant this user READ on it" in refused(_received, **user(guarded, client), **{"topic.prefix": prefix})


def test_a_server_whose_certificate_has_expired_is_told_as_that(expired: Cluster, client: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert "the server's certificate has expired" in said(**user(expired, client))
    assert capfd.readouterr().err == ""
