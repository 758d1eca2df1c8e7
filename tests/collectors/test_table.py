"""Any CSV or Parquet file becomes a trace: files, overrides and metrics."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from grayscope.errors import InputError, UsageError
from tests.collectors.importing import BASE, ROWS, Imported

# -- the plain way ------------------------------------------------------------------------------------------------------


def test_a_csv_becomes_rows_roster_and_description(tmp_path: Path) -> None:
    made = Imported(tmp_path, ROWS, BASE)
    assert made.counts == {"read": 3, "filtered": 0, "written": 3, "subjects": 2}
    assert made.frame["subject"].to_list() == ["h1/d1", "h1/d2", "h1/d1"]
    assert made.frame["drive_latency_seconds"].to_list() == pytest.approx([1e-4, 2e-4, 3e-4])
    assert made.seconds() == [0, 0, 15]
    assert made.roster.select("subject", "table", "node", "since", "until").rows() == [
        ("h1/d1", "drive", "h1", None, None),
        ("h1/d2", "drive", "h1", None, None),
    ]
    assert made.description["metrics"] == {}, "the catalogue knows this metric"
    assert made.description["tables"]["drive"] == {"counters": "cumulative"}
    assert made.description["cluster"] == "data"


def test_a_parquet_with_timestamps_and_categories_gives_the_same(tmp_path: Path) -> None:
    frame = pl.read_csv(ROWS.encode()).with_columns(pl.col("time").str.to_datetime("%Y-%m-%dT%H:%M:%SZ"), pl.col("host", "disk").cast(pl.Categorical))
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert Imported(tmp_path / "a", frame, BASE).frame.equals(Imported(tmp_path / "b", ROWS, BASE).frame)


def test_overrides_win_over_the_map(tmp_path: Path) -> None:
    made = Imported(tmp_path, ROWS, BASE.replace('name = "drive"', 'name = "drive"\nperiod_s = 15\nnote = "n"'), cluster="other", note="mine", period_s="30")
    assert (made.table.cluster, made.table.note, made.description["tables"]["drive"]["period_s"]) == ("other", "mine", 30)


@pytest.mark.parametrize(
    ("override", "message"), [({"cluter": "x"}, "did you mean 'cluster'"), ({"period_s": "soon"}, "seconds above 0"), ({"labels": "x"}, "no .truth.")]
)
def test_wrong_overrides_are_refused(tmp_path: Path, override: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Imported(tmp_path, ROWS, BASE, **override)


# -- input --------------------------------------------------------------------------------------------------------------


def test_separator_null_values_and_renames_even_of_the_empty_name(tmp_path: Path) -> None:
    data = "time;;disk;latency\n2024-01-01T00:00:00Z;h1;d1;n/a\n2024-01-01T00:00:15Z;h1;d1;7\n"
    extra = '[input]\nseparator = ";"\nnull_values = ["n/a"]\nrename = {"" = "host"}\n'
    made = Imported(tmp_path, data, BASE + extra)
    assert made.counts["empty"] == 1
    assert made.counts["written"] == 1
    assert made.frame["subject"].to_list() == ["h1/d1"]


def test_the_format_can_be_said_where_the_suffix_does_not(tmp_path: Path) -> None:
    path = tmp_path / "data.log"
    path.write_text(ROWS)
    with pytest.raises(InputError, match=r"data.log: format: expected one of .csv"):
        Imported(tmp_path, path, BASE)
    assert Imported(tmp_path, path, BASE + '[input]\nformat = "csv"\n').counts["written"] == 3


def test_split_makes_columns_and_counts_what_does_not_fit(tmp_path: Path) -> None:
    data = 'time,pair,bw\n2024-01-01T00:00:00Z,"a, b",1\n2024-01-01T00:00:00Z,a,2\n2024-01-01T00:00:00Z,"a,b,c",3\n'
    text = """
[table]
name = "path"
[input]
split = {pair = {by = ",", into = ["x", "y"]}}
[time]
column = "time"
[subject]
name = "{x}>{y}"
crosses = ["{x}", "node:{y}"]
[metrics.path_bandwidth_bytes_per_second]
column = "bw"
"""
    made = Imported(tmp_path, data, text)
    assert made.counts["bad_split"] == 2
    assert made.roster.select("subject", "crosses").rows() == [("a>b", ["a", "node:b"])]


# -- metrics ------------------------------------------------------------------------------------------------------------


def test_new_metrics_are_described_and_known_ones_completed(tmp_path: Path) -> None:
    extra = """peers = ["rack"]
[metrics.queue_length]
column = "latency"
unit = "1"
worse = "higher"
side = "service"
load = "drive_throughput_bytes_per_second"
"""
    made = Imported(tmp_path, ROWS, BASE + extra)
    known, new = made.description["metrics"]["drive_latency_seconds"], made.description["metrics"]["queue_length"]
    assert (known["peers"], known["unit"], known["mode"], known["table"]) == (["rack"], "s", "slow_drive", "drive")
    assert new == {"unit": "1", "worse": "higher", "side": "service", "load": "drive_throughput_bytes_per_second", "table": "drive"}


def test_a_known_metric_in_a_table_of_its_own(tmp_path: Path) -> None:
    made = Imported(tmp_path, ROWS, BASE.replace('name = "drive"', 'name = "host"').replace("drive_latency_seconds", "step_seconds"))
    assert made.description["metrics"]["step_seconds"]["table"] == "host"


def test_an_alias_brings_its_factor(tmp_path: Path) -> None:
    made = Imported(
        tmp_path, ROWS, BASE.replace("drive_latency_seconds", "DCGM_FI_DEV_SM_CLOCK").replace("1e-6", "1").replace('name = "drive"', 'name = "gpu"')
    )
    assert made.frame['gpu_clock_hertz{domain="sm"}'].to_list() == [1e8, 2e8, 3e8]


def test_counters_keep_64_bits_gauges_32(tmp_path: Path) -> None:
    extra = '[metrics.x_total]\ncolumn = "latency"\ntype = "counter"\nworse = "higher"\n'
    made = Imported(tmp_path, ROWS.replace(",100", ",9007199254740991"), BASE + extra)
    assert made.frame["x_total"][0] == 9007199254740991
    assert made.frame.schema["drive_latency_seconds"] == pl.Float32


def test_zero_is_missing_only_where_said_and_odd_cells_are_counted(tmp_path: Path) -> None:
    data = "time,host,disk,latency,other\n2024-01-01,h,1,0,0\n2024-01-01,h,2,inf,1\n2024-01-01,h,3,broken,1\n2024-01-01,h,4,1e300,1\n2024-01-01,h,5, 5 ,\n"
    made = Imported(tmp_path, data, BASE + 'zero_is_missing = true\n[metrics.other_seconds]\ncolumn = "other"\n')
    assert made.counts["bad_value"] == 2
    assert made.frame["drive_latency_seconds"].is_nan().to_list() == [True, True, True, True, False]
    assert made.frame["other_seconds"].to_list()[:4] == [0, 1, 1, 1]
