"""Prometheus: series of a Prometheus server over its HTTP API: a range as a trace, or the present moment live."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlencode

import numpy as np
from numpy.typing import NDArray

from grayscope.catalogue import Catalogue
from grayscope.errors import GrayscopeError, InputError, Retry, UsageError, shorten
from grayscope.message import Message
from grayscope.rates import Rates
from grayscope.tracewriter import TraceWriter

from ._http import RefusedError, check_url, fetch
from ._live import Live
from ._naming import Naming
from ._series import Look, Series

TOKEN = "GRAYSCOPE_PROMETHEUS_TOKEN"  # noqa: S105 - the variable's name
#: The server refuses more points per series (its own limit) and gets slow with more per answer.
PER_SERIES, PER_ANSWER = 11_000, 50_000
LARGEST = 256 << 20
#: Names asked for in one live query, and series that are remembered before they are met anew.
NAMES, MOST_KNOWN = 40, 1 << 21
PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)
SECOND = 1_000_000


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
        Microseconds between samples; best the scrape interval.
    match : sequence of str
        Further matchers, such as ``cluster="a"``.
    timeout : float
        Seconds for one answer.
    clock, sleep : callable
        Seconds since 1970, and how to wait before a retry.
    """

    def __init__(
        self, url: str, start: int = 0, end: int = 0, step: int = 10 * SECOND, match: Sequence[str] = (), *, timeout: float = 30.0,
        clock: Callable[[], float] = time.time, sleep: Callable[[float], None] = time.sleep, catalogue: Catalogue | None = None,
    ) -> None:  # fmt: skip
        self.url = check_url(url).rstrip("/")
        if step < 1000:
            raise UsageError(f"prometheus: step: expected at least 1 ms, found {step} us")
        if end < start:
            raise UsageError(f"prometheus: expected an end after the start, found {(start - end) / 1e6:g} s before it")
        self.start, self.end, self.step = start, end, step
        self.match = [_matcher(m) for m in match]
        self.timeout, self.clock, self.sleep = timeout, clock, sleep
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
        for first, last in self._pages(names):
            self._begin()
            look = _join([self._look(self._range(name, first, last)) for name in names])
            self._page(writer, look, counts)
            if progress is not None:
                progress(last, counts["rows"])
        counts["series"] = len(self.live.series.cell)
        return {**counts, **{f"rejected: {k}": n for k, n in sorted(self.rejected.items())}}

    def _page(self, writer: TraceWriter, look: Look, counts: dict[str, int]) -> None:
        series = self.live.series
        roster = series.changes(look)
        writer.roster(roster)
        counts["pages"] += 1
        counts["roster"] += len(roster)
        for long in series.settle(look):
            writer.describe(tables={long.table: {"period_s": self.step / 1e6, "counters": "cumulative"}})
            counts["samples"] += len(long.values)
            for times, subjects, columns in series.wide(long):
                writer.rows(long.table, times, subjects, columns)
                counts["rows"] += len(times)

    def _names(self, start: int, end: int) -> list[str]:
        """Return the names that both the server and the catalogue know, the preferred of several first."""
        known = self.live.series.naming.names()
        found = self._ask("label/__name__/values", {"start": _s(start), "end": _s(end)})
        if not isinstance(found, list):
            raise InputError.at(self.url, "names", "a list", found)
        return sorted({n for n in found if isinstance(n, str) and n in known}, key=lambda n: (known[n], n))

    def _pages(self, names: list[str]) -> list[tuple[int, int]]:
        """Cut the range into pages whose answers stay below what the server gives gladly."""
        most = max((self._size(name) for name in names), default=0)
        steps = max(1, min(PER_SERIES, PER_ANSWER // max(1, most)))
        length = (steps - 1) * self.step
        return [(t, min(t + length, self.end)) for t in range(self.start, self.end + 1, length + self.step)] if names else []

    def _size(self, name: str) -> int:
        """Return about how many series a name has, looking at some hundred moments of the range."""
        step = max(self.step, (self.end - self.start) // 200)
        found = self._ask("query_range", {"query": f"count({self._select(name)})", "start": _s(self.start), "end": _s(self.end), "step": _s(step)})
        counted = _numbers([v for r in _results(found, self.url) for _, v in r["values"]])
        return int(np.nan_to_num(counted, posinf=PER_ANSWER).max(initial=0))

    def _range(self, name: str, first: int, last: int) -> list[dict[str, Any]]:
        form = {"query": self._select(name), "start": _s(first), "end": _s(last), "step": _s(self.step)}
        return _results(self._ask("query_range", form), self.url)

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
        return _results(self._ask("query", {"query": selector, "time": _s(now)}), self.url, "value")

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
                times = np.rint(_numbers([t for t, _ in pairs], 1e12) * 1e6).astype(np.int64) if now is None else np.full(1, now)
                looks.append(Look(np.full(len(pairs), number, np.int32), times, _numbers([v for _, v in pairs])))
        return _join(looks)

    def _number(self, labels: dict[str, str]) -> int:
        key = tuple(sorted(labels.items()))
        number = self._known.get(key)
        if number is None:
            number = self._known[key] = self.live.series.add(labels.get("__name__", ""), labels)
        return number

    def _ask(self, what: str, form: dict[str, str]) -> Any:
        """Return the data of an answer; patient with a busy server, clear about its errors."""
        headers = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
        if token := os.environ.get(TOKEN):
            headers["Authorization"] = f"Bearer {token.strip()}"
        url = f"{self.url}/api/v1/{what}"
        data: bytes | None = urlencode(form).encode()
        if what.startswith("label/"):  # the one route that does not take POST
            url, data = f"{url}?{urlencode(form)}", None
        for pause in (*PAUSES, None):
            try:
                body, whole = fetch(url, data=data, headers=headers, timeout=self.timeout, limit=LARGEST)
                break
            except Retry as busy:
                if pause is None:
                    raise GrayscopeError(f"{busy}: still busy after {len(PAUSES)} retries") from None
                self.sleep(max(pause, busy.retry_after))
            except RefusedError as error:
                raise GrayscopeError(_told(error)) from None
        return _data(body, whole, self.url)


def _told(error: RefusedError) -> str:
    """Return what the server says about its error: the API puts it into the body."""
    try:
        said = json.loads(error.body)
        return f"{error}: {shorten(said['errorType'], 40)}: {shorten(said['error'], 400)}"
    except (ValueError, KeyError, TypeError, RecursionError):
        hint = f": expected a token in {TOKEN}" if error.code in (401, 403) else ""
        return f"{error}{hint}"


def _data(body: bytes, whole: bool, url: str) -> Any:
    if not whole:
        raise InputError(f"{url}: the answer was cut off after {len(body)} bytes")
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{url}: not a Prometheus server? expected JSON, found {shorten(body[:80])}") from error
    if not isinstance(answer, dict) or answer.get("status") != "success":
        raise InputError.at(url, "status", "success", answer.get("error") if isinstance(answer, dict) else answer)
    return answer.get("data")


def _results(data: Any, url: str, key: str = "values") -> list[dict[str, Any]]:
    """Return the series of an answer, checked for the shape that the rest relies on."""
    results = data.get("result") if isinstance(data, dict) else None
    if not isinstance(results, list):
        raise InputError.at(url, "result", "a list of series", data)
    for result in results:
        labels = result.get("metric") if isinstance(result, dict) else None
        if not isinstance(labels, dict) or not all(isinstance(v, str) for v in labels.values()):
            raise InputError.at(url, "result", "series with metric and labels", result)
        pairs = [result.get(key)] if key == "value" else result.get(key)
        if not isinstance(pairs, list) or not all(isinstance(p, list) and len(p) == 2 for p in pairs):
            raise InputError.at(url, f"series {shorten(labels.get('__name__'))}", f"{key} as [time, value]", pairs)
    return results


def _numbers(given: list[Any], most: float = np.inf) -> NDArray[np.float64]:
    try:
        found = np.array(given, np.float64)
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError.at("prometheus", "a sample", "[time, value] as numbers", error) from error
    if most < np.inf and not (np.abs(found) <= most).all():
        raise InputError.at("prometheus", "a sample's time", "seconds since 1970", found.tolist()[:3])
    return found


def _join(looks: list[Look]) -> Look:
    if not looks:
        return Look(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0))
    return Look(*(np.concatenate(parts) for parts in zip(*looks, strict=True)))


def _matcher(text: str) -> str:
    """Check one matcher of a selector."""
    inner = text.strip().removeprefix("{").removesuffix("}")
    if not re.fullmatch(r'[a-zA-Z_]\w*\s*(?:=|!=|=~|!~)\s*"(?:[^"\\]|\\.)*"', inner):
        raise UsageError(f'prometheus: match: expected something like cluster="a", found {shorten(text)!r}')
    return inner


def _s(time: int) -> str:
    """Return microseconds as the API's seconds.

    Examples
    --------
    >>> _s(1_700_000_000_500_000)
    '1700000000.500000'
    """
    return f"{time // SECOND}.{time % SECOND:06d}"
