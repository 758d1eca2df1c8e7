"""Kafkaworker, without a broker: what was polled and not taken is asked for again, and what goes wrong is said once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from grayscope.brokers._kafkaworker import Worker
from grayscope.errors import GrayscopeError, UsageError

OPTIONS = {"bootstrap_servers": "127.0.0.1:1", "topic_prefix": "g"}


class Polled:
    """A consumer that has given out records of two lanes, one of which has gone meanwhile."""

    def __init__(self) -> None:
        self.sought: list[tuple[str, int, int]] = []

    def poll(self) -> list[Any]:
        return [SimpleNamespace(topic="g.telemetry", partition=0, offset=9)]

    broken = False

    def settled(self) -> bool:
        return True

    def assigned(self) -> set[tuple[str, int]]:
        return {("g.telemetry", 0), ("g.events", 0)}

    def seek(self, *place: Any) -> None:
        self.sought.append(place)


class Lane:
    """A lane that takes what it is given and fails when it is told to."""

    def __init__(self, *places: int) -> None:
        self.places = dict(zip("te", places, strict=True))
        self.taken: list[Any] = []

    def take(self, kind: str, record: Any) -> None:
        self.taken.append((kind, record))

    def open(self) -> None:
        raise GrayscopeError("head: grayscope: expected version 1 or older, found 2")

    def close(self) -> None:
        pass


def worker(told: list[str], lane: Any = None, **options: str) -> Worker:
    return Worker({**OPTIONS, **options}, "w1", lane, tell=told.append, monotonic=lambda: 0.0)


def test_what_was_polled_is_asked_for_again_where_the_roster_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    some, consumer, closed, lane = worker([]), Polled(), list[str](), Lane(9, 4)
    some._consumer, some.lanes = consumer, {0: lane, 1: Lane(7, 7)}  # type: ignore[assignment, dict-item]
    some._roster = SimpleNamespace(close=lambda: closed.append("roster"))
    monkeypatch.setattr(some, "_introductions", lambda: (_ for _ in ()).throw(GrayscopeError("no answer")))
    with pytest.raises(GrayscopeError, match="no answer"):
        some.turn()
    assert sorted(consumer.sought) == [("g.events", 0, 4), ("g.telemetry", 0, 9)]  # lane 1 is another worker's by now
    assert (closed, some._roster, lane.taken) == (["roster"], None, [])  # type: ignore[comparison-overlap]


def test_a_lane_that_cannot_be_opened_says_why_once() -> None:
    told: list[str] = []
    some = worker(told, lambda *_: Lane(0, 0))
    for _ in range(3):
        some._open(Polled(), 0)  # type: ignore[arg-type]
    assert told == ["lane 0: head: grayscope: expected version 1 or older, found 2"]
    assert (some.reopened, some.lanes) == (3, {})


def test_while_the_group_is_formed_anew_nothing_is_taken_and_nothing_given_up() -> None:
    some, lane = worker([]), Lane(9, 4)
    consumer = Polled()
    consumer.settled = lambda: False  # type: ignore[method-assign]
    consumer.assigned = set  # type: ignore[method-assign]
    some._consumer, some.lanes, some._introductions = consumer, {0: lane}, list  # type: ignore[assignment, dict-item, method-assign]
    assert some.turn() == []
    assert list(some.lanes) == [0]
    assert lane.taken == []


def test_a_client_that_is_broken_is_made_anew_and_the_lanes_are_kept() -> None:
    some, lane, closed = worker([]), Lane(9, 4), list[bool]()
    consumer = SimpleNamespace(broken=False, poll=lambda: (_ for _ in ()).throw(GrayscopeError("fenced")), close=lambda: closed.append(True))
    some._consumer, some.lanes = consumer, {0: lane}  # type: ignore[dict-item]
    for broken in (False, True):
        consumer.broken = broken
        with pytest.raises(GrayscopeError, match="fenced"):
            some.turn()
        assert (some._consumer is None, closed == [True]) == (broken, broken)
    assert list(some.lanes) == [0]


@pytest.mark.parametrize(("joined", "kind"), [(False, UsageError), (True, GrayscopeError)])
def test_topics_that_were_there_are_waited_for(joined: bool, kind: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    some = worker([])
    some._joined = joined
    monkeypatch.setattr("grayscope.brokers._kafkaclients.consumer", lambda *_, **__: (_ for _ in ()).throw(UsageError("there is none")))
    with pytest.raises(GrayscopeError, match="there is none") as told:
        some.turn()
    assert type(told.value) is kind


@pytest.mark.parametrize("client", ["confluent", "kafka-python"])
def test_it_works_through_the_client_that_is_asked_for(client: str) -> None:
    assert worker([], client=client).settings.client == client
