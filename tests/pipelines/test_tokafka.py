"""Tokafka: messages go out when their time has come, none twice, and a stop is heard."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from grayscope.batch import Batch
from grayscope.errors import UsageError
from grayscope.event import Event
from grayscope.message import Message
from grayscope.roster import RosterRow

module: Any = __import__("grayscope.pipelines._tokafka", fromlist=["play"])
MESSAGES: list[Message] = [
    (RosterRow("n1", "node"),),
    Event(100_000_000, "n1", "clock", "heartbeat"),
    Batch("gpu", np.array([130_000_000]), ("n1/gpu0",), ("m",), np.ones((1, 1, 1), np.float32)),
    Event(130_000_000, "n1", "clock", "heartbeat"),
    Event(160_000_000, "n1", "clock", "heartbeat"),
]


class Kept:
    def __init__(self) -> None:
        self.at: list[tuple[float, Message]] = []
        self.flushed = 0
        self.now = 5.0

    def send(self, message: Message) -> None:
        self.at.append((self.now, message))

    def flush(self) -> None:
        self.flushed += 1

    def wait(self, seconds: float) -> bool:
        self.now += seconds
        return False


@pytest.mark.parametrize(("speed", "times"), [(60.0, [5.0, 5.0, 5.5, 5.5, 6.0]), (1.0, [5.0, 5.0, 35.0, 35.0, 65.0]), (float("inf"), [5.0] * 5)])
def test_each_goes_out_when_it_is_due(speed: float, times: list[float]) -> None:
    kept = Kept()
    assert module.play(MESSAGES, kept, speed, threading.Event(), monotonic=lambda: kept.now, wait=kept.wait) == 5
    assert [t for t, _ in kept.at] == pytest.approx(times)
    assert [m for _, m in kept.at] == MESSAGES
    assert kept.flushed == 1 + (2 if speed < 1e9 else 0)


def test_a_stop_ends_it_with_what_is_sent_safe() -> None:
    kept, stop = Kept(), threading.Event()

    def wait(seconds: float) -> bool:
        stop.set()
        return True

    assert module.play(MESSAGES, kept, 1.0, stop, monotonic=lambda: kept.now, wait=wait) == 2
    assert kept.flushed == 2


@pytest.mark.parametrize("text", ["", "0", "-1", "fast", "x", "1e9", "60xx", "nan", "9" * 40])
def test_what_is_no_speed_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="a factor such as 1x, 60x or max"):
        module.speed_of(text)
