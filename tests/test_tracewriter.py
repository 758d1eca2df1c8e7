"""Tracewriter: rows whose columns differ share a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from grayscope import tracewriter
from grayscope.trace import Trace
from grayscope.tracewriter import TraceWriter


def written(path: Path, looks: list[tuple[int, str, dict[str, object]]], arrived: list[int | None] | None = None) -> list[Path]:
    """Write one row per look; return the table's files."""
    with TraceWriter(path) as out:
        for i, (time, subject, columns) in enumerate(looks):
            order = None if arrived is None or arrived[i] is None else np.array([arrived[i]], np.int64)
            out.rows("gpu", np.array([time]), [subject], {name: np.array([value]) for name, value in columns.items()}, order)
    return sorted(path.rglob("gpu*.parquet")) + sorted(path.rglob("gpu/*.parquet"))


def agents(n: int) -> list[tuple[int, str, dict[str, object]]]:
    """Return rows of many agents in turn, each with columns of its own."""
    return [(t, f"n{a}/gpu0", {"gpu_power_watts": np.float32(t + a), f"x_{a}": float(t)}) for t in range(50) for a in range(n)]


def test_many_agents_with_other_columns_each_make_one_file(tmp_path: Path) -> None:
    looks = agents(7)
    (file,) = written(tmp_path / "t", looks)
    table = pq.read_table(file)
    assert table.column_names == ["time", "subject", "gpu_power_watts", *(f"x_{a}" for a in range(7))]
    assert not any(column.null_count for column in table.columns)
    rows = table.to_pydict()
    found = {(int(time.timestamp() * 1e6), subject): i for i, (time, subject) in enumerate(zip(rows["time"], rows["subject"], strict=True))}
    for time, subject, columns in looks:
        i = found[time, subject]
        assert {name: rows[name][i] for name in rows if name not in ("time", "subject") and rows[name][i] == rows[name][i]} == columns


def test_the_same_columns_go_on_in_the_same_file_after_a_part_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracewriter, "GROUP", 20)
    (file,) = written(tmp_path / "t", agents(4))
    assert pq.ParquetFile(file).num_row_groups == 10
    late: list[tuple[int, str, dict[str, object]]] = [*agents(4), (99, "n9/gpu0", {"x_new": 1.0})]
    first, second = written(tmp_path / "u", late)
    assert (pq.read_table(first).num_rows, pq.read_table(second).num_rows) == (200, 1)
    assert Trace.open(tmp_path / "u").tables == ("gpu",)


def test_of_two_widths_the_wider_is_kept(tmp_path: Path) -> None:
    looks: list[tuple[int, str, dict[str, object]]] = [(1, "a", {"x_total": 2.0**53 - 1}), (2, "a", {"x_total": np.float32(0.1)})]
    (file,) = written(tmp_path / "t", looks)
    assert pq.read_table(file)["x_total"].to_pylist() == [2.0**53 - 1, float(np.float32(0.1))]


def test_joined_columns_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracewriter, "WIDEST", 5)
    looks: list[tuple[int, str, dict[str, object]]] = [(t, "a", {f"x_{t}": 1.0}) for t in range(9)]
    files = written(tmp_path / "t", looks)
    assert len(files) == 3
    assert all(len(pq.read_schema(f)) == 5 for f in files)
    assert len(written(tmp_path / "u", [(0, "a", {f"x_{i}": 1.0 for i in range(9)})])) == 1


def test_rows_with_and_without_a_place_in_the_order_of_arrival_stay_apart(tmp_path: Path) -> None:
    looks: list[tuple[int, str, dict[str, object]]] = [(t, "a", {"x": 1.0}) for t in range(2)]
    files = written(tmp_path / "t", looks, [5, None])
    assert [pq.read_schema(f).names[-1] for f in files] == ["arrived", "x"]
