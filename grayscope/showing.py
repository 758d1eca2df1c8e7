"""Showing: incidents and progress for a person at a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

from grayscope.errors import shorten
from grayscope.incident import SEVERITIES, Incident
from grayscope.wording import utc


def incident_lines(incidents: Iterable[Incident], details: Mapping[str, str] | None = None) -> Iterator[str]:
    """Yield one line per incident, gravest first; below it, indented, its `details` by id.

    Examples
    --------
    >>> i = Incident("ab", "n1/gpu0", "n1/gpu0", "gray", "page", "slow_rank", 0, 0, summary="n1/gpu0 is gray: ...")
    >>> list(incident_lines([i]))
    ['page    1970-01-01T00:00:00Z  n1/gpu0 is gray: ... [slow_rank, open]']
    """
    for i in sorted(incidents, key=lambda i: (-SEVERITIES.index(i.severity), i.noticed, i.id)):
        end = f"ended {utc(i.ended)}" if i.ended is not None else "open"
        yield f"{i.severity:<7} {utc(i.noticed)}  {shorten(i.summary, 400)} [{i.mode or 'mode unknown'}, {end}]"
        yield from (f"        {line}" for line in (details or {}).get(i.id, "").splitlines())


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """Give a function to call with (event time, rows); shows a line on standard error after two seconds, on a terminal only."""
    began = last = time.monotonic()

    def tell(moment: int, rows: int) -> None:
        nonlocal last
        now = time.monotonic()
        if sys.stderr.isatty() and now - began > 2 and now - last > 0.2:
            last = now
            sys.stderr.write(f"\r{what}: {utc(moment)}, {rows:,} rows, {rows / (now - began):,.0f} rows/s ")
            sys.stderr.flush()

    try:
        yield tell
    finally:
        if last != began:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
