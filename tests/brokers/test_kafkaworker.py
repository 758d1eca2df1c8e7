"""Kafkaworker, without a broker: what was polled and not taken is asked for again, and what goes wrong is said once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from grayscope.brokers._kafkaworker import Worker
from grayscope.errors import GrayscopeError

OPTIONS = {"bootstrap_servers": "127.0.0.1:1", "topic_prefix": "g"}


class Polled:
    """A consumer that has given out records of two lanes, one of which has gone meanwhile."""

    def __init__(self) -> None:
        self.sought: list[tuple[str, int, int]] = []

    def poll(self) -> list[Any]:
        return [SimpleNamespace(topic="g.telemetry", partition=0, offset=9)]

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
    some._roster = SimpleNamespace(close=lambda: closed.append("roster"))  # type: ignore[assignment]
    monkeypatch.setattr(some, "_introductions", lambda: (_ for _ in ()).throw(GrayscopeError("no answer")))
    with pytest.raises(GrayscopeError, match="no answer"):
        some.turn()
    assert sorted(consumer.sought) == [("g.events", 0, 4), ("g.telemetry", 0, 9)]  # lane 1 is another worker's by now
    assert (closed, some._roster, lane.taken) == (["roster"], None, [])


def test_a_lane_that_cannot_be_opened_says_why_once() -> None:
    told: list[str] = []
    some = worker(told, lambda *_: Lane(0, 0))
    for _ in range(3):
        some._open(Polled(), 0)  # type: ignore[arg-type]
    assert told == ["lane 0: head: grayscope: expected version 1 or older, found 2"]
    assert (some.reopened, some.lanes) == (3, {})


@pytest.mark.parametrize(("client", "lines"), [("confluent", 1), ("kafka-python", 0), ("auto", 0)])
def test_another_client_than_the_one_used_is_named(client: str, lines: int) -> None:
    told: list[str] = []
    assert worker(told, client=client).settings.client == "kafka-python"
    assert len(told) == lines
    assert all("confluent has no effect" in line for line in told)
