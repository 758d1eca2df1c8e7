"""The published data sets become the traces that their maps promise: rows, subjects, keys, times and truth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pytest

from grayscope import plugins
from grayscope.tracewriter import TraceWriter

MAPS = Path(__file__).parent / "maps"
PAIRWISE = "nccl_pairs/cluster/nccl-benchmark-results/pairwise/runs/20260128-010702/without-debug/summary.csv"


class Made(NamedTuple):
    """An imported trace."""

    counts: dict[str, int]
    rows: pl.LazyFrame
    roster: pl.DataFrame
    truth: pl.DataFrame
    description: dict[str, Any]


def made(shared: Path, folder: Path, name: str, file: str) -> Made:
    """Import one file with the map of that name."""
    table = plugins.collector("table", shared / "data" / file, MAPS / f"{name}.toml")
    with TraceWriter(folder / "t", cluster=table.cluster, note=table.note, tables=table.tables, metrics=table.metrics) as writer:
        counts = table.write(writer)
    (kind,) = table.tables
    truth = folder / "t" / "truth.parquet"
    return Made(
        counts,
        pl.scan_parquet(folder / "t" / f"{kind}.parquet"),
        pl.read_parquet(folder / "t" / "roster.parquet"),
        pl.read_parquet(truth) if truth.exists() else pl.DataFrame(),
        json.loads((folder / "t" / "trace.json").read_text()),
    )


def span(rows: pl.LazyFrame) -> tuple[str, str]:
    """First and last time."""
    first, last = rows.select(a=pl.col("time").min().dt.to_string("%F %T"), b=pl.col("time").max().dt.to_string("%F %T")).collect().row(0)
    return first, last


@pytest.mark.slow
def test_failslow_drives(shared: Path, tmp_path: Path) -> None:
    trace = made(shared, tmp_path, "failslow_drives", "failslow_drives/telemetry.parquet")
    assert trace.counts == {"read": 4_311_240, "filtered": 0, "empty": 1_321, "written": 4_309_919, "subjects": 404, "truth": 18}
    assert trace.roster["node"].n_unique() == 34
    assert (trace.roster["node"] == trace.roster["subject"].str.split("/").list.get(0)).all()
    assert span(trace.rows) == ("2022-08-13 13:00:15", "2022-08-27 16:00:00")
    labels = pl.read_csv(shared / "data/failslow_drives/labels.csv")
    assert set(trace.truth["subject"].str.split("/").list.get(0)) == set(labels["host"])
    assert (
        trace.truth.group_by(pl.col("subject").str.split("/").list.get(0).alias("host")).len().sort("host").equals(labels.group_by("host").len().sort("host"))
    )
    plain = set(labels["host"] + "/" + labels["disk"])
    assert len(plain & set(trace.truth["subject"])) < 9, "the number gives the label away no more"
    assert trace.truth["ended"].null_count() == 18
    assert trace.truth["began"].unique().dt.to_string("%F %T").to_list() == ["2022-08-13 13:00:15"]
    # A labelled drive has the values of its label, not of its name: the same multiset of medians.
    before = pl.scan_parquet(shared / "data/failslow_drives/telemetry.parquet").with_columns(subject=pl.col("host").cast(str) + "/" + pl.col("disk").cast(str))
    medians = before.filter(pl.col("subject").is_in(list(plain))).group_by("subject").agg(m=pl.median("latency") * 1e-6).collect()["m"].sort()
    name = "drive_latency_seconds"
    own = trace.rows.filter(pl.col("subject").is_in(trace.truth["subject"].to_list())).group_by("subject")
    assert own.agg(m=pl.col(name).fill_nan(None).median()).collect()["m"].sort().to_list() == pytest.approx(medians.to_list(), rel=1e-5)


@pytest.mark.parametrize(("name", "rows", "gpus", "nodes", "runs", "top"), [
    ("resnet", 1_480, 296, 74, 5, 0.157), ("bert", 1_656, 276, 69, 6, 0.191), ("pagerank", 1_240, 248, 62, 5, 2.6),
])  # fmt: skip
def test_gpu_variability(shared: Path, tmp_path: Path, name: str, rows: int, gpus: int, nodes: int, runs: int, top: float) -> None:
    trace = made(shared, tmp_path, f"gpu_variability_{name}", f"gpu_variability/frontera-{name}-agg.csv")
    assert trace.counts == {"read": rows, "filtered": 0, "written": rows, "subjects": gpus}
    assert (trace.roster.height, trace.roster["node"].n_unique(), trace.roster["uuid"].n_unique()) == (gpus, nodes, gpus)
    assert trace.roster["job"].unique().to_list() == [name]
    assert trace.roster["subject"].str.contains(r"^c\d+-\d+/gpu[0-3]$").all()
    assert trace.rows.select(pl.col("time").n_unique()).collect().item() == runs
    (metric,) = (m for m, entry in trace.description["metrics"].items() if entry["side"] == "service")
    assert trace.description["metrics"][metric] | {"mode": ""} == {
        "unit": "s",
        "worse": "higher",
        "side": "service",
        "peers": ["job"],
        "mode": "",
        "table": "gpu",
    }
    values = trace.rows.select(pl.col(metric)).collect()[metric]
    assert top / 2 < values.min() < values.max() < top


def test_training_batch_times(shared: Path, tmp_path: Path) -> None:
    trace = made(shared, tmp_path, "training_batch_times", "training_batch_times/job_2_norm.csv")
    assert trace.counts == {"read": 2_402, "filtered": 0, "duplicate": 1, "written": 2_401, "subjects": 10}
    assert span(trace.rows) == ("2020-07-01 00:00:00", "2020-07-01 00:41:25")
    assert trace.roster.select("subject", "job", "role").sort("subject").rows() == [(f"worker{k}", "job_2", "worker") for k in range(10)]
    assert trace.rows.select(pl.max("batch_time_ratio")).collect().item() == 1


def test_nccl_pairs(shared: Path, tmp_path: Path) -> None:
    trace = made(shared, tmp_path, "nccl_pairs", PAIRWISE)
    assert trace.counts == {"read": 360, "filtered": 0, "written": 360, "subjects": 45}
    assert trace.roster.height == 360, "one row per pair, test and number of GPUs"
    assert set(trace.roster["test"]) == {"alltoall_perf", "sendrecv_perf"}
    assert set(trace.roster["gpus"]) == {"1", "2", "4", "8"}
    assert all(f"{a}>{b}" == s and a < b for s, (a, b) in trace.roster.select("subject", "crosses").iter_rows())
    moments = trace.roster.group_by("since").agg(pl.col("test").n_unique(), pl.col("gpus").n_unique(), pl.len())
    assert set(moments.select("test", "gpus", "len").iter_rows()) == {(1, 1, 45)}, "at any time all pairs do the same test"
    entry = trace.description["metrics"]["path_bandwidth_bytes_per_second"]
    assert (entry["worse"], entry["peers"], entry["unit"]) == ("lower", ["test", "gpus"], "By/s")
    assert 1e10 < trace.rows.select(pl.max("path_bandwidth_bytes_per_second")).collect().item() < 1e12


@pytest.mark.slow
def test_probe_mesh(shared: Path, tmp_path: Path) -> None:
    trace = made(shared, tmp_path, "probe_mesh", "probe_mesh/rtt.parquet")
    assert trace.counts == {"read": 3_337_488, "filtered": 0, "empty": 19_629, "written": 3_317_859, "subjects": 9_702}
    assert span(trace.rows) == ("2014-01-01 00:00:00", "2014-01-01 05:43:00")
    assert all(s == f"{a}>{b}" for s, (a, b) in trace.roster.select("subject", "crosses").iter_rows())
    low, high = trace.rows.select(a=pl.min("path_rtt_seconds"), b=pl.max("path_rtt_seconds")).collect().row(0)
    assert (low, high) == (pytest.approx(0.01), pytest.approx(36.4, abs=0.1))
    assert trace.description["metrics"] == {}


@pytest.mark.parametrize(("name", "file", "rows", "filtered", "subjects", "truth", "kinds", "hosts"), [
    ("eht", "eht_imaging", 4_008, 2_004, 24, 561, 2, 4), ("pycbc", "pycbc_inference", 4_518, 4_016, 209, 506, 9, 3),
])  # fmt: skip
def test_workflow_runs(shared: Path, tmp_path: Path, name: str, file: str, rows: int, filtered: int, subjects: int, truth: int, kinds: int, hosts: int) -> None:
    trace = made(shared, tmp_path, f"workflow_runs_{name}", f"workflow_runs/{file}.parquet")
    assert trace.counts == {"read": rows + filtered, "filtered": filtered, "written": rows, "subjects": subjects, "truth": truth}
    assert trace.roster["node"].n_unique() == 24
    assert trace.roster["node"].str.contains(r"^poseidon-worker-[12]-container-\d+-\d+$").all()
    assert trace.roster["role"].n_unique() == kinds
    per_run = trace.roster.group_by("job").agg(pl.col("node").n_unique())
    assert per_run.filter(pl.col("node") > hosts).is_empty()
    assert set(trace.truth["note"]) == {"cpu_2", "cpu_3", "hdd_5", "hdd_10"}
    assert set(trace.truth["subject"]) <= set(trace.roster["node"])
    assert (trace.truth["ended"] > trace.truth["began"]).all()
    first, last = span(trace.rows)
    assert (first[:7], last[:7]) == (("2024-04", "2024-05") if name == "eht" else ("2024-03", "2024-04"))
    assert trace.rows.select(pl.min("task_seconds")).collect().item() > 20


def test_every_map_says_which_data_set_it_is_for() -> None:
    maps = sorted(m for m in MAPS.glob("*.toml") if m.stem != "sets")
    assert len(maps) >= 9
    assert all(m.read_text("utf-8").startswith("# For: ") and "Traps handled" in m.read_text("utf-8") for m in maps)
