"""Oneglance: every source of this machine looked at once, side by side, within a deadline."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from grayscope.batch import Batch
from grayscope.errors import shorten
from grayscope.event import Event

from ._looker import Look, ticks_after
from ._sources import denied, word

if TYPE_CHECKING:
    from grayscope.message import Message

    from ._agentloop import Agent


@dataclass(frozen=True)
class Seen:
    """What one source showed: `state` is ``running``, ``unsupported``, ``failed`` or ``stalled``."""

    name: str
    state: str
    said: str = ""
    seconds: float = 0.0
    messages: Sequence[Message] = ()
    denied: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return the counts, for JSON."""
        batches = [m for m in self.messages if isinstance(m, Batch)]
        return {
            "source": self.name, "state": self.state, "said": self.said, "seconds": round(self.seconds, 4), "denied": self.denied,
            "subjects": len({s for b in batches for s in b.subjects}), "metrics": len({m for b in batches for m in b.metrics}),
            "rows": sum(b.rows for b in batches), "events": sum(isinstance(m, Event) for m in self.messages),
            "roster": sum(len(m) for m in self.messages if isinstance(m, tuple)),
        }  # fmt: skip


def glance(agent: Agent, looks: int = 1) -> list[Seen]:
    """Look once (or more often, each a tick later) with every source; a source beyond its deadline is left behind as stalled."""
    tick = ticks_after(agent.clock(), agent.settings.period) - agent.settings.period
    found: dict[str, list[Look]] = {name: [] for name in agent.lookers}

    def look(name: str) -> None:
        looker = agent.lookers[name]
        for i in range(looks):
            found[name].append(looker.once(tick + i * agent.settings.period))

    threads = {name: threading.Thread(target=look, args=(name,), daemon=True, name=f"glance-{name}") for name in agent.lookers}
    for thread in threads.values():
        thread.start()
    seen = []
    began = agent.monotonic()
    for name, thread in threads.items():
        looker = agent.lookers[name]
        thread.join(max(0.0, began + looker.source.deadline - agent.monotonic()))
        if thread.is_alive():
            seen.append(Seen(name, "stalled", f"did not return within {looker.source.deadline:g} s", looker.source.deadline))
            continue
        messages = [m for one in found[name] for m in one.messages]
        published = [m for one in found[name] for m in agent.take(one)]
        if published and agent.publisher is not None:
            agent.publisher.publish(published)
        seen.append(Seen(name, looker.state, word(looker.said, looker.collector), looker.last_seconds, messages, denied(looker.collector)))
        looker.close()
    return seen


def lines(seen: Sequence[Seen], off: Mapping[str, str]) -> Iterator[str]:
    """Yield a table for people."""
    yield f"{'source':<14}{'state':<13}{'subjects':>9}{'metrics':>9}{'events':>8}{'roster':>8}{'ms':>9}  why"
    for one in seen:
        d = one.as_dict()
        counts = f"{d['subjects']:>9}{d['metrics']:>9}{d['events']:>8}{d['roster']:>8}{one.seconds * 1000:>9.1f}"
        yield f"{one.name:<14}{one.state:<13}{counts}  {shorten(one.said, 200)}".rstrip()
    for name, why in off.items():
        yield f"{name:<14}{'off':<13}{'':>43}  {shorten(why, 200)}"
