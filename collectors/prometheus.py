"""Prometheus: series of a Prometheus server over its HTTP API: a range as a trace, or the present moment live."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from grayscope.catalogue import Catalogue
from grayscope.errors import GrayscopeError, UsageError
from grayscope.message import Message
from grayscope.rates import Rates
from grayscope.roster import RosterRow
from grayscope.tracewriter import TraceWriter

from ._live import Live
from ._naming import Naming
from ._promapi import SECOND, Api, matcher, numbers
from ._rosters import closed
from ._series import Look, Series

#: The server refuses more points per series (its own limit) and gets slow with more per answer.
PER_SERIES, PER_ANSWER = 11_000, 50_000
#: Names asked for in one live query, and series that are remembered before they are met anew.
NAMES, MOST_KNOWN = 40, 1 << 21
#: Intervals at which people let Prometheus look, seconds.
USUAL = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300)


class Prometheus:
    """Reads what the catalogue knows from a Prometheus (or compatible) server.

    `write` reads a range, page by page, as it was recorded: counters as totals, columns under the source's names. `collect` looks once,
    now. A target that its server cannot reach vanishes at once; series with times of their own stay visible for five minutes, as everywhere
    in Prometheus.
    A bearer token is taken from the environment variable ``GRAYSCOPE_PROMETHEUS_TOKEN``.

    Parameters
    ----------
    url : str
        Base address, such as ``http://prometheus:9090``.
    start, end : int
        Range in microseconds, both ends included; needed by `write` only.
    step : int
        Microseconds between samples; 0 finds out how often the server looked. Finer than that would tell the same samples again
        and again, as if they were news.
    match : sequence of str
        Further matchers, such as ``cluster="a"``.
    timeout : float
        Seconds for one answer.
    clock, sleep : callable
        Seconds since 1970, and how to wait before a retry.
    """

    def __init__(
        self, url: str, start: int = 0, end: int = 0, step: int = 0, match: Sequence[str] = (), *, timeout: float = 30.0,
        clock: Callable[[], float] = time.time, sleep: Callable[[float], None] = time.sleep, catalogue: Catalogue | None = None,
    ) -> None:  # fmt: skip
        self.api = Api(url, timeout, sleep)
        if step and step < 1000:
            raise UsageError(f"prometheus: step: expected at least 1 ms, found {step} us")
        if end < start:
            raise UsageError(f"prometheus: expected an end after the start, found {(start - end) / 1e6:g} s before it")
        self.start, self.end, self.step = start, end, step
        self.match = [matcher(m) for m in match]
        self.clock = clock
        naming = Naming(catalogue)
        self.rejected, self.unknown = naming.rejected, naming.unknown
        self.live = Live(Series(naming), Rates(naming.catalogue))
        self.last_error = ""
        self._down = False
        self._known: dict[tuple[tuple[str, str], ...], int] = {}

    # -- a range --------------------------------------------------------------------------------------------------------

    def write(self, writer: TraceWriter, progress: Callable[[int, int], None] | None = None) -> dict[str, int]:
        """Write the range; return counts: names, series, samples, rows, roster rows, requests of pages, and what was not used."""
        names = self._names(self.start, self.end)
        counts = dict.fromkeys(("names", "series", "pages", "samples", "rows", "roster"), 0) | {"names": len(names)}
        self.step = self.step or self._interval(names)
        roster: list[RosterRow] = []
        for first, last in self._pages(names):
            self._begin()
            look = _join([self._look(self.api.range(self._select(name), first, last, self.step)) for name in names])
            roster += self.live.changes.rows(look)
            self._page(writer, look, counts)
            if progress is not None:
                progress(last, counts["rows"])
        writer.roster(closed(roster))
        counts |= {"series": len(self.live.series.cell), "roster": len(roster)}
        return {**counts, **{f"rejected: {k}": n for k, n in sorted(self.rejected.items())}}

    def _page(self, writer: TraceWriter, look: Look, counts: dict[str, int]) -> None:
        series = self.live.series
        counts["pages"] += 1
        for long in series.settle(look):
            writer.describe(tables={long.table: {"period_s": self.step / 1e6, "counters": "cumulative"}})
            counts["samples"] += len(long.values)
            for times, subjects, columns in series.wide(long):
                writer.rows(long.table, times, subjects, columns)
                counts["rows"] += len(times)

    def _names(self, start: int, end: int) -> list[str]:
        """Return the names that both the server and the catalogue know, the preferred of several first."""
        known = self.live.series.naming.names()
        return sorted({n for n in self.api.names(start, end) if n in known}, key=lambda n: (known[n], n))

    def _pages(self, names: list[str]) -> list[tuple[int, int]]:
        """Cut the range into pages whose answers stay below what the server gives gladly."""
        most = max((self._size(name) for name in names), default=0)
        steps = max(1, min(PER_SERIES, PER_ANSWER // max(1, most)))
        length = (steps - 1) * self.step
        return [(t, min(t + length, self.end)) for t in range(self.start, self.end + 1, length + self.step)] if names else []

    def _size(self, name: str) -> int:
        """Return about how many series a name has at a time."""
        return int(self.api.greatest(f"count({self._select(name)})", self.start, self.end, self.step))

    def _interval(self, names: list[str]) -> int:
        """Return the usual interval that comes nearest to how often the server looked."""
        counted = (self.api.greatest(f"max(count_over_time({self._select(name)}[10m]))", self.start, self.end, 0) for name in names)
        looks = next((n for n in counted if n), 0.0)
        return min(USUAL, key=lambda s: abs(math.log(s * max(looks, 1) / 600))) * SECOND

    def _select(self, name: str) -> str:
        return "{" + ",".join([f'__name__="{name}"', *self.match]) + "}"

    # -- now ------------------------------------------------------------------------------------------------------------

    def collect(self) -> list[Message]:
        """Return roster rows where somebody is new or changed, then one batch per table; nothing from a dead server."""
        now = int(self.clock() * 1e6)
        try:
            names = self._names(now - 600 * SECOND, now)
            self._begin()
            looks = [self._look(self._instant(names[i : i + NAMES], now), now) for i in range(0, len(names), NAMES)]
        except GrayscopeError as error:
            self.rejected["unreachable"] = self.rejected.get("unreachable", 0) + 1
            if not self._down:
                self.last_error = str(error)
            self._down = True
            return []
        self._down = False
        return self.live.messages(_join(looks))

    def _instant(self, names: list[str], now: int) -> list[dict[str, Any]]:
        wanted = "|".join(re.escape(n).replace("\\", "\\\\") for n in names)
        selector = "{" + ",".join([f'__name__=~"{wanted}"', *self.match]) + "}"
        return self.api.instant(selector, now)

    # -- answers --------------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        self.live.series.look += 1
        if len(self._known) > MOST_KNOWN and not self.end:
            self._known.clear()
            self.live.series.forget()

    def _look(self, results: list[dict[str, Any]], now: int | None = None) -> Look:
        """Return the samples of an answer; `now` is the stamp of an instant query's."""
        looks = []
        for result in results:
            number = self._number(result["metric"])
            if number >= 0:
                pairs = [result["value"]] if "value" in result else result["values"]
                times = np.rint(numbers([t for t, _ in pairs], 1e12) * 1e6).astype(np.int64) if now is None else np.full(1, now)
                looks.append(Look(np.full(len(pairs), number, np.int32), times, numbers([v for _, v in pairs])))
        return _join(looks)

    def _number(self, labels: dict[str, str]) -> int:
        key = tuple(sorted(labels.items()))
        number = self._known.get(key)
        if number is None:
            number = self._known[key] = self.live.series.add(labels.get("__name__", ""), labels)
        return number


def _join(looks: list[Look]) -> Look:
    if not looks:
        return Look(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0))
    return Look(*(np.concatenate(parts) for parts in zip(*looks, strict=True)))
