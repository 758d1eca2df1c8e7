"""A table's times in every writing, type and order."""

from __future__ import annotations

import importlib
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.collectors.importing import BASE, ROWS, START, Imported


@pytest.mark.parametrize(
    ("how", "first", "second"),
    [
        ("", "2024-01-01 00:00:00", "2024-01-01 00:00:00.5"),
        ("", "2024-01-01", "2024-01-01T02:00:00.5+02:00"),
        ("", "1704067200", "1704067200.5"),
        ("", "1704067200000", "1704067200500"),
        ("", "1704067200000000", "1704067200500000"),
        ("", "1704067200000000123", "1704067200500000999"),
        ('unit = "ms"', "1704067200000", "1704067200500"),
        ('unit = "ns"', "1704067200000000000", "1704067200500000999"),
        ('format = "%d/%m/%Y %H:%M:%S%.f"', "01/01/2024 00:00:00.0", "01/01/2024 00:00:00.5"),
    ],
)
def test_times_in_many_writings(tmp_path: Path, how: str, first: str, second: str) -> None:
    text = BASE.replace('column = "time"', f'column = "time"\n{how}')
    made = Imported(tmp_path, f"time,host,disk,latency\n{first},h,d,1\n{second},h,d,2\n", text)
    assert made.frame["time"].to_list() == [START, START + 500_000]


@pytest.mark.parametrize("dtype", [pl.Datetime("ns"), pl.Datetime("ms", "Europe/Berlin"), pl.Int64, pl.Float64, pl.UInt32, pl.Date])
def test_times_of_many_types(tmp_path: Path, dtype: Any) -> None:
    seconds = dtype.is_numeric()
    moment = START // 1_000_000 if seconds else datetime(2024, 1, 1)
    times = pl.Series("time", [moment]) if seconds else pl.Series("time", [moment]).dt.replace_time_zone("UTC")
    if dtype == pl.Datetime("ms", "Europe/Berlin"):
        times = times.dt.convert_time_zone("Europe/Berlin").cast(dtype)
    else:
        times = (times if seconds else times.dt.replace_time_zone(None)).cast(dtype)
    made = Imported(tmp_path, pl.DataFrame({"time": times, "host": ["h"], "disk": [1], "latency": [1.0]}), BASE)
    assert made.frame["time"].to_list() == [START]
    assert made.frame["subject"].to_list() == ["h/1"]


def test_time_from_an_index(tmp_path: Path) -> None:
    text = BASE.replace('[time]\ncolumn = "time"', '[time]\nindex = "slice"\nindex_from = 1\nstart = 2024-01-01T00:00:00Z\nstep_s = 0.5')
    made = Imported(tmp_path, "slice,host,disk,latency\n3,h,d,1\n1,h,d,2\nx,h,d,3\n", text)
    assert made.seconds() == [0, 1]
    assert made.counts["bad_time"] == 1


def test_time_from_the_order_of_rows_of_each_subject(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = BASE.replace('[time]\ncolumn = "time"', '[time]\nrows = true\nstart = "2024-01-01T00:00:00Z"\nstep_s = 60')
    data = pl.DataFrame({"host": ["h"] * 7, "disk": list("aabbaab"), "latency": [1.0, 2, 3, 4, 5, 6, 7]})
    monkeypatch.setattr(importlib.import_module("grayscope.collectors._tableread"), "ROWS", 3)
    made = Imported(tmp_path, data, text)
    found = made.frame.group_by("subject", maintain_order=True).agg(pl.col("drive_latency_seconds") * 1e6).sort("subject")
    assert [[round(x) for x in row] for row in found["drive_latency_seconds"]] == [[1, 2, 5, 6], [3, 4, 7]]
    assert sorted(set(made.seconds())) == [0, 60, 120, 180]


def test_times_that_are_none_are_counted(tmp_path: Path) -> None:
    data = ROWS + "yesterday,h1,d1,1\n,h1,d1,2\n1969-12-31T23:59:59Z,h1,d1,3\n"
    made = Imported(tmp_path, data, BASE)
    assert made.counts["bad_time"] == 3
    assert made.counts["written"] == 3


def test_rows_may_come_in_any_order_of_time(tmp_path: Path) -> None:
    head, *rows = ROWS.splitlines(keepends=True)
    made = Imported(tmp_path, head + "".join(reversed(rows)), BASE)
    assert made.seconds() == [0, 0, 15]
    assert made.counts["written"] == 3
