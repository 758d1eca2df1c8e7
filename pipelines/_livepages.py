"""Livepages: `/metrics`, `/healthz` and `/readyz` of the live pipeline: its own health, and what a sink shows besides."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from typing import Any

from grayscope import __version__

#: In one process nothing waits to be read, and nothing arrives broken.
NOTHING_WAITS = {"grayscope_lag_messages": 0.0, "grayscope_rejected_messages_total": 0.0}


class Health:
    """What the live pipeline says of itself; written by its loop, read by the server's threads.

    Parameters
    ----------
    sinks : sequence of Sink
        One with a method ``page(openmetrics)`` serves `/metrics`; our own numbers go to its ``own``.
    still : float
        Seconds without a turn after which it counts as dead.
    """

    def __init__(self, sinks: Sequence[Any] = (), *, still: float = 120.0, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.pages = next((s for s in sinks if hasattr(s, "page")), None)
        self.still, self.monotonic = still, monotonic
        self.turned = monotonic()
        self.ready = False
        self.said = ""
        self.numbers: dict[str, float] = {}
        #: Lines of what is watched, for `/metrics`; told whether OpenMetrics is asked for.
        self.watched: Callable[[bool], Sequence[str]] = lambda _: ()

    def turn(self, numbers: dict[str, float], *, ready: bool, said: str = "") -> None:
        """Take note of a turn."""
        self.turned, self.ready, self.said, self.numbers = self.monotonic(), ready, said, numbers
        if self.pages is not None:
            self.pages.own.update(numbers)

    def page(self, path: str, accept: str) -> tuple[int, str, str] | None:
        """Return a page of the small server."""
        if path == "/metrics":
            modern = "application/openmetrics-text" in accept
            watched = "".join(f"{line}\n" for line in self.watched(modern))
            if self.pages is not None:
                body, kind = self.pages.page(modern)
                return 200, kind, watched + body.decode()
            kind = "application/openmetrics-text; version=1.0.0; charset=utf-8" if modern else "text/plain; version=0.0.4; charset=utf-8"
            return 200, kind, watched + self._text() + ("# EOF\n" if modern else "")
        if path in ("/healthz", "/health", "/readyz"):
            problems = self._problems(path == "/readyz")
            return 503 if problems else 200, "application/json", json.dumps({"ok": not problems, "problems": problems}) + "\n"
        return None

    def _problems(self, asks_ready: bool) -> list[str]:
        still = self.monotonic() - self.turned
        problems = [f"the loop has stood still for {still:.0f} s"] if still > self.still else []
        if asks_ready and not self.ready:
            problems.append(self.said or "nothing has been taken over yet")
        return problems

    def _text(self) -> str:
        lines = ["# TYPE grayscope_build_info gauge", f'grayscope_build_info{{version="{__version__}"}} 1']
        for name, value in sorted(self.numbers.items()):
            counter = name.endswith("_total")
            lines += [f"# TYPE {name} {'counter' if counter else 'gauge'}", f"{name} {value:.17g}"]
        return "\n".join(lines) + "\n"
