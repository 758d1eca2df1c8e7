"""Runshown: how a notebook shows a run: how many incidents there are, and a table of the gravest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grayscope.incident import SEVERITIES
from grayscope.markup import esc, table
from grayscope.wording import utc

if TYPE_CHECKING:
    import polars as pl

#: Incidents that are listed.
LISTED = 30


def counted(incidents: pl.DataFrame, rows: int) -> str:
    """Return how many incidents of each severity there are, how many are open, and of how many rows.

    Examples
    --------
    >>> import polars
    >>> counted(polars.DataFrame({"severity": ["page", "notice", "page"], "ended": [1, None, 2]}), 1000)
    '2 pages, 1 notice; 1 open; 1,000 rows'
    """
    severity = incidents["severity"]
    count = {s: int((severity == s).sum()) for s in reversed(SEVERITIES)}
    told = ", ".join(f"{n} {s}{'s' if n > 1 else ''}" for s, n in count.items() if n) or "nothing"
    return f"{told}; {incidents['ended'].null_count()} open; {rows:,} rows"


def shown(name: str, words: str, incidents: pl.DataFrame) -> str:
    """Return a run as HTML, its gravest incidents first."""
    import polars

    grave, moments = polars.col("severity").replace({s: str(n) for n, s in enumerate(reversed(SEVERITIES))}), polars.col("noticed", "ended")
    first = incidents.sort(grave, "noticed", "id").head(LISTED).with_columns(moments.dt.timestamp("us"))
    told = first.select("id", "severity", "subject", "mode", "noticed", "ended", "summary").rows()
    rows = [(i, severity, subject, mode or "", utc(at), "open" if end is None else utc(end), words) for i, severity, subject, mode, at, end, words in told]
    left = incidents.height - len(rows)
    more = f"<p>{left:,} more</p>" if left else ""
    listed = table(("id", "severity", "first suspect", "mode", "noticed", "ended", "in words"), rows) if rows else ""
    return f"<div><b>{esc(name)}</b>: {esc(words)}{listed}{more}</div>"
