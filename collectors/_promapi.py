"""Promapi: the HTTP API of Prometheus: questions, patience, errors in the server's own words, checked answers."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import numpy as np
from numpy.typing import NDArray

from grayscope.errors import GrayscopeError, InputError, Retry, UsageError, shorten

from ._http import RefusedError, check_url, fetch

TOKEN = "GRAYSCOPE_PROMETHEUS_TOKEN"  # noqa: S105 - the variable's name
LARGEST = 256 << 20
PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)
SECOND = 1_000_000
#: Moments at which a range is probed for its size.
PROBES = 200


class Api:
    """One server. A bearer token is taken from the environment variable ``GRAYSCOPE_PROMETHEUS_TOKEN``.

    Parameters
    ----------
    url : str
        Base address.
    timeout : float
        Seconds for one answer.
    sleep : callable
        How to wait before a retry.

    Raises
    ------
    GrayscopeError
        From every method: no answer, still busy after all retries, or an error in the server's own words.
    InputError
        The answer has another shape than the API's.
    """

    def __init__(self, url: str, timeout: float, sleep: Callable[[float], None] = time.sleep) -> None:
        self.url, self.timeout, self.sleep = check_url(url).rstrip("/"), timeout, sleep

    def names(self, start: int, end: int) -> list[str]:
        """Return the names of all metrics in a range, microseconds."""
        found = self._ask(f"label/__name__/values?{urlencode({'start': seconds(start), 'end': seconds(end)})}", None, PAUSES)
        if not isinstance(found, list):
            raise InputError.at(self.url, "names", "a list", found)
        return [n for n in found if isinstance(n, str)]

    def range(self, query: str, start: int, end: int, step: int) -> list[dict[str, Any]]:
        """Return the series of a range query, each with ``metric`` and ``values``."""
        form = {"query": query, "start": seconds(start), "end": seconds(end), "step": seconds(step)}
        return self._results(self._ask("query_range", form, PAUSES), "values")

    def greatest(self, query: str, start: int, end: int, step: int) -> float:
        """Return the greatest value of a query with one result, looking at some moments of the range."""
        found = self.range(query, start, end, max(step, SECOND, (end - start) // PROBES))
        return float(np.nan_to_num(numbers([v for r in found for _, v in r["values"]]), posinf=1e9).max(initial=0))

    def instant(self, query: str, time: int) -> list[dict[str, Any]]:
        """Return the series of an instant query, each with ``metric`` and ``value``; asked once, for the next look comes soon."""
        return self._results(self._ask("query", {"query": query, "time": seconds(time)}, ()), "value")

    def _ask(self, what: str, form: dict[str, str] | None, pauses: tuple[float, ...]) -> Any:
        headers = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
        if token := os.environ.get(TOKEN):
            headers["Authorization"] = f"Bearer {token.strip()}"
        data = None if form is None else urlencode(form).encode()
        for pause in (*pauses, None):
            try:
                body, whole = fetch(f"{self.url}/api/v1/{what}", data=data, headers=headers, timeout=self.timeout, limit=LARGEST)
                break
            except Retry as busy:
                if pause is None:
                    raise GrayscopeError(f"{busy}: still busy after {len(pauses)} retries") from None
                self.sleep(max(pause, busy.retry_after))
            except RefusedError as error:
                raise GrayscopeError(_told(error)) from None
        return _data(body, whole, self.url)

    def _results(self, data: Any, key: str) -> list[dict[str, Any]]:
        """Return the series of an answer, checked for the shape that the rest relies on."""
        results = data.get("result") if isinstance(data, dict) else None
        if not isinstance(results, list):
            raise InputError.at(self.url, "result", "a list of series", data)
        for result in results:
            labels = result.get("metric") if isinstance(result, dict) else None
            if not isinstance(labels, dict) or not all(isinstance(v, str) for v in labels.values()):
                raise InputError.at(self.url, "result", "series with metric and labels", result)
            pairs = [result.get(key)] if key == "value" else result.get(key)
            if not isinstance(pairs, list) or not all(isinstance(p, list) and len(p) == 2 for p in pairs):
                raise InputError.at(self.url, f"series {shorten(labels.get('__name__'))}", f"{key} as [time, value]", pairs)
        return results


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


def numbers(given: list[Any], most: float = np.inf) -> NDArray[np.float64]:
    """Return what an answer gives as numbers or texts, none beyond `most`."""
    try:
        found = np.array(given, np.float64)
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError.at("prometheus", "a sample", "[time, value] as numbers", error) from error
    if most < np.inf and not (np.abs(found) <= most).all():
        raise InputError.at("prometheus", "a sample's time", "seconds since 1970", found.tolist()[:3])
    return found


def matcher(text: str) -> str:
    """Check one matcher of a selector."""
    inner = text.strip().removeprefix("{").removesuffix("}")
    if not re.fullmatch(r'[a-zA-Z_]\w*\s*(?:=|!=|=~|!~)\s*"(?:[^"\\]|\\.)*"', inner):
        raise UsageError(f'prometheus: match: expected something like cluster="a", found {shorten(text)!r}')
    return inner


def seconds(time: int) -> str:
    """Return microseconds as the API's seconds.

    Examples
    --------
    >>> seconds(1_700_000_000_500_000)
    '1700000000.500000'
    """
    return f"{time // SECOND}.{time % SECOND:06d}"
