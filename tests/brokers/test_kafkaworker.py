"""Kafkaworker, without a broker: what was polled and not taken is asked for again, and what goes wrong is said once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from grayscope.brokers._kafkanamesake import Holder
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

    def itself(self) -> str:
        return "w1-a"

    def settled(self) -> bool:
        return True

    def assigned(self) -> set[tuple[str, int]]:
        return {("g.telemetry", 0), ("g.events", 0)}

    def seek(self, *place: Any) -> None:
        self.sought.append(place)


class Lane:
    """A lane that takes what it is given and fails when it is told to."""

    def __init__(self, *places: int, number: int = 0) -> None:
        self.number = number
        self.places = dict(zip("te", places, strict=True))
        self.taken: list[Any] = []
        self.introduced: list[Any] = []
        self.closed = False
        self.again = list[Any]()

    def take(self, kind: str, record: Any) -> None:
        self.taken.append((kind, record))

    def open(self) -> None:
        raise GrayscopeError("head: grayscope: expected version 1 or older, found 2")

    def introduce(self, rows: Any) -> None:
        self.introduced += rows

    def waiting(self) -> bool:
        return True

    def beat(self, _: float) -> None:
        pass

    def due(self) -> bool:
        return False

    def commit(self, _: Any) -> list[Any]:
        return []

    def close(self) -> None:
        self.closed = True


def worker(told: list[str], lane: Any = None, **options: str) -> Worker:
    return Worker({**OPTIONS, **options}, "w1", lane, tell=told.append, monotonic=lambda: 0.0)


def test_what_was_polled_is_asked_for_again_where_the_roster_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    some, consumer, closed, lane = worker([]), Polled(), list[str](), Lane(9, 4)
    some._consumer, some.lanes = consumer, {0: lane, 1: Lane(7, 7, number=1)}  # type: ignore[assignment, dict-item]
    some.roster._client = SimpleNamespace(close=lambda: closed.append("roster"))
    monkeypatch.setattr(some.roster, "_asked", lambda _: (_ for _ in ()).throw(GrayscopeError("no answer")))
    with pytest.raises(GrayscopeError, match="no answer"):
        some.turn()
    assert sorted(consumer.sought) == [("g.events", 0, 4), ("g.telemetry", 0, 9)]  # lane 1 is another worker's by now
    assert (closed, some.roster._client, lane.taken) == (["roster"], None, [])  # type: ignore[comparison-overlap]


def test_a_lane_that_cannot_be_opened_says_why_once() -> None:
    told: list[str] = []
    some = worker(told, lambda *_: Lane(0, 0))
    for _ in range(3):
        some._open(Polled(), 0)  # type: ignore[arg-type]
    assert told == ["lane 0: head: grayscope: expected version 1 or older, found 2"]
    assert (some.reopened, some.lanes) == (3, {})


def test_while_the_group_is_formed_anew_nothing_is_taken_nothing_given_up_and_no_introduction_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    some, lane, consumer, told = worker([]), Lane(9, 4), Polled(), iter([["a"], ["b"], []])
    some.roster._client = SimpleNamespace(close=lambda: None)
    monkeypatch.setattr(some.roster, "_asked", lambda _: next(told))
    some._consumer, some.lanes = consumer, {0: lane}  # type: ignore[assignment, dict-item]
    consumer.settled = lambda: False  # type: ignore[method-assign]
    assert some.turn() == []
    assert (list(some.lanes), lane.taken, lane.introduced) == ([0], [], [])
    consumer.settled = lambda: True  # type: ignore[method-assign]
    some.turn()
    assert (lane.introduced, len(lane.taken)) == (["a", "b"], 1)


def test_told_to_stop_while_it_is_in_no_group_it_closes_all_lanes() -> None:
    told = list[str]()
    some, lanes = worker(told), {0: Lane(9, 4), 1: Lane(7, 7, number=1)}
    some.lanes = dict(lanes)  # type: ignore[arg-type]
    some.close()
    assert all(lane.closed for lane in lanes.values())
    assert sum("not in its group" in line for line in told) == 2


def test_a_client_that_is_broken_is_made_anew_and_the_lanes_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    some, lane, closed = worker([]), Lane(9, 4), list[bool]()
    consumer = SimpleNamespace(broken=True, close=lambda: closed.append(True), itself=lambda: "w1-a")
    some._consumer, some.lanes = consumer, {0: lane}  # type: ignore[dict-item]
    some._namesake.ask = lambda *_: Holder("", ())
    monkeypatch.setattr(some, "_join", lambda: (_ for _ in ()).throw(GrayscopeError("not yet")))
    with pytest.raises(GrayscopeError, match="not yet"):
        some.turn()
    assert some._consumer is None
    assert (closed, list(some.lanes)) == ([True], [0])


def test_a_protocol_that_gives_one_topic_after_the_other_is_refused() -> None:
    with pytest.raises(UsageError, match=r"group\.protocol"):
        worker([], group_protocol="consumer")


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
