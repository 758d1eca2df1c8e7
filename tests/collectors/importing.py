"""A map, a few rows, and what an import of them leaves on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl

from grayscope import plugins
from grayscope.tracewriter import TraceWriter

BASE = """
[table]
name = "drive"
[time]
column = "time"
[subject]
name = "{host}/{disk}"
keys = {node = "{host}"}
[metrics.drive_latency_seconds]
column = "latency"
factor = 1e-6
"""
ROWS = "time,host,disk,latency\n2024-01-01T00:00:00Z,h1,d1,100\n2024-01-01T00:00:00Z,h1,d2,200\n2024-01-01T00:00:15Z,h1,d1,300\n"
START = 1_704_067_200_000_000


class Imported:
    """What an import left on disk."""

    def __init__(self, folder: Path, data: str | pl.DataFrame | Path, map_text: str, **overrides: Any) -> None:
        map_path, out = folder / "map.toml", folder / "trace"
        map_path.write_text(map_text, "utf-8")
        if isinstance(data, Path):
            path = data
        elif isinstance(data, str):
            path = folder / "data.csv"
            path.write_text(data, "utf-8", newline="")
        else:
            path = folder / "data.parquet"
            data.write_parquet(path)
        self.table = plugins.collector("table", path, map_path, **overrides)
        with TraceWriter(out, cluster=self.table.cluster, note=self.table.note, tables=self.table.tables, metrics=self.table.metrics, overwrite=True) as writer:
            self.counts: dict[str, int] = self.table.write(writer)
        self.description = json.loads((out / "trace.json").read_text())
        (name,) = self.table.tables
        self.frame = pl.read_parquet(out / f"{name}.parquet").with_columns(pl.col("time").cast(pl.Int64)).sort("time", "subject")
        self.roster = pl.read_parquet(out / "roster.parquet").with_columns(pl.col("since", "until").cast(pl.Int64)).sort("subject", "since")
        truth = out / "truth.parquet"
        self.truth = pl.read_parquet(truth).with_columns(pl.col("began", "ended").cast(pl.Int64)).sort("subject", "began") if truth.exists() else None

    def seconds(self) -> list[float]:
        """Times of the rows in seconds after 2024 began."""
        return [(t - START) / 1e6 for t in self.frame["time"]]
