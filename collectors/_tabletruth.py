"""Tabletruth: rows of truth.parquet, from a file of labels or from a column of the data itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from ._tablemap import InputMap, TableMap, TimeMap, TruthMap
from ._tablenames import Names, as_text, fill, permuted
from ._tableread import Source
from ._tablerows import chosen
from ._tabletime import NEVER, Clock


class Truth:
    """Gather what was really wrong.

    From the data's rows: one row per subject, mode, note and `per`, from the first of its times to the last. From a
    labels file: the same, where missing times mean the whole trace.
    """

    def __init__(self, how: TruthMap, names: Names, where: str) -> None:
        self.how, self.names, self.where = how, names, where
        templates = (how.subject, how.mode, how.note, how.per, *how.also)
        self.templates = [t for t in templates if t is not None]
        self.columns = list(dict.fromkeys(c for t in self.templates for c in t.columns))
        self._clocks = {c: Clock(TimeMap(column=c), where) for c in (how.began, how.ended) if c}
        self._found: list[pl.DataFrame] = []

    def take(self, frame: pl.DataFrame) -> None:
        """Add rows of the data (or of labels); a column ``"\\0time"`` stands for times that are not given."""
        rows = chosen(frame, self.how.where, self.where)
        columns = [as_text(rows[c], self.where).alias(c) for c in self.columns]
        columns += [self._times(rows, column).alias(edge) for edge, column in (("\0began", self.how.began), ("\0ended", self.how.ended))]
        edges = pl.min("\0began"), pl.max("\0ended")
        whole = pl.DataFrame(columns)
        self._found.append(whole.group_by(self.columns, maintain_order=True).agg(edges) if self.columns else whole.select(edges))

    def _times(self, rows: pl.DataFrame, column: str | None) -> pl.Series:
        if column:
            return pl.Series(self._clocks[column].read(rows)).replace(NEVER, None)
        return rows["\0time"] if "\0time" in rows.columns else pl.Series([None], dtype=pl.Int64).new_from_index(0, rows.height)

    def rows(self, start: int) -> list[dict[str, Any]]:
        """Return the rows; what has no beginning began at `start` (µs)."""
        frame = pl.concat(self._found) if self._found else pl.DataFrame()
        texts = [fill(frame, t, self.names) for t in self.templates]
        found: dict[tuple[str | None, ...], tuple[int, int | None]] = {}
        for key, began, ended in zip(zip(*texts, strict=True), frame["\0began"], frame["\0ended"], strict=True) if frame.height else ():
            old = found.get(key, (began if began is not None else start, ended))
            begins = min(old[0], began if began is not None else start)
            found[key] = (begins, max(old[1], ended) if None not in (old[1], ended) else None)
        return [self._row(key, *times) for key, times in found.items() if key[0] and key[1]]

    def _row(self, key: tuple[str | None, ...], began: int, ended: int | None) -> dict[str, Any]:
        texts = dict(zip((id(t) for t in self.templates), key, strict=True))
        note = texts[id(self.how.note)] if self.how.note else None
        also = [a for t in self.how.also if (a := texts[id(t)])]
        return {"subject": key[0], "mode": key[1], "state": self.how.state, "began": began, "ended": ended, "also": also or None, "note": note}


def read_labels(path: Path, truth: Truth, how: TableMap, mapping: Mapping[tuple[str, str], str]) -> None:
    """Hand a labels file to `truth`, with the data's permutation of names."""
    source = Source(path, InputMap(null_values=how.input.null_values))
    extra = [c for c in (truth.how.began, truth.how.ended) if c]
    extra += [c.column for c in truth.how.where] + ([how.permute.within, how.permute.column] if how.permute else [])
    columns = list(dict.fromkeys([*truth.columns, *extra]))
    for column in columns:
        source.require(column, "[truth]")
    for frame in source.batches(columns):
        truth.take(permuted(frame, how.permute, mapping) if how.permute else frame)
