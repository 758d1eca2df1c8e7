"""Any CSV or Parquet file becomes a trace: every feature of the map, and every kind of bad input."""

from __future__ import annotations

import gzip
import importlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from grayscope import plugins
from grayscope.errors import InputError, UsageError
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


# -- time ---------------------------------------------------------------------------------------------------------------


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


# -- names and keys -----------------------------------------------------------------------------------------------------


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


# -- rows ---------------------------------------------------------------------------------------------------------------


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


# -- truth --------------------------------------------------------------------------------------------------------------


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


# -- hostile files ------------------------------------------------------------------------------------------------------


def test_lines_with_a_wrong_number_of_cells_are_counted_once(tmp_path: Path) -> None:
    made = Imported(
        tmp_path,
        ROWS + "2024-01-01T00:01:00Z,h1\n1,2,3,4,5,6\n" + "2024-01-01T00:01:00Z,h1,d1,9\n",
        BASE.replace("keys =", 'permute = {within = "host", column = "disk"}\nkeys ='),
    )
    assert (made.counts["bad_row"], made.counts["written"], made.counts["read"]) == (2, 4, 6)


@pytest.mark.parametrize("keep", [0, 3, 200, -1])
def test_a_truncated_parquet_is_named_and_leaves_no_trace(tmp_path: Path, keep: int) -> None:
    pl.read_csv(ROWS.encode()).write_parquet(tmp_path / "cut.parquet")
    whole = (tmp_path / "cut.parquet").read_bytes()
    (tmp_path / "cut.parquet").write_bytes(whole[:keep])
    with pytest.raises(InputError, match=r"cut\.parquet: file: expected a whole Parquet file"):
        Imported(tmp_path, tmp_path / "cut.parquet", BASE)
    assert not (tmp_path / "trace").exists()


def test_a_parquet_broken_in_the_middle(tmp_path: Path) -> None:
    data = pl.DataFrame({"time": range(1_704_067_200, 1_704_067_200 + 5000), "host": "h", "disk": "d", "latency": [(k * 7919) % 1009 / 7 for k in range(5000)]})
    data.write_parquet(tmp_path / "hole.parquet")
    whole = bytearray((tmp_path / "hole.parquet").read_bytes())
    whole[4 : len(whole) // 2] = b"\xff" * (len(whole) // 2 - 4)
    (tmp_path / "hole.parquet").write_bytes(whole)
    with pytest.raises(InputError, match=r"hole\.parquet: file: expected a whole Parquet file"):
        Imported(tmp_path, tmp_path / "hole.parquet", BASE)
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("content", [b"", b"\x00\x01\x02\xff\xfe" * 50, "time,host\n\xff,1\n".encode("latin1")])
def test_what_is_no_csv(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "odd.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"odd\.csv: "):
        Imported(tmp_path, path, BASE)


def test_bytes_that_are_no_text_cost_their_row_only(tmp_path: Path) -> None:
    path = tmp_path / "latin.csv"
    rows = ROWS + "2024-01-01T00:00:30Z,h\xe4,d1,1\n2024-01-01T00:00:30Z,h1,d\xfc,1\n2024-01-01T00:00:30Z,\xe4\n2024-01-01T00:00:30Z,h1,d1,\xe4\n"
    path.write_bytes(rows.encode("latin1"))
    made = Imported(tmp_path, path, BASE)
    assert made.counts == {"read": 7, "filtered": 0, "written": 3, "bad_subject": 2, "bad_row": 1, "bad_value": 1, "empty": 1, "subjects": 2}
    known = Imported(tmp_path, path, BASE + '[input]\nencoding = "latin-1"\n')
    assert known.counts["written"] == 5
    assert "h\xe4/d1" in known.frame["subject"].to_list()


def test_a_compressed_csv(tmp_path: Path) -> None:
    path = tmp_path / "data.csv.gz"
    path.write_bytes(gzip.compress(("\ufeff" + ROWS.replace("\n", "\r\n")).encode()))
    assert Imported(tmp_path, path, BASE).counts["written"] == 3
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"data\.csv\.gz: "):
        Imported(tmp_path, path, BASE)


def test_a_parquet_whose_texts_are_broken(tmp_path: Path) -> None:
    whole = pl.read_csv(ROWS.replace("h1", "hostname").encode())
    whole.write_parquet(tmp_path / "text.parquet", compression="uncompressed", use_pyarrow=False, statistics=False)
    content = (tmp_path / "text.parquet").read_bytes()
    assert b"hostname" in content
    (tmp_path / "text.parquet").write_bytes(content.replace(b"hostname", b"host\xff\xff\xff\xff"))
    with pytest.raises(InputError, match=r"text\.parquet: file: expected a whole Parquet file"):
        Imported(tmp_path, tmp_path / "text.parquet", BASE)


def test_a_missing_file_and_a_header_alone(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.csv: no such file"):
        Imported(tmp_path, tmp_path / "none.csv", BASE)
    with pytest.raises(InputError, match="rows: expected at least one that can be used, found an empty file"):
        Imported(tmp_path, ROWS.splitlines()[0] + "\n", BASE)


def test_a_missing_column_is_named_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"data\.csv: no column 'latency', which \[metrics\.drive_latency_seconds\] needs: did you mean 'latncy'\?"):
        Imported(tmp_path, ROWS.replace("latency", "latncy"), BASE)
    with pytest.raises(InputError, match=r"no column 'host', which \[subject\] '{host}/{disk}' needs"):
        Imported(tmp_path, ROWS.replace("host", "server"), BASE)
    with pytest.raises(InputError, match=r"no column 'hst', which \[input\] rename needs: did you mean 'host'"):
        Imported(tmp_path, ROWS, BASE + '[input]\nrename = {hst = "x"}\n')


def test_a_missing_column_of_the_labels_is_named(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("host,dsk\nh1,d2\n")
    with pytest.raises(InputError, match=r"labels\.csv: no column 'disk', which \[truth\] needs: did you mean 'dsk'"):
        Imported(tmp_path, ROWS, BASE + '[truth]\nlabels = "labels.csv"\nsubject = "{host}/{disk}"\nmode = "slow_drive"\n')


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"latency": [[1.0], [2.0]]}, r"column 'latency': expected numbers, found List"),
        ({"host": [["a"], ["b"]]}, r"column 'host': expected text or numbers, found List"),
        ({"latency": ["fast", "slow"]}, r"column 'latency' of \[metrics.drive_latency_seconds\]: expected numbers, found fast"),
        ({"time": [[1], [2]]}, r"column 'time': expected numbers, found List"),
    ],
)
def test_a_column_of_the_wrong_type_is_named(tmp_path: Path, data: dict[str, Any], message: str) -> None:
    frame = pl.DataFrame({"time": [1_704_067_200] * 2, "host": "h", "disk": ["1", "2"], "latency": 1.0}).with_columns(pl.Series(k, v) for k, v in data.items())
    with pytest.raises(InputError, match=message):
        Imported(tmp_path, frame, BASE)


