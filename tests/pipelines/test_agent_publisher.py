"""Publisher: nothing is lost while the broker is away, and everything comes out in order when it is back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grayscope.errors import GrayscopeError, InputError, Retry
from grayscope.event import Event
from grayscope.message import Message
from grayscope.spool import Spool

publishing: Any = __import__("grayscope.pipelines._publisher", fromlist=["Publisher"])


class FakeBroker:
    """A broker that is none: `error` says how it fails; `flush` confirms."""

    def __init__(self) -> None:
        self.carried: list[int] = []
        self._sent: list[int] = []
        self.error: Exception | None = None
        self.flushing: Exception | None = None
        self.connections = 0

    def connect(self) -> FakeBroker:
        self.connections += 1
        if self.error is not None and not isinstance(self.error, InputError):
            raise self.error
        return self

    def send(self, message: Message) -> None:
        if self.error is not None:
            raise self.error
        assert isinstance(message, Event)
        if message.source == "poison":
            raise InputError("poison: expected nothing, found this")
        self._sent.append(message.time)

    def flush(self) -> None:
        sent, self._sent = self._sent, []
        if self.flushing is not None:
            raise self.flushing
        self.carried += sent

    def close(self) -> None:
        self._sent = []


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def made(path: Path, limit: int = 1 << 20) -> tuple[FakeBroker, Any, Clock]:
    broker, clock = FakeBroker(), Clock()
    return broker, publishing.Publisher(broker.connect, Spool(path / "spool", limit=limit), monotonic=clock), clock


def events(*numbers: int) -> list[Message]:
    return [Event(i, "n1", "xid", "94") for i in numbers]


def test_an_outage_is_bridged_in_order(tmp_path: Path) -> None:
    broker, publisher, clock = made(tmp_path)
    publisher.publish(events(0, 1))
    broker.error = GrayscopeError("away")
    for i in range(2, 6):
        clock.now += 1
        publisher.publish(events(i))
    assert (broker.carried, len(publisher.spool), publisher.up, publisher.outages) == ([0, 1], 4, False, 1)
    broker.error = None
    clock.now += 60
    publisher.publish(events(6))
    assert (broker.carried, len(publisher.spool), publisher.up) == ([0, 1, 2, 3, 4, 5, 6], 0, True)


def test_what_a_flush_does_not_confirm_goes_out_again(tmp_path: Path) -> None:
    broker, publisher, clock = made(tmp_path)
    broker.flushing = OSError("reset by peer")
    publisher.publish(events(0, 1))
    broker.flushing, clock.now = None, 60.0
    publisher.publish(events(2))
    assert broker.carried == [0, 1, 2]


def test_what_was_sent_before_a_send_that_fails_goes_out_again_too(tmp_path: Path) -> None:
    """Nothing has confirmed it."""
    broker, publisher, clock = made(tmp_path)
    carry, broker.send = broker.send, lambda message: carry(message) if message.time < 1 else cut()  # type: ignore[method-assign,union-attr]

    def cut() -> None:
        raise OSError("reset by peer")

    publisher.publish(events(0, 1, 2))
    assert (broker.carried, len(publisher.spool)) == ([], 3)
    broker.send, clock.now = carry, 60.0  # type: ignore[method-assign]
    publisher.publish(events(3))
    assert broker.carried == [0, 1, 2, 3]


def test_a_broker_that_asks_for_patience_gets_it(tmp_path: Path) -> None:
    broker, publisher, clock = made(tmp_path)
    broker.error = Retry("busy", 20.0)
    publisher.publish(events(0))
    before = broker.connections
    clock.now = 19.0
    publisher.publish(events(1))
    assert broker.connections == before
    broker.error, clock.now = None, 20.0
    publisher.publish(events(2))
    assert broker.carried == [0, 1, 2]


def test_one_refused_message_does_not_hold_up_the_others(tmp_path: Path) -> None:
    broker, publisher, _ = made(tmp_path)
    publisher.publish([*events(0), Event(1, "n1", "poison", "x"), *events(2)])
    assert (broker.carried, publisher.rejected, publisher.up) == ([0, 2], 1, True)
    assert "poison" in publisher.said


def test_a_long_outage_drops_the_oldest_and_says_how_many(tmp_path: Path) -> None:
    broker, publisher, clock = made(tmp_path, limit=3000)
    broker.error = GrayscopeError("away")
    publisher.publish(events(*range(200)))
    broker.error, clock.now = None, 60.0
    publisher.close()
    assert broker.carried == list(range(publisher.spool.dropped, 200))
    assert 0 < publisher.spool.dropped < 200


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(["up", "down", "unflushed"]), min_size=1, max_size=20))
def test_at_least_once_and_in_order_whatever_happens(tmp_path_factory: pytest.TempPathFactory, weather: list[str]) -> None:
    broker, publisher, clock = made(tmp_path_factory.mktemp("p"))
    for i, state in enumerate(weather):
        broker.error = GrayscopeError("away") if state == "down" else None
        broker.flushing = OSError("cut") if state == "unflushed" else None
        clock.now += 31
        publisher.publish(events(2 * i, 2 * i + 1))
    broker.error = broker.flushing = None
    publisher.close()
    assert broker.carried == list(range(2 * len(weather)))
