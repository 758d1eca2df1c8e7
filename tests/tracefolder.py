"""A small trace on disk for tests, and how to spoil it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from grayscope.batch import Batch
from grayscope.brokers.parquet import Parquet
from grayscope.event import Event
from grayscope.roster import RosterRow
from grayscope.tracewriter import TraceWriter

SECOND = 1_000_000


def write(path: Path, ticks: int = 30, subjects: int = 4, extra: dict[str, Any] | None = None) -> Path:
    names = [f"n{i}/gpu0" for i in range(subjects)]
    with TraceWriter(path, tables={"gpu": {"period_s": 10}}) as out:
        times = np.repeat(np.arange(1, ticks + 1) * 10 * SECOND, subjects)
        power = np.arange(ticks * subjects, dtype=np.float32)
        out.rows("gpu", times, names * ticks, {"gpu_power_watts": power, "DCGM_FI_DEV_SM_CLOCK": power + 1000, **(extra or {})})
        out.roster(RosterRow(n, "gpu", keys={"sku": "A"}) for n in names)
        out.event(Event(15 * SECOND, "n0/gpu0", "xid", "94", "text", 2))
        out.truth([{"subject": "n0/gpu0", "mode": "thermal_throttle", "state": "gray", "began": 0, "also": ["x"]}])
    return path


def batches(path: Path) -> list[Batch]:
    return [m for m in Parquet(path).receive() if isinstance(m, Batch)]


def replace_table(path: Path, **columns: Any) -> None:
    table = pq.read_table(path / "gpu.parquet")
    for name, column in columns.items():
        table = table.drop_columns([name]) if name in table.column_names else table
        table = table.append_column(name, column)
    pq.write_table(table, path / "gpu.parquet")
