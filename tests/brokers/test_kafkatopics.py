"""Kafkatopics: applied once, there is nothing left to do; what differs is named, and what would break is left alone."""

from __future__ import annotations

import pytest

from grayscope.brokers._kafkasettings import kafka_settings
from grayscope.brokers._kafkatopics import TOPICS, Topics
from tests.kafkaserver import Cluster

pytestmark = pytest.mark.slow


def test_apply_makes_them_and_then_finds_nothing_to_do(kafka_server: Cluster, prefix: str) -> None:
    settings = kafka_settings({"bootstrap.servers": kafka_server.servers, "topic.prefix": prefix})
    with Topics(settings, partitions=4) as topics:
        assert topics.replication == 1
        changes = topics.changes()
        assert [c.topic for c in changes] == [f"{prefix}.{name}" for name in TOPICS]
        assert str(changes[0]).startswith(f"+ {prefix}.telemetry: 4 partitions, 1 replicas, cleanup.policy=delete")
        topics.apply(changes)
        assert topics.changes() == []


def test_what_differs_is_named_and_mended(topics: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    settings, name = kafka_settings(topics), topics["topic.prefix"]
    with Topics(settings, partitions=4) as made:
        with monkeypatch.context() as otherwise:
            otherwise.setitem(TOPICS, "roster", (False, {"cleanup.policy": "delete"}))
            otherwise.setitem(TOPICS, "events", (True, {"cleanup.policy": "delete", "retention.ms": "1000"}))
            made.apply(made.changes())
        told = made.changes()
        assert [str(c) for c in told] == [f"~ {name}.events: retention.ms 1000 -> 604800000", f"~ {name}.roster: cleanup.policy delete -> compact"]
        made.apply(told)
        assert made.changes() == []


def test_partitions_grow_only_when_asked_and_never_shrink(topics: dict[str, str]) -> None:
    with Topics(kafka_settings(topics), partitions=6) as made:
        assert made.changes() == []
        grown = made.changes(grow=True)
        assert {str(c) for c in grown} == {
            f"~ {topics['topic.prefix']}.{n}: partitions 4 -> 6" for n in ("telemetry", "events", "order", "state", "verdicts", "incidents")
        }
        made.apply(grown)
        assert made.changes(grow=True) == []
    with Topics(kafka_settings(topics), partitions=2, replication=3) as made:
        told = made.changes()
        assert f"! {topics['topic.prefix']}.events: partitions 6, expected 2: left as it is" in map(str, told)
        assert f"! {topics['topic.prefix']}.roster: replication 1, expected 3: left as it is" in map(str, told)
        assert {c.what for c in told if c.applicable} == {"min.insync.replicas"}
