"""What is said about published real telemetry; skipped where the data folder is not there."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import polars as pl
import pytest

from grayscope.replaying import Run, replay
from grayscope.score import score
from grayscope.trace import Trace

pytestmark = pytest.mark.slow
DAY = 86_400_000_000


@pytest.fixture(scope="module")
def sets() -> ModuleType:
    """The benchmark that sums the sets up: maps, files and import in one place."""
    spec = importlib.util.spec_from_file_location("real_telemetry", Path(__file__).parents[1] / "benchmarks" / "real_telemetry.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def replayed(sets: ModuleType, shared: Path, folder: Path, name: str) -> Run:
    sets.imported(name, shared / "data" / sets.SETS[name], folder / "trace")
    return replay(folder / "trace")


def test_every_labelled_drive_is_found_and_no_other(sets: ModuleType, shared: Path, tmp_path: Path) -> None:
    run = replayed(sets, shared, tmp_path, "failslow_drives")
    truth = Trace.open(tmp_path / "trace").truth()
    assert truth is not None
    said = [{k: getattr(i, k) for k in ("id", "subject", "severity", "mode", "rivals", "history", "ended")} for i in run.found]
    first = int(np.datetime64("2022-08-13T00:00", "us").astype(np.int64))
    recall = {d: score(truth, said, 404, until=first + d * DAY).overall for d in (1, 2, 3, 5, 10, 15)}
    assert len(recall[5].found) == 18  # after five days of three hours
    assert len(recall[15].found) == 18
    assert recall[15].false == []
    assert recall[15].repeats == []
    by_day = [len(recall[d].found) for d in sorted(recall)]
    assert by_day == sorted(by_day)
    gaps = [i for i in run.found if i.mode == "monitoring_gap"]
    assert len(gaps) == 14  # one notice a night, not one per drive
    assert len(run.found) < 40


def test_gpus_that_share_a_synchronous_job_are_reported_as_their_node(sets: ModuleType, shared: Path, tmp_path: Path) -> None:
    run = replayed(sets, shared, tmp_path, "gpu_variability_resnet")
    assert {i.severity for i in run.found} <= {"ticket", "notice"}  # born slow: nobody is woken
    assert 1 <= len(run.found) <= 10
    assert all("/" not in i.subject for i in run.found)


def test_the_nodes_that_were_never_as_fast_as_any_other_are_told_and_nobody_else(sets: ModuleType, shared: Path, tmp_path: Path) -> None:
    run = replayed(sets, shared, tmp_path, "gpu_variability_bert")
    rows = pl.read_parquet(tmp_path / "trace" / "gpu.parquet").with_columns(node=pl.col("subject").str.split("/").list.first())
    spans = rows.group_by("node").agg(low=pl.col("iteration_seconds").min(), high=pl.col("iteration_seconds").max()).sort("low", descending=True)
    apart = spans.head(2)["node"].to_list()
    assert spans["low"][1] > spans["high"][2:].max()  # in the data themselves: two stand apart from all others in every run
    assert {i.subject for i in run.found if i.severity != "notice"} == set(apart)
    assert {i.severity for i in run.found} <= {"ticket", "notice"}


@pytest.mark.parametrize("name", ["gpu_variability_pagerank", "training_batch_times", "nccl_pairs"])
def test_ordinary_spread_pages_nobody(sets: ModuleType, shared: Path, tmp_path: Path, name: str) -> None:
    run = replayed(sets, shared, tmp_path, name)
    assert run.counts["rows"] > 300
    assert [i.subject for i in run.found if i.severity != "notice"] == []


@pytest.mark.parametrize("name", ["workflow_runs_eht", "workflow_runs_pycbc"])
def test_throttled_disks_of_single_runs_are_found_by_their_first_task(sets: ModuleType, shared: Path, tmp_path: Path, name: str) -> None:
    run = replayed(sets, shared, tmp_path, name)
    truth = Trace.open(tmp_path / "trace").truth()
    assert truth is not None
    said = [{k: getattr(i, k) for k in ("id", "subject", "severity", "mode", "rivals", "history", "ended")} for i in run.found]
    part = score(truth, said, 24).overall
    assert (part.recall or 0) > 0.42  # half of the labels are limits on processors, which leave no trace in what a task takes
    assert (part.precision or 0) > 0.6


def test_a_probe_mesh_is_told_in_few_incidents_and_bad_nodes_as_nodes(sets: ModuleType, shared: Path, tmp_path: Path) -> None:
    run = replayed(sets, shared, tmp_path, "probe_mesh")
    pages = [i for i in run.found if i.severity == "page"]
    assert len(pages) <= 40  # of 9,702 paths over the open Internet
    left = pl.read_parquet(tmp_path / "trace" / "path.parquet").filter(pl.col("path_rtt_seconds") > 0).with_columns(pl.col("path_rtt_seconds").log())
    left = left.with_columns(
        pl.col("path_rtt_seconds") - pl.col("path_rtt_seconds").median().over("subject"), source=pl.col("subject").str.split(">").list.first()
    )
    rows = left.group_by("source", "time").agg(pl.col("path_rtt_seconds").median()).filter(pl.col("path_rtt_seconds") > 0.3).group_by("source").len()
    worst = set(rows.filter(pl.col("len") >= 40)["source"].to_list())  # a third slower over all their paths in one of eight slices
    assert worst == {"9", "28"}  # as the data say, without any detector
    assert worst <= {i.subject for i in pages} | {s for i in pages for s, _ in i.rivals}
