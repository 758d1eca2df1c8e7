"""A table's subjects: names and keys by templates, and names that are permuted."""

from __future__ import annotations

import importlib
from pathlib import Path

import polars as pl
import pytest

from tests.collectors.importing import BASE, ROWS, START, Imported


def test_keys_from_templates_and_constants_empty_ones_left_out(tmp_path: Path) -> None:
    text = BASE.replace('keys = {node = "{host}"}', 'keys = {node = "{host}", role = "data", sku = "{model}", slot = "{host}-{disk}"}')
    data = "time,host,disk,model,latency\n2024-01-01,h,1,,5\n2024-01-01,h,2,X/1,5\n"
    made = Imported(tmp_path, data, text)
    assert made.roster.select("subject", "role", "sku", "slot").rows() == [("h/1", "data", None, "h-1"), ("h/2", "data", "X_1", "h-2")]


def test_keys_that_change_become_validities(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = BASE.replace('{node = "{host}"}', '{job = "{job}"}')
    jobs = ["1", "1", "2", "2", "1"]
    data = pl.DataFrame({"time": [1_704_067_200 + 10 * k for k in range(5)], "host": "h", "disk": "d", "job": jobs, "latency": 1.0})
    monkeypatch.setattr(importlib.import_module("grayscope.collectors._tableread"), "ROWS", 2)
    made = Imported(tmp_path, data, text)
    assert made.roster.select("job", "since", "until").sort("since", nulls_last=False).rows() == [
        ("1", None, START + 20_000_000),
        ("2", START + 20_000_000, START + 40_000_000),
        ("1", START + 40_000_000, None),
    ]


def test_a_value_cannot_change_the_shape_of_a_name(tmp_path: Path) -> None:
    data = 'time,host,disk,latency\n2024-01-01,a/b,"d\n1",1\n2024-01-01,a/b,\x1b[31m,2\n2024-01-01,ok,d,3\n'
    made = Imported(tmp_path, data, BASE)
    assert made.frame["subject"].to_list() == ["a_b/_[31m", "a_b/d_1", "ok/d"]
    assert made.counts["cleaned"] == 3
    assert set(made.roster["node"]) == {"a_b", "ok"}


def test_rows_without_a_name_are_counted(tmp_path: Path) -> None:
    data = ROWS + f"2024-01-01,,d1,1\n2024-01-01,h1,{'x' * 300},1\n"
    assert Imported(tmp_path, data, BASE).counts["bad_subject"] == 2


def test_whole_floats_make_whole_names(tmp_path: Path) -> None:
    data = pl.DataFrame({"time": [1_704_067_200] * 3, "host": ["h"] * 3, "disk": [1.0, 2.5, float("nan")], "latency": [1, 1, 1]})
    made = Imported(tmp_path, data, BASE)
    assert made.frame["subject"].to_list() == ["h/1", "h/2.5"]
    assert made.counts["bad_subject"] == 1


def test_permute_changes_names_within_a_group_and_in_the_labels(tmp_path: Path) -> None:
    disks = [f"disk{k}" for k in range(1, 9)]
    data = pl.DataFrame({"time": [1_704_067_200] * 16, "host": ["h1"] * 8 + ["h2"] * 8, "disk": disks * 2, "latency": [float(k) for k in range(16)]})
    (tmp_path / "labels.csv").write_text("host,disk\nh1,disk1\nh2,disk1\nh9,disk1\n")
    text = BASE + '[truth]\nlabels = "labels.csv"\nsubject = "{host}/{disk}"\nmode = "slow_drive"\n'
    plain = Imported(tmp_path, data, text)
    permuting = text.replace("[time]", "[time]", 1).replace("keys =", 'permute = {within = "host", column = "disk", seed = 7}\nkeys =')
    made = Imported(tmp_path, data, permuting)
    again = Imported(tmp_path, data, permuting)
    other = Imported(tmp_path, data, permuting.replace("seed = 7", "seed = 8"))
    assert made.frame["subject"].to_list() == plain.frame["subject"].to_list(), "the same names"
    assert made.frame.equals(again.frame)
    assert not made.frame.equals(plain.frame)
    assert not made.frame.equals(other.frame)
    latency = {row["subject"]: round(row["drive_latency_seconds"] * 1e6) for row in made.frame.iter_rows(named=True)}
    assert made.truth is not None
    subjects = made.truth["subject"].to_list()
    assert [latency[s] for s in subjects if s in latency] == [0, 8], "the label went with its drive"
    assert made.counts["truth_unknown"] == 1
    assert "h9/disk1" in subjects


def test_the_permutation_is_fixed_for_ever() -> None:
    names = importlib.import_module("grayscope.collectors._tablenames")
    how = importlib.import_module("grayscope.collectors._tablemap").Permute("host", "disk", 7)
    found = names.permutation([("h", x) for x in "abcdef"], how)
    assert "".join(found["h", x] for x in "abcdef") == "daefcb"
