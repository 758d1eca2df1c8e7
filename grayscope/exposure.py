"""Exposure: how many subject-weeks a run watched, from its coverage."""

from __future__ import annotations

import pyarrow as pa

WEEK = 7 * 86_400


def exposure(coverage: pa.Table) -> tuple[float, str]:
    """Return the subject-weeks of the gpu table, else of the table with the most subjects, and that table's name.

    Parameters
    ----------
    coverage : table
        As in ``coverage.parquet``.

    Examples
    --------
    >>> from datetime import datetime
    >>> row = {"table": "gpu", "expected": 14, "first": datetime(2026, 1, 1), "last": datetime(2026, 1, 8)}
    >>> exposure(pa.Table.from_pylist([row])), exposure(pa.table({}))
    ((14.0, 'gpu'), (0.0, 'nothing'))
    """
    tables: dict[str, tuple[int, float]] = {}
    for row in coverage.to_pylist():
        weeks = row["expected"] * (row["last"] - row["first"]).total_seconds() / WEEK
        tables[row["table"]] = max(tables.get(row["table"], (0, 0.0)), (row["expected"], weeks))
    name = "gpu" if "gpu" in tables else max(tables, key=lambda t: tables[t], default="nothing")
    return tables.get(name, (0, 0.0))[1], name
