"""Liveinside: agent and detector in one process, over the memory broker: a single host or a small rack needs no Kafka."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grayscope.errors import GrayscopeError

from ._exposed import Exposed
from ._livepages import NOTHING_WAITS

if TYPE_CHECKING:
    from grayscope.engine import Engine, Output
    from grayscope.message import Message
    from grayscope.replaying import Collected

    from ._agentconfig import AgentSettings
    from ._livepages import Health


def _collected() -> Collected:
    """Return an empty book; a worker on Kafka keeps none, and what reads traces would cost it fifteen megabytes."""
    from grayscope.replaying import Collected

    return Collected()


class Inside:
    """Takes messages from the memory broker through the engine to the sinks; itself the broker that an agent's publisher fills.

    Delivery: exactly once, in order, as long as the process lives. `show`: what comes is on the page of metrics too, for who looks at the suspects.
    """

    def __init__(self, engine: Engine, sinks: Sequence[Any], health: Health, cell: str, *, keep: bool = False, show: bool = False) -> None:
        from grayscope import plugins

        self.engine, self.sinks, self.health, self.cell = engine, sinks, health, cell
        self.said = _collected() if keep else None
        self.broker = plugins.broker("memory")
        self.exposed = Exposed(engine.catalogue) if show else None
        if self.exposed is not None:
            health.watched = self.lines
        self.seconds = self.last = 0.0

    def send(self, message: Message) -> None:
        """Take one message, as a broker would; it is judged at once, so that nothing piles up."""
        self.broker.send(message)
        if self.exposed is not None:
            self.exposed.take((message,))
        self.drain()

    def lines(self, openmetrics: bool) -> list[str]:
        """Return what was seen last as lines of a page of metrics."""
        align = self.engine.align
        return self.exposed.lines(align.roster.at(align.now or 0).rows, openmetrics) if self.exposed is not None else []

    def receive(self) -> Iterator[Message]:
        """Yield what waits."""
        yield from self.broker.receive()

    def drain(self) -> None:
        """Judge what waits."""
        for message in self.receive():
            began = time.perf_counter()
            output = self.engine.step(message)
            self.last = time.perf_counter() - began
            self.seconds += self.last
            self._tell(output)

    def _tell(self, output: Output) -> None:
        tell(self.sinks, self.cell, output, self.engine)
        if self.said is not None:
            self.said.add(output)
        if output.alerts:
            for sink in self.sinks:
                sink.send(output.alerts)
        took = NOTHING_WAITS | {"grayscope_tick_seconds_total": self.seconds, "grayscope_tick_duration_seconds": self.last}
        self.health.turn(numbers({self.cell: self.engine}) | took, ready=True)

    def end(self) -> None:
        """The stream has ended: close what is open."""
        self._tell(self.engine.flush())

    def close(self) -> None:
        """Let go; the sinks belong to the caller."""
        self.broker.close()


def tell(sinks: Iterable[Any], cell: str, output: Output, engine: Engine) -> None:
    """Show a step of an engine to the sinks that follow every step."""
    for sink in sinks:
        if hasattr(sink, "see"):
            sink.see(output, engine, cell)


def leave(sinks: Iterable[Any], cell: str) -> None:
    """Tell the sinks that follow every step that somebody else judges a cell from now on."""
    for sink in sinks:
        if hasattr(sink, "leave"):
            sink.leave(cell)


def numbers(engines: dict[str, Engine]) -> dict[str, float]:
    """Return what some engines count, summed: rows, ticks, and every kind of row that was left out."""
    found = {"grayscope_cells": float(len(engines))}
    for engine in engines.values():
        for name, count in engine.counts.items():
            key = f"grayscope_{name}_total"
            found[key] = found.get(key, 0.0) + count
    return found


def agent_inside(settings: AgentSettings, inside: Inside, stop: threading.Event, say: Callable[[str], None]) -> None:
    """Run the agent's sources into the engine until `stop`."""
    from grayscope.spool import Spool

    from ._agentloop import Agent
    from ._publisher import Publisher

    with tempfile.TemporaryDirectory(prefix="grayscope-") as folder:
        agent = Agent(settings, Publisher(lambda: inside, Spool(Path(folder))), tell=say)
        agent.configure(settings)
        if not agent.lookers:
            raise GrayscopeError("no source of this machine can be used: grayscope agent --once says why")
        agent.start()
        try:
            while not stop.is_set():
                agent.turn()
        finally:
            agent.stop()
