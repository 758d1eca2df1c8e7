"""Sources: which collectors this machine can have, found by their names and constructors; why not, where not."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from grayscope import plugins
from grayscope.errors import GrayscopeError, UsageError, shorten

if TYPE_CHECKING:
    from grayscope.message import Collector

    from ._agentconfig import AgentSettings, Source

#: Seconds from one reading to the next of what changes slowly: sensors, links and error counts of buses and memory.
SLOW = 60.0
#: Counted by collectors where the kernel or the driver says no.
DENIED = ("denied", "permission", "not_permitted", "no_permission", "privilege")


@dataclass
class Moment:
    """The time that collectors stamp with: the tick, not the moment at which a thread happened to run."""

    time: float = 0.0

    def __call__(self) -> float:
        """Return seconds since 1970."""
        return self.time


def make(source: Source, offered: Mapping[str, Any]) -> Collector:
    """Make a collector with what is configured for it and, of `offered`, with what it takes.

    Raises
    ------
    UsageError
        An option that it does not have.
    GrayscopeError
        `Unsupported` above all: the reason is in the text.
    """
    kind = plugins.load("collectors", source.collector)
    taken = inspect.signature(kind.__init__).parameters
    for key in source.options:
        if key not in taken:
            raise UsageError(f"collectors.{source.name}: unknown option {key!r}: {plugins.nearest(key, [k for k in taken if k != 'self'])}")
    made: Collector = kind(**{k: v for k, v in offered.items() if k in taken}, **source.options)
    return made


def candidates(settings: AgentSettings) -> Iterator[tuple[str, Source | str]]:
    """Yield every source by name: how it is to be read, or why it is not."""
    for name in sorted({*plugins.names("collectors"), *settings.sources}):
        source = settings.source(name)
        if source is None:
            yield name, "switched off"
            continue
        # Read off the files: importers and what they need have no place in the memory of a node's agent.
        methods, needed = plugins.outline("collectors", source.collector)
        if "collect" not in methods:
            if source.wanted:
                yield name, f"reads files: grayscope import {source.collector}"
            continue
        lacking = [key for key in needed if key not in source.options]
        yield name, f"not configured: needs {', '.join(lacking)}" if lacking else source


def offers(settings: AgentSettings, clock: Callable[[], float], source: Source) -> dict[str, Any]:
    """Return what a collector may want to know."""
    common = {"node": settings.node, "root": settings.root, "clock": clock, "period": source.period, "slow": SLOW}
    return {key: value for key, value in common.items() if key not in source.options}


def denied(collector: Any) -> int:
    """Return how often a collector was not allowed to read something."""
    rejected = getattr(collector, "rejected", {})
    return int(sum(n for reason, n in rejected.items() if any(word in reason for word in DENIED)))


def word(said: str, collector: Any) -> str:
    """Return a source's word on itself: why it is not there, else what it was not permitted to read."""
    n = denied(collector)
    return said or (f"{n} reads were not permitted{f'; needs {privileges(collector)}' if privileges(collector) else ''}" if n else "")


def privileges(collector: Any) -> str:
    """Return what a collector's description says about privileges, its first sentence."""
    found = re.search(r"Privileges?: (.+?)(?:\.\s|\.$|$)", " ".join((inspect.getdoc(collector) or "").split()))
    return shorten(found[1], 200) if found else ""


def would_root_help(said: Mapping[str, str]) -> list[str]:
    """Return a line for every source that said that it lacks a privilege; none for root, who has them all."""
    if os.geteuid() == 0:
        return []
    words = ("root", "privilege", "permission", "permitted", "CAP_")
    return [f"{name}: {shorten(text, 300)}" for name, text in sorted(said.items()) if any(w in text for w in words)]


def reason(error: BaseException, name: str = "") -> str:
    """Return what an error says in one line, without the source's own name in front of it.

    Examples
    --------
    >>> reason(GrayscopeError("nvml: no driver"), "nvml"), reason(ZeroDivisionError("division by zero"))
    ('no driver', 'ZeroDivisionError: division by zero')
    """
    return shorten(str(error).removeprefix(f"{name}: "), 300) if isinstance(error, GrayscopeError) else f"{type(error).__name__}: {shorten(error, 300)}"
