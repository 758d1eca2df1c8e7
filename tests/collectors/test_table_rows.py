"""A table's rows: which are kept, melted, repeated; batches do not show."""

from __future__ import annotations

import importlib
from pathlib import Path

import polars as pl
import pytest

from grayscope.errors import InputError
from tests.collectors.importing import BASE, Imported


@pytest.mark.parametrize(
    ("where", "kept"),
    [
        ('kind = "b"', [2]),
        ('kind = ["a", "b"]', [1, 2]),
        ('kind = {not = "a"}', [2]),
        ('kind = {not = ["a", "b"]}', []),
        ("kind = {null = true}", [3]),
        ("kind = {null = false}", [1, 2]),
        ("latency = {above = 1}", [2, 3]),
        ("latency = {at_least = 2, below = 3}", [2]),
        ("latency = {at_most = 1}", [1]),
        ("latency = 3", [3]),
        ('ok = true\nkind = ["a", "b"]', [1]),
        ('"" = "x"', [1, 3]),
    ],
)
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_conditions(tmp_path: Path, where: str, kept: list[int], kind: str) -> None:
    csv = "time,host,disk,latency,kind,ok,\n2024-01-01T00:00:00Z,h,d1,1,a,true,x\n2024-01-01T00:00:00Z,h,d2,2,b,false,y\n2024-01-01T00:00:00Z,h,d3,3,,true,x\n"
    data = csv if kind == "csv" else pl.read_csv(csv.encode())
    text = f"{BASE}[where]\n{where}\n"
    if not kept:
        with pytest.raises(InputError, match="3 filtered"):
            Imported(tmp_path, data, text)
        return
    made = Imported(tmp_path, data, text)
    assert [round(x * 1e6) for x in made.frame["drive_latency_seconds"]] == kept
    assert made.counts["filtered"] == 3 - len(kept)


@pytest.mark.parametrize("how", ['columns = ["it_0", "it_1", "it_2"]', 'prefix = "it_"', 'keep = ["job"]'])
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_melt(tmp_path: Path, how: str, kind: str) -> None:
    csv = "job,it_0,it_1,it_2\na,0.1,0.2,0.3\nb,1.5,0,\n"
    text = f"""
[table]
name = "job"
[melt]
{how}
name = "iteration"
value = "spread"
[time]
index = "order"
start = "2024-01-01T00:00:00Z"
step_s = 1
[input]
split = {{}}
[subject]
name = "job:{{job}}"
keys = {{iteration = "{{iteration}}"}}
[where]
iteration = {{not = "it_9"}}
[metrics.spread_ratio]
column = "spread"
zero_is_missing = true
""".replace('index = "order"', "rows = true")
    made = Imported(tmp_path, csv if kind == "csv" else pl.read_csv(csv.encode()), text)
    assert made.counts == {"read": 2, "filtered": 0, "melted": 6, "empty": 2, "written": 4, "subjects": 2}
    assert made.frame.sort("subject", "time")["spread_ratio"].to_list() == pytest.approx([0.1, 0.2, 0.3, 1.5])
    assert set(made.roster["iteration"]) == ({"0", "1", "2"} if "prefix" in how else {"it_0", "it_1", "it_2"})


def test_rows_that_repeat_time_and_subject_are_counted_the_first_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    times = [10, 10, 20, 10, 20, 30]
    data = pl.DataFrame({"time": [1_704_067_200 + t for t in times], "host": "h", "disk": "d", "latency": [float(k) for k in range(6)]})
    for rows in (2, 100):
        monkeypatch.setattr(importlib.import_module("grayscope.collectors._tableread"), "ROWS", rows)
        made = Imported(tmp_path, data, BASE)
        assert [round(x * 1e6) for x in made.frame["drive_latency_seconds"]] == [0, 2, 5]
        assert made.counts["duplicate"] == 3


def test_batches_do_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = pl.DataFrame(
        {
            "time": [1_704_067_200 + (k * 7919) % 97 for k in range(500)],
            "host": [f"h{k % 3}" for k in range(500)],
            "disk": [str(k % 5) for k in range(500)],
            "latency": [float(k) for k in range(500)],
        }
    )
    whole = Imported(tmp_path, data, BASE)
    monkeypatch.setattr(importlib.import_module("grayscope.collectors._tableread"), "ROWS", 13)
    parts = Imported(tmp_path, data, BASE)
    assert parts.counts == whole.counts
    assert parts.frame.equals(whole.frame)
    assert parts.roster.equals(whole.roster)
