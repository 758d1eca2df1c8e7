"""Agentloop: takes what the sources saw, merges the roster, adds the agent's own word and publishes, turn after turn."""

from __future__ import annotations

import json
import queue
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from grayscope import __version__
from grayscope.batch import Batch
from grayscope.event import Event, heartbeat
from grayscope.roster import RosterRow
from grayscope.rostering import Rostering

from ._exposed import Exposed
from ._looker import Look, Looker, ticks_after
from ._sources import candidates, denied

if TYPE_CHECKING:
    from grayscope.message import Message

    from ._agentconfig import AgentSettings, Source
    from ._publisher import Publisher

#: Seconds after which the whole roster is told again: who listens since then does not know it.
REPEAT = 600.0
#: Looks that wait for the loop.
WAITING = 1000


class Agent:
    """The sources of one node and where their messages go.

    Parameters
    ----------
    settings : AgentSettings
    publisher : Publisher or None
        None: what is seen is only shown.
    tell : callable
        Told in one line when a source starts, stalls, comes back or is refused.
    """

    def __init__(
        self, settings: AgentSettings, publisher: Publisher | None, *, tell: Callable[[str], None] = lambda _: None, clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self.settings, self.publisher, self.tell, self.clock, self.monotonic = settings, publisher, tell, clock, monotonic
        self.lookers: dict[str, Looker] = {}
        self.off: dict[str, str] = {}
        self.roster, self.exposed = Rostering(), Exposed()
        self.waiting: queue.Queue[Look] = queue.Queue(WAITING)
        self.turned = monotonic()
        self._told: dict[str, str] = {}
        self._stalled: set[str] = set()
        self._next = self._repeat = 0.0

    # -- sources --------------------------------------------------------------------------------------------------------

    def configure(self, settings: AgentSettings) -> None:
        """Become what the settings say: sources that stay as they are go on without a gap in their counters."""
        self.settings = settings
        found = dict(candidates(settings))
        wanted = {name: source for name, source in found.items() if not isinstance(source, str)}
        self.off = {name: why for name, why in found.items() if isinstance(why, str)}
        for name in [n for n, looker in self.lookers.items() if wanted.get(n) != looker.source]:
            self.lookers.pop(name).stop()
        for name, source in wanted.items():
            if name not in self.lookers:
                self.lookers[name] = self._looker(source)
        keys = {"node": settings.node, **({"cell": settings.cell} if settings.cell else {})}
        self._own = RosterRow(settings.node, "node", keys=keys)

    def _looker(self, source: Source) -> Looker:
        return Looker(source, self.settings, self.waiting, clock=self.clock, monotonic=self.monotonic)

    def start(self) -> None:
        """Let all sources look that do not do so yet."""
        for looker in self.lookers.values():
            if not looker.started:
                looker.start()

    def stop(self, limit: float = 2.0) -> None:
        """End all sources that can be ended, and publish what they said last."""
        for looker in self.lookers.values():
            looker.stop()
        until = self.monotonic() + limit
        for looker in self.lookers.values():
            looker.join(max(0.0, until - self.monotonic()))
        self.turn(0.0)
        if self.publisher is not None:
            self.publisher.close()

    # -- turns ----------------------------------------------------------------------------------------------------------

    def turn(self, wait: float = 1.0) -> int:
        """Take what has come within `wait` seconds and publish it; return how many messages went out."""
        messages = [m for look in self._looks(wait) for m in self.take(look)]
        now = self.clock()
        messages += self._stalls(int(now * 1e6))
        if now >= self._next or now < self._next - 2 * self.settings.period:  # the clock was set back
            tick = ticks_after(now, self.settings.period) - self.settings.period
            self._next = tick + self.settings.period
            messages += self._word(int(tick * 1e6))
        if messages and self.publisher is not None:
            self.publisher.publish(messages)
        self.exposed.take(messages)
        self.turned = self.monotonic()
        return len(messages)

    def _looks(self, wait: float) -> Iterator[Look]:
        try:
            yield self.waiting.get(timeout=wait) if wait > 0 else self.waiting.get_nowait()
            while True:
                yield self.waiting.get_nowait()
        except queue.Empty:
            return

    def take(self, look: Look) -> list[Message]:
        """Return the messages of a look with its roster rows merged, and tell about the source if there is news."""
        rows = [row for m in look.messages if isinstance(m, tuple) for row in m]
        changed = self.roster.tell(look.source, rows, look.time)
        looker = self.lookers.get(look.source)
        if looker is not None and (news := f"{looker.state}{f': {looker.said}' if looker.said else ''}") != self._told.get(look.source):
            self._told[look.source] = news
            self.tell(f"{look.source} is {news}")
        return [*([tuple(changed)] if changed else []), *(m for m in look.messages if not isinstance(m, tuple))]

    def _stalls(self, now: int) -> Iterator[Event]:
        """Yield an event for every source that has begun to hang or has come back."""
        for name, looker in self.lookers.items():
            late = looker.stalled()
            if (late > 0) == (name in self._stalled):
                continue
            code = "stalled" if late > 0 else "back"
            self._stalled ^= {name}
            text = f"source {name} {'does not return: a look takes longer than' if late > 0 else 'answers again; its deadline is'} {looker.source.deadline:g} s"
            self.tell(text)
            yield Event(now, self.settings.node, "collector", code, text)

    def _word(self, tick: int) -> list[Message]:
        """Return what the agent says itself once per period: who it is, how its sources are, and that time has passed."""
        rows = self.roster.tell("agent", [self._own], tick)
        if self.monotonic() >= self._repeat:
            self._repeat = self.monotonic() + REPEAT
            rows = list(self.roster.rows.values())
        return [*([tuple(rows)] if rows else []), *self._sources_as_numbers(tick), heartbeat(tick, self.settings.node)]

    def _sources_as_numbers(self, tick: int) -> Iterator[Batch]:
        told = [(n, x) for n, x in sorted(self.lookers.items()) if x.state in ("running", "failed") or x.stalled()]
        if told:
            metrics = tuple(f'{what}{{source="{n}"}}' for what in ("collector_read_seconds", "collector_up") for n, _ in told)
            values = [x.last_seconds for _, x in told] + [float(x.state == "running" and not x.stalled()) for _, x in told]
            yield Batch("node", np.array([tick], np.int64), (self.settings.node,), metrics, np.array(values, np.float32).reshape(1, -1, 1))

    # -- pages ----------------------------------------------------------------------------------------------------------

    def page(self, path: str, accept: str) -> tuple[int, str, str] | None:
        """Return a page of the small server."""
        if path == "/metrics":
            modern = "application/openmetrics-text" in accept
            kind = "application/openmetrics-text; version=1.0.0; charset=utf-8" if modern else "text/plain; version=0.0.4; charset=utf-8"
            return 200, kind, self.exposed.text(dict(self.roster.rows), self.own(), openmetrics=modern)
        if path in ("/healthz", "/health", "/readyz"):
            problems = self._dead() + (self._unready() if path == "/readyz" else [])
            body = {"ok": not problems, "problems": problems, "sources": {n: x.state for n, x in sorted(self.lookers.items())}}
            return 503 if problems else 200, "application/json", json.dumps(body) + "\n"
        return None

    def _dead(self) -> list[str]:
        still = self.monotonic() - self.turned
        return [f"the loop has stood still for {still:.0f} s"] if still > 3 * max(self.settings.period, 10.0) else []

    def _unready(self) -> list[str]:
        problems = [] if any(x.state == "running" for x in self.lookers.values()) else ["no source has answered yet"]
        if self.publisher is not None and not self.publisher.up:
            problems.append(f"the broker is away: {self.publisher.said}")
        return problems

    def own(self) -> Iterable[tuple[str, str, Mapping[str, str], float]]:
        """Yield (name, type, labels, value) of the agent's own metrics."""
        yield "grayscope_build_info", "gauge", {"version": __version__}, 1.0
        for name, x in sorted(self.lookers.items()):
            labels = {"source": name}
            yield "grayscope_agent_source_up", "gauge", labels, float(x.state == "running" and not x.stalled())
            yield "grayscope_agent_source_seconds", "gauge", labels, x.last_seconds
            counts: dict[str, Any] = {"looks": x.looks, "errors": x.errors, "missed": x.missed, "lost": x.lost, "denied": denied(x.collector)}
            for what, n in counts.items():
                yield f"grayscope_agent_source_{what}_total", "counter", labels, float(n)
        if (p := self.publisher) is not None:
            yield "grayscope_agent_broker_up", "gauge", {}, float(p.up)
            for what, kind, n in (
                ("published_total", "counter", p.published), ("refused_total", "counter", p.rejected), ("outages_total", "counter", p.outages),
                ("spool_messages", "gauge", len(p.spool)), ("spool_bytes", "gauge", p.spool.bytes), ("spool_dropped_total", "counter", p.spool.dropped),
            ):  # fmt: skip
                yield f"grayscope_agent_{what}", kind, {}, float(n)
