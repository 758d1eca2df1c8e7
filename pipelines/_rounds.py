"""Rounds: look, judge and send, round after round."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from grayscope.alert import Sink
    from grayscope.engine import Engine, Output
    from grayscope.message import Broker, Collector, Message


@dataclass(slots=True)
class Watched:
    """What a watch has seen so far."""

    rounds: int = 0
    rows: int = 0
    incidents: int = 0

    def __str__(self) -> str:
        return f"{self.rounds:,} rounds, {self.rows:,} rows, {self.incidents:,} incidents"


def watch(
    collectors: Sequence[Collector], engine: Engine, sinks: Sequence[Sink], writer: Broker | None, rounds: int | None, wait: Callable[[], bool], *,
    clock: Callable[[], float] = time.time, tell: Callable[[str], None] = lambda _: None, turned: Callable[[float], None] = lambda _: None,
) -> Watched:  # fmt: skip
    """Look, judge and send, round after round; returns what was seen.

    Parameters
    ----------
    collectors : sequence of Collector
        Looked at side by side; their messages are taken in this order.
    engine : Engine
    sinks : sequence of Sink
        Closed at the end.
    writer : Broker or None
        Gets every message before the engine does; closed at the end.
    rounds : int or None
        None: until `wait` says no.
    wait : callable
        Returns when the next round is due; False ends the watch.
    clock : callable
        Seconds since 1970, for heartbeats.
    tell : callable
        Told once per outage of a collector.
    turned : callable
        Told after each round how many seconds the latest tick took.
    """
    from grayscope import plugins
    from grayscope.event import heartbeat

    round_ = _Round(engine, sinks, writer, plugins.broker("memory"))
    told: dict[int, str] = {}
    try:
        with ThreadPoolExecutor(max_workers=min(16, max(1, len(collectors)))) as pool:
            while (rounds is None or round_.seen.rounds < rounds) and wait():
                for messages in pool.map(lambda c: list(c.collect()), collectors):
                    round_.take(messages)
                # Time passes even where nobody answers: ticks close by it.
                round_.take([heartbeat(int(clock() * 1e6))])
                round_.seen.rounds += 1
                _complain(collectors, told, tell)
                turned(round_.seconds)
    except KeyboardInterrupt:
        pass
    finally:
        round_.close()
    return round_.seen


class _Round:
    """Carries messages from the collectors through the broker and the engine to the sinks."""

    def __init__(self, engine: Engine, sinks: Sequence[Sink], writer: Broker | None, broker: Broker) -> None:
        self.engine, self.sinks, self.writer, self.broker = engine, sinks, writer, broker
        self.seen = Watched()
        self._incidents: set[str] = set()
        self.seconds = 0.0  # that the latest tick took

    def take(self, messages: Iterable[Message]) -> None:
        for message in messages:
            self.broker.send(message)
        for message in self.broker.receive():
            if self.writer is not None:
                self.writer.send(message)
            began, ticks = time.perf_counter(), self.engine.counts["ticks"]
            self._send(self.engine.step(message))
            if self.engine.counts["ticks"] > ticks:
                self.seconds = (time.perf_counter() - began) / (self.engine.counts["ticks"] - ticks)

    def _send(self, output: Output) -> None:
        self._incidents |= {i.id for i in output.incidents}
        self.seen.rows, self.seen.incidents = self.engine.counts["rows"], len(self._incidents)
        for sink in self.sinks:
            if hasattr(sink, "see"):
                sink.see(output, self.engine, "")
            if output.alerts:
                sink.send(output.alerts)

    def close(self) -> None:
        """Close what is open, in the order in which it may fail: first what others wait for."""
        try:
            self._send(self.engine.flush())
        finally:
            self.broker.close()
            if self.writer is not None:
                self.writer.close()
            for sink in self.sinks:
                sink.close()


def _complain(collectors: Sequence[Any], told: dict[int, str], tell: Callable[[str], None]) -> None:
    from grayscope.errors import shorten

    for i, collector in enumerate(collectors):
        said = getattr(collector, "last_error", "")
        if said and told.get(i) != said:
            told[i] = said
            tell(shorten(said, 400))
