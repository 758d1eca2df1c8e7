"""Truth beside a table: from labels or from a column."""

from __future__ import annotations

import importlib
from pathlib import Path

import polars as pl
import pytest

from tests.collectors.importing import BASE, ROWS, START, Imported


def test_truth_from_a_labels_file_holds_from_the_start(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("host,disk,why\nh1,d2,worn\n")
    text = BASE + '[truth]\nlabels = "labels.csv"\nsubject = "{host}/{disk}"\nmode = "slow_drive"\nnote = "{why}"\nalso = ["{host}"]\n'
    made = Imported(tmp_path, ROWS, text)
    assert made.truth is not None
    assert made.truth.select("subject", "mode", "state", "began", "ended", "note", "also").rows() == [
        ("h1/d2", "slow_drive", "gray", START, None, "worn", ["h1"])
    ]
    assert made.counts["truth"] == 1


def test_labels_elsewhere_with_times_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "else").mkdir()
    labels = tmp_path / "else" / "l.csv"
    labels.write_text("drive,from,to,sure\nh1/d2,2024-01-01T00:00:05Z,2024-01-01T00:00:09Z,1\nx,,,0\n")
    text = BASE + '[truth]\nlabels = "none.csv"\nsubject = "h1/d2"\nmode = "slow_drive"\nstate = "benign"\nbegan = "from"\nended = "to"\nwhere = {sure = 1}\n'
    made = Imported(tmp_path, ROWS, text, labels=labels)
    assert made.truth is not None
    assert made.truth.select("subject", "state", "began", "ended").rows() == [("h1/d2", "benign", START + 5_000_000, START + 9_000_000)]


def test_truth_from_a_column_of_the_data_one_row_per_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = pl.DataFrame(
        {
            "time": [1_704_067_200 + t for t in (0, 10, 20, 30, 40)],
            "end": [1_704_067_200.0 + t for t in (9, 19, 29, 39, 49)],
            "host": "h",
            "disk": "d",
            "run": ["1", "1", "2", "2", "3"],
            "label": ["slow", "slow", "None", None, "slow"],
            "latency": 1.0,
        }
    )
    monkeypatch.setattr(importlib.import_module("grayscope.collectors._tableread"), "ROWS", 1)
    truth = '[truth]\nsubject = "{host}"\nmode = "{label}"\nper = "{run}"\nended = "end"\nwhere = {label = {not = "None"}}\n'
    made = Imported(tmp_path, data, BASE + truth)
    assert made.truth is not None
    assert made.truth.select("subject", "mode", "began", "ended").rows() == [
        ("h", "slow", START, START + 19_000_000),
        ("h", "slow", START + 40_000_000, START + 49_000_000),
    ]
    assert "truth_unknown" not in made.counts, "a host whose disks are there is known"
