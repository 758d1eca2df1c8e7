"""Tokafka: play a trace into Kafka at the speed at which it was recorded, or faster."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable

from grayscope.batch import Batch
from grayscope.errors import UsageError, shorten
from grayscope.event import Event
from grayscope.message import Broker, Message


def speed_of(text: str) -> float:
    """Return how many times faster than recorded; infinity for ``max``.

    Examples
    --------
    >>> speed_of("60x"), speed_of("0.5"), speed_of("max")
    (60.0, 0.5, inf)
    """
    found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)x?", text)
    if text == "max":
        return float("inf")
    if found is None or not float(found[1]) > 0:
        raise UsageError(f"--speed: expected a factor such as 1x, 60x or max, found {shorten(text)!r}")
    return float(found[1])


def play(
    messages: Iterable[Message], broker: Broker, speed: float, stop: threading.Event, *, monotonic: Callable[[], float] = time.monotonic,
    wait: Callable[[float], bool] | None = None,
) -> int:  # fmt: skip
    """Send `messages` when their event time is due; return how many went out. Times in them stay as they are."""
    wait, flush = wait or stop.wait, getattr(broker, "flush", lambda: None)
    begin: tuple[float, int] | None = None
    count = 0
    for message in messages:
        moment = _moment(message)
        if moment is not None:
            begin = begin or (monotonic(), moment)
            late = begin[0] + (moment - begin[1]) / 1e6 / speed - monotonic()
            if late > 0:
                flush()
                wait(late)
        if stop.is_set():
            break
        broker.send(message)
        count += 1
    flush()
    return count


def _moment(message: Message) -> int | None:
    if isinstance(message, Batch):
        return int(message.times[-1]) if len(message.times) else None
    return message.time if isinstance(message, Event) else None
