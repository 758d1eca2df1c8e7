"""What a written trace says, for tests of importers: values of one cell in order of time, as a replay reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from grayscope import plugins
from grayscope.batch import Batch
from grayscope.trace import Trace
from grayscope.tracewriter import TraceWriter


def imported(source: Any, folder: Path) -> tuple[Traced, dict[str, int]]:
    """Write an importer's trace below `folder`; return it and the counts."""
    with TraceWriter(folder) as writer:
        counts = source.write(writer)
    return Traced(folder), counts


class Traced:
    """A trace, read back."""

    def __init__(self, path: Path) -> None:
        self.trace = Trace.open(path)
        self.batches = [m for m in plugins.broker("parquet", path).receive() if isinstance(m, Batch)]

    def cells(self, metric: str, subject: str) -> list[tuple[int, float]]:
        """Return (time, value) of every reported row of a subject, NaN where a row does not say the metric."""
        return sorted(
            (int(time), float(batch.values[i, batch.metrics.index(metric), batch.subjects.index(subject)]))
            for batch in self.batches
            if metric in batch.metrics and subject in batch.subjects
            for i, time in enumerate(batch.times)
            if np.isfinite(batch.values[i, :, batch.subjects.index(subject)]).any()
        )

    def values(self, metric: str, subject: str) -> list[float]:
        """Return the values alone."""
        return [value for _, value in self.cells(metric, subject)]
