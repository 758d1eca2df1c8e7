"""Kafkaconsumer: a lost place in the group is taken again, nothing is given out twice by one worker, and lost partitions are not committed."""

from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest
from kafka import errors
from kafka.structs import TopicPartition

from grayscope.brokers import _kafkaconsumer
from grayscope.brokers._kafkaconsumer import LONELY, POLL, Consumer
from grayscope.brokers._kafkasettings import kafka_settings
from grayscope.errors import GrayscopeError, UsageError

PART = TopicPartition("t", 0)


class FakeClient:
    """A client that is none: hands out what `coming` holds."""

    def __init__(self) -> None:
        self.owned: set[TopicPartition] = {PART}
        self.coming: list[Any] = []
        self.calls: list[str] = []
        self.waits: list[int] = []
        self.committed: dict[TopicPartition, Any] = {}
        self.error: Exception | None = None
        self.listener: Any = None
        self.known: set[int] | None = {0, 1}
        generation = SimpleNamespace(member_id="w1-a")
        self._coordinator = SimpleNamespace(_generation=generation, _heartbeat_enabled=True, rejoining=False, rejoin_needed=False, stable=lambda: True)

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        return self.known

    def subscribe(self, topics: list[str], listener: Any) -> None:
        self.calls.append("subscribe")
        self.listener = listener

    def unsubscribe(self) -> None:
        self.calls.append("unsubscribe")

    def assign(self, parts: Iterable[TopicPartition]) -> None:
        self.owned = set(parts)

    def assignment(self) -> set[TopicPartition]:
        return self.owned

    def poll(self, timeout_ms: int) -> dict[TopicPartition, list[Any]]:
        self.waits.append(timeout_ms)
        if self.error is not None:
            raise self.error
        records, self.coming = self.coming, []
        return {PART: records} if records else {}

    def commit(self, offsets: dict[TopicPartition, Any]) -> None:
        if self.error is not None:
            raise self.error
        self.committed |= offsets

    def close(self, autocommit: bool, timeout_ms: int) -> None:
        assert not autocommit
        self.calls.append("close")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def record(offset: int, timestamp: int = 0) -> Any:
    return SimpleNamespace(topic="t", partition=0, offset=offset, timestamp=timestamp)


def made(monkeypatch: pytest.MonkeyPatch, group: str | None = "g", **named: Any) -> tuple[Consumer, FakeClient, Clock, dict[str, Any]]:
    client, clock, seen = FakeClient(), Clock(), {}

    def reached(make: Any, settings: Any, arguments: dict[str, Any]) -> FakeClient:
        seen.update(arguments)
        return client

    monkeypatch.setattr(_kafkaconsumer, "reached", reached)
    return Consumer(kafka_settings({"session.timeout.ms": 20_000}), ["t"], group, monotonic=clock, **named), client, clock, seen


def test_it_commits_only_what_it_is_told_and_reads_only_what_is_committed(monkeypatch: pytest.MonkeyPatch) -> None:
    _, _, _, seen = made(monkeypatch)
    assert (seen["enable_auto_commit"], seen["isolation_level"], seen["auto_offset_reset"], seen["session_timeout_ms"]) == (
        False,
        "read_committed",
        "earliest",
        20_000,
    )


def test_no_poll_is_short_enough_to_lose_a_rejoin(monkeypatch: pytest.MonkeyPatch) -> None:
    consumer, client, _, _ = made(monkeypatch)
    consumer.poll()
    assert client.waits == [POLL]
    assert POLL >= 1000


def test_without_a_group_all_partitions_are_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    _, client, _, seen = made(monkeypatch, None)
    assert (client.calls, seen["group_id"]) == ([], None)
    assert client.owned == {TopicPartition("t", 0), TopicPartition("t", 1)}


def test_a_member_that_stays_without_partitions_joins_anew_ever_more_patiently(monkeypatch: pytest.MonkeyPatch) -> None:
    consumer, client, clock, _ = made(monkeypatch)
    client.owned = set()
    joined = []
    for second in range(int(10 * LONELY)):
        clock.now = float(second)
        before = consumer.joined_anew
        consumer.poll()
        joined += [second] * (consumer.joined_anew - before)
    assert [b - a for a, b in zip([0, *joined], joined, strict=False)] == [LONELY + 1, 2 * LONELY + 1, 4 * LONELY + 1]
    assert client.calls == ["subscribe", *["unsubscribe", "subscribe"] * 3]
    client.owned = {PART}
    consumer.poll()
    clock.now += 2 * LONELY
    client.owned = {PART}
    consumer.poll()
    assert consumer.joined_anew == 3


def test_after_a_rebalance_nothing_comes_twice_that_we_still_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    places: dict[tuple[str, int], int] = {}
    consumer, client, _, _ = made(monkeypatch, places=places)
    client.coming = [record(0), record(1)]
    assert len(consumer.poll()) == 2
    places["t", 0] = 2
    client.listener.on_partitions_revoked({PART})
    client.listener.on_partitions_assigned({PART})
    client.coming = [record(0), record(1), record(2)]
    assert [r.offset for r in consumer.poll()] == [2]
    client.listener.on_partitions_assigned(set())
    assert places == {}
    client.coming = [record(1)]
    assert [r.offset for r in consumer.poll()] == [1]


def test_records_come_in_the_order_in_which_they_were_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    consumer, client, _, _ = made(monkeypatch)
    client.coming = [record(0, 5), record(1, 3), record(2, 3)]
    assert [r.offset for r in consumer.poll()] == [1, 2, 0]


@pytest.mark.parametrize("error", [errors.CommitFailedError(), errors.IllegalGenerationError(), errors.UnknownMemberIdError()])
def test_what_went_to_another_is_not_committed(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    consumer, client, _, _ = made(monkeypatch)
    assert consumer.commit({("t", 0): 5})
    assert client.committed[PART].offset == 5
    assert not consumer.commit({("t", 0): 6, ("t", 1): 9})
    assert client.committed.keys() == {PART}
    client.error = error
    assert not consumer.commit({("t", 0): 7})


def test_refusals_are_told_and_a_missing_topic_lets_go_of_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    consumer, client, _, _ = made(monkeypatch)
    client.error = errors.GroupAuthorizationFailedError()
    with pytest.raises(GrayscopeError, match=r"group\.id"):
        consumer.poll()
    with pytest.raises(GrayscopeError, match=r"group\.id"):
        consumer.commit({("t", 0): 5})
    monkeypatch.setattr(FakeClient, "partitions_for_topic", lambda *_: None)
    with pytest.raises(UsageError, match="kafka topic t: there is none"):
        made(monkeypatch)


def test_a_member_that_is_shut_out_is_broken_though_the_client_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    consumer, client, _, _ = made(monkeypatch)
    client._coordinator._heartbeat_enabled, client._coordinator.rejoining = False, True
    consumer.poll()  # it is only joining
    assert (consumer.broken, consumer.itself()) == (False, "w1-a")
    client._coordinator.rejoining = False
    with pytest.raises(GrayscopeError, match="give each worker its own --worker"):
        consumer.poll()
    assert consumer.broken


def test_a_member_that_is_not_let_in_again_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    consumer, client, _, _ = made(monkeypatch)
    client.error = errors.FencedInstanceIdError()
    with pytest.raises(GrayscopeError, match="give each worker its own --worker"):
        consumer.poll()
    assert consumer.broken