def test_columns_that_occur_twice_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected every column once, found 'host' several times"):
        Imported(tmp_path, ROWS.replace("disk", "host", 1), BASE)
    with pytest.raises(InputError, match="rename: expected names that differ"):
        Imported(tmp_path, ROWS, BASE + '[input]\nrename = {time = "host"}\n')


@pytest.mark.parametrize("name", ["*", "^.*$"])
def test_column_names_that_look_like_patterns_are_only_names(tmp_path: Path, name: str) -> None:
    data = ROWS.replace("host", name)
    text = BASE.replace("{host}", f"{{{name}}}")
    with pytest.raises(InputError, match="give it another name with rename"):
        Imported(tmp_path, data, text)
    assert Imported(tmp_path, data, BASE + f'[input]\nrename = {{"{name}" = "host"}}\n').counts["written"] == 3


# -- wrong maps ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("[table]", "[tabel]"), r"map\.toml: unknown key 'tabel': did you mean 'table'\?"),
        (('name = "drive"', 'nam = "drive"'), r"\[table\]: unknown key 'nam': did you mean 'name'"),
        (("factor", "facter"), r"\[metrics\.drive_latency_seconds\]: unknown key 'facter': did you mean 'factor'"),
        (("1e-6", '"1e-6"'), r"factor: expected a number, found 1e-6"),
        (("1e-6", "0"), r"factor: expected a number other than 0"),
        (("1e-6", "nan"), r"factor: expected a number other than 0"),
        (("1e-6", "true"), r"factor: expected a number, found True"),
        (("{host}/{disk}", "{host/{disk}"), r"\[subject\] name: template: expected text with columns in braces"),
        (('column = "time"', ""), r"\[time\]: expected exactly one of column, index, rows, found none"),
        (('column = "time"', 'column = "time"\nstep_s = 1'), r"\[time\] with column: expected only column, unit, format, found step_s"),
        (('column = "time"', 'column = "time"\nunit = "min"'), r"\[time\] unit: expected one of s, ms, us, ns, found min"),
        (('column = "time"', 'index = "time"\nstart = "soon"\nstep_s = 1'), r"\[time\] start: expected a time"),
        (('column = "time"', 'index = "time"\nstart = "2024-01-01"\nstep_s = 0'), r"\[time\] step_s: expected seconds above 0"),
        (("keys = {node", "keys = {since"), r"\[subject\] keys: expected names"),
        (("[metrics.drive_latency_seconds]", "[metrics.subject]"), r"\[metrics\]: expected a metric name"),
        (("[metrics.drive_latency_seconds]", '[metrics."a b"]'), r"\[metrics\]: expected a metric name"),
        (("factor = 1e-6", 'worse = "up"'), r"drive_latency_seconds: worse: expected one of higher"),
        (("factor = 1e-6", "unit = 7"), r"unit: expected str, found 7"),
        (("factor = 1e-6", 'load = "nothing"'), r"load: expected a metric of table drive"),
        (("factor = 1e-6", "[where]\nhost = {abov = 1}"), r"\[where\.host\]: unknown key 'abov': did you mean 'above'"),
        (("factor = 1e-6", '[where]\nhost = {above = "1"}'), r"\[where\] host above: expected a number"),
        (("factor = 1e-6", "[where]\nhost = []"), r"\[where\] host in: expected a text"),
        (("factor = 1e-6", '[melt]\nname = "a"\nvalue = "b"'), r"\[melt\]: expected exactly one of columns, prefix, keep"),
        (("factor = 1e-6", '[melt]\nname = "a"\nvalue = "b"\nprefix = "zz"'), r"\[melt\]: expected at least one column"),
        (("factor = 1e-6", '[truth]\nsubject = "x"\nmode = "y"\nstate = "grey"'), r"\[truth\] state: expected one of masked, gray"),
        (("factor = 1e-6", '[metrics.DCGM_FI_DEV_SM_CLOCK]\n[metrics."gpu_clock_hertz{domain=\\"sm\\"}"]'), r"two entries are gpu_clock_hertz"),
        (("factor = 1e-6", '[melt]\nname = "a"\nvalue = "b"\nkeep = ["host"]'), r"column 'time', which \[time\] needs, is melted"),
        (('name = "drive"', 'name = "../drive"'), r"\[table\] name: expected letters"),
        (('name = "drive"', 'name = "roster"'), r"\[table\] name: expected letters"),
        (('"{host}/{disk}"', '" "'), r"\[subject\] name: expected a text, with columns in braces, found an empty text"),
        (("factor = 1e-6", '[input]\nencoding = "hex"'), r"\[input\] encoding: expected a text encoding"),
        (("factor = 1e-6", '[input]\nsplit = {host = {by = "", into = ["x"]}}'), r"\[input\] split host: expected a separator"),
        (("factor = 1e-6", "[where]\nhost = {above = nan}"), r"\[where\] host above: expected a number"),
        (("[time]", "[time"), r"map\.toml: not TOML"),
        (('name = "drive"', 'name = "drive"\nperiod_s = -1'), r"\[table\] period_s: expected seconds above 0"),
        (
            ("factor = 1e-6", '[input]\nsplit = {host = {by = ",", into = ["disk", "x"]}}'),
            r"a new column: expected a name that the file does not have, found disk",
        ),
    ],
)
def test_a_wrong_map_is_answered_with_file_section_and_key(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    assert change[0] in BASE
    with pytest.raises(InputError, match=message):
        Imported(tmp_path, ROWS, BASE.replace(*change, 1))


def test_a_map_without_metrics_or_that_is_missing_or_huge(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\[metrics\]: expected at least one metric"):
        Imported(tmp_path, ROWS, BASE.partition("[metrics")[0])
    with pytest.raises(InputError, match=r"none\.toml: cannot be read"):
        plugins.collector("table", tmp_path / "data.csv", tmp_path / "none.toml")
    with pytest.raises(InputError, match="size: expected at most"):
        Imported(tmp_path, ROWS, BASE + "#" * 2_000_000)


def test_the_example_of_the_docstring_is_a_complete_map(tmp_path: Path) -> None:
    doc = importlib.import_module("grayscope.collectors.table").__doc__ or ""
    example = doc.split("::\n", 1)[1].split("\nAll sections", 1)[0]
    (tmp_path / "labels.csv").write_text("host,disk\nh1,d1\n")
    data = "time,host,disk,latency_us,queue,kind\n2024-01-01T00:00:00Z,h1,d1,100,3,ssd\n2024-01-01T00:00:00Z,h1,d2,100,3,tape\n"
    made = Imported(tmp_path, data, "\n".join(line[4:] for line in example.splitlines()))
    assert made.counts == {"read": 2, "filtered": 1, "written": 1, "subjects": 1, "truth": 1}
    assert datetime.fromtimestamp(made.frame["time"][0] / 1e6, UTC).year == 2024
