"""Evidenceframe: series of an incident as one polars frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from grayscope.series import Series

if TYPE_CHECKING:
    import polars as pl


def evidence_frame(series: Sequence[Series]) -> pl.DataFrame:
    """Return a row for each step of each series, in order.

    Examples
    --------
    >>> s = Series("n1/gpu0", "gpu_clock_hertz", "Hz", 3, 0, 10, (5,), (1.0,), (2.0,), (2.5,), (3.0,), 2.0)
    >>> evidence_frame([s]).select("value", "low", "median", "high", "past").rows()
    [(1.0, 2.0, 2.5, 3.0, 2.0)]
    >>> evidence_frame([]).columns
    ['metric', 'unit', 'subject', 'time', 'value', 'low', 'median', 'high', 'past', 'peers']
    """
    import polars

    text, number = polars.String, polars.Float64
    rows = [
        (s.metric, s.unit, s.subject, time, own, low, middle, high, s.past, s.peers)
        for s in series
        for time, own, low, middle, high in zip(s.times, s.own, s.low, s.middle, s.high, strict=True)
    ]
    return polars.DataFrame(
        rows, orient="row",
        schema={
            "metric": text, "unit": text, "subject": text, "time": polars.Datetime("us", "UTC"), "value": number, "low": number, "median": number,
            "high": number, "past": number, "peers": polars.Int64,
        },
    )  # fmt: skip
