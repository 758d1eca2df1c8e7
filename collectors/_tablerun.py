"""Tablerun: one pass over a file: frames go in, rows go out to the writer, what cannot be used is counted."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from grayscope.tracewriter import TraceWriter

from ._tablemap import TableMap
from ._tablenames import Names, Spans
from ._tablerows import Values, chosen, melted, split
from ._tabletime import NEVER, Clock
from ._tabletruth import Truth


class Run:
    """The state of one `write`: frames go in, rows go out to the writer."""

    def __init__(self, how: TableMap, names: Names, melting: list[str], own_truth: bool, writer: TraceWriter) -> None:
        self.map, self.names, self.melting, self.own_truth, self.writer = how, names, melting, own_truth, writer
        self.where = where = names.where
        self.clock, self.values, self.spans = Clock(self.map.time, where), Values(self.map.metrics, where), Spans(names)
        self.truth = Truth(self.map.truth, names, where) if self.map.truth else None
        melt = self.map.melt
        made = {melt.name, melt.value} if melt else set()
        self.early = [c for c in self.map.conditions if c.column not in made]
        self.late = [c for c in self.map.conditions if c.column in made]
        self.counts: Counter[str] = Counter()
        self.start = 0

    def take(self, frame: pl.DataFrame) -> None:
        """Bring one batch through all steps."""
        self.counts["read"] += frame.height
        frame, bad = split(frame, self.map)
        self.counts["bad_split"] += bad
        kept = chosen(frame, self.early, self.where)
        self.counts["filtered"] += frame.height - kept.height
        if not self.map.melt:
            self._rows(kept)
            return
        # A wide batch is melted in pieces, so that what is held stays bounded.
        step = max(1, (1 << 18) // len(self.melting))
        for begin in range(0, kept.height, step):
            long = melted(kept[begin : begin + step], self.map.melt, self.melting)
            self.counts["melted"] += long.height
            few = chosen(long, self.late, self.where)
            self.counts["filtered"] += long.height - few.height
            self._rows(few)

    def _rows(self, frame: pl.DataFrame) -> None:
        combinations = self.names.place(frame)
        frame, combinations = self._left("bad_subject", frame, combinations >= 0, combinations)
        times = self.clock.count(self.names.subject_of(combinations)) if self.clock.counting else self.clock.read(frame)
        frame, combinations, times = self._left("bad_time", frame, times != NEVER, combinations, times)
        values = self.values.read(frame)
        told = np.logical_or.reduce([np.isfinite(v) for v in values.values()])
        frame, combinations, times, *columns = self._left("empty", frame, told, combinations, times, *values.values())
        first = self.spans.take(times, combinations)
        frame, combinations, times, *columns = self._left("duplicate", frame, first, combinations, times, *columns)
        if not frame.height:
            return
        self.start = min(self.start, int(times.min())) if self.counts["written"] else int(times.min())
        self.counts["written"] += frame.height
        subjects = pa.array(list(self.names.subjects), pa.string()).take(pa.array(self.names.subject_of(combinations)))
        self.writer.rows(self.map.table, times, subjects, dict(zip(values, columns, strict=True)))
        if self.truth is not None and self.own_truth:
            self.truth.take(frame.with_columns(pl.Series("\0time", times)))

    def _left(self, reason: str, frame: pl.DataFrame, good: NDArray[np.bool_], *arrays: NDArray[Any]) -> Any:
        """Count what is not `good` under `reason` and return the rest of the frame and the arrays."""
        bad = len(good) - int(good.sum())
        if not bad:
            return frame, *arrays
        self.counts[reason] += bad
        return frame.filter(pl.Series(good)), *(a[good] for a in arrays)
