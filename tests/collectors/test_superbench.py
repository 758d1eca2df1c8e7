"""Superbench: results of nodes and samples of the monitor; which direction is worse comes from the unit in a name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given

from grayscope import plugins
from grayscope.errors import InputError
from grayscope.replaying import replay
from grayscope.trace import Trace
from grayscope.tracewriter import TraceWriter
from tests.mutations import MANY, mutated

START = 1_700_000_000_000_000


def result(node: str = "sb-01", more: dict[str, int] | None = None) -> str:
    ranks = {f"kernel-launch/event_time:{r}": 0.006 + r / 1e4 for r in range(4)}
    copies = {f"gpu-copy/dtoh:{r}": 25.0 for r in range(16)}
    flops = {f"gemm-flops/FP16_TC:{r}": 280.0 for r in range(4)}
    return json.dumps({"node": node, **ranks, **copies, **flops, "nccl-bw:default/allreduce_8_busbw:0": 188.4, "mem-bw/return_code": 0, **(more or {})})


SAMPLE = json.dumps({"time": "2021-12-06 04:19:35", "cpu_usage": 356.0, "gpu_temperature:0": 26, "gpu_temperature:1": 27, "gpu_power_limit:1": 250,
                     "gpu_corrected_ecc:0": 2, "gpu_usage:0": 56, "gpu_mem_used:1": 1024, "ib0_receive_bw": 1, "gpu_usage:1": "N/A"})  # fmt: skip


def imported(tmp_path: Path, text: str, name: str = "results.jsonl", **settings: Any) -> tuple[dict[str, int], Any]:
    (tmp_path / name).write_text(text)
    source = plugins.collector("superbench", [tmp_path / name], **{"start": START, **settings})
    with TraceWriter(tmp_path / "t") as writer:
        return source.write(writer), source


def test_a_result_is_a_row_per_gpu_and_one_for_the_node(tmp_path: Path) -> None:
    counts, _ = imported(tmp_path, result() + "\n" + result("sb-02") + "\n" + result("sb-02"))
    assert counts == {"files": 1, "rows": 15, "roster": 10, "events": 0, "rejected: more_than_gpus": 48}
    gpus = pl.read_parquet(tmp_path / "t" / "gpu.parquet").filter(pl.col("subject") == "sb-01/gpu3").to_dicts()
    assert [(g["kernel-launch/event_time"], g["gemm-flops/FP16_TC"]) for g in gpus] == [(pytest.approx(0.0063), 280.0)]
    nodes = pl.read_parquet(tmp_path / "t" / "node.parquet").filter(pl.col("subject") == "sb-02")
    assert nodes["nccl-bw:default/allreduce_8_busbw"].to_list() == [188.4, 188.4]
    assert nodes["time"].dt.epoch("us").to_list() == [START, START + 60_000_000]
    catalogue = Trace.open(tmp_path / "t").catalogue
    assert [getattr(catalogue.get(n), "worse", "") for n in ("kernel-launch/event_time", "gemm-flops/FP16_TC", "nccl-bw:default/allreduce_8_busbw")] == [
        "higher", "lower", "lower",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "worse"),
    [("a/steptime_train_float32", "higher"), ("a/throughput_train_float16", "lower"), ("mem-bw/H2D_Mem_BW", "lower"), ("kernel-launch/wall_overhead", "higher"),
     ("nccl-bw/allreduce_8_time", "higher"), ("b/mul_cost", "higher"), ("gemm-flops/INT8_TC", "lower"), ("gpu-sm-copy-bw/dtoh", "lower"), ("a/b", "none")],
)  # fmt: skip
def test_the_unit_in_a_name_says_which_direction_is_worse(name: str, worse: str) -> None:
    import grayscope.collectors.superbench as module  # type: ignore[import-not-found]

    assert module.direction(name) == worse


def test_a_benchmark_that_failed_is_the_check_s_own_verdict(tmp_path: Path) -> None:
    counts, _ = imported(tmp_path, result(more={"mem-bw/return_code": 3, "gpu-burn/return_code:0": 0}))
    assert counts["events"] == 1
    (event,) = pl.read_parquet(tmp_path / "t" / "events.parquet").to_dicts()
    assert (event["subject"], event["source"], event["code"], event["text"]) == ("sb-01", "health", "failed", "benchmark mem-bw ended with 3")


def test_samples_of_the_monitor_are_gpu_metrics_of_the_catalogue(tmp_path: Path) -> None:
    counts, source = imported(tmp_path, SAMPLE + "\n" + SAMPLE.replace(":35", ":46"), "n17.jsonl")
    assert counts == {"files": 1, "rows": 4, "roster": 2, "events": 0, "rejected: no_number": 2}
    assert source.unknown == {"cpu_usage": 2, "ib0_receive_bw": 2}
    rows = pl.read_parquet(tmp_path / "t" / "gpu.parquet").filter(pl.col("subject") == "n17/gpu0")
    assert rows["gpu_temperature"].to_list() == [26, 26]
    assert rows["time"].dt.epoch("s").to_list() == [1638764375, 1638764386]
    assert replay(tmp_path / "t").found == []


def test_lines_that_are_neither_are_counted(tmp_path: Path) -> None:
    bad = [
        "{",
        "[1]",
        "{}",
        '{"time": "yesterday", "gpu_usage:0": 1}',
        '{"node": 7}',
        '{"node": "", "a/b:0": 1}',
        '{"node": "x", "a/b:0": "y", "c/d:0": 1e300}',
    ]
    counts, _ = imported(tmp_path, "\n".join([*bad, result()]))
    assert {k: n for k, n in counts.items() if "rejected" in k} == {
        "rejected: more_than_gpus": 16, "rejected: no_number": 2, "rejected: no_record": 3, "rejected: no_time": 1, "rejected: not_json": 2,
    }  # fmt: skip


def test_a_file_that_is_not_there_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.jsonl"), TraceWriter(tmp_path / "t") as writer:
        plugins.collector("superbench", [tmp_path / "none.jsonl"]).write(writer)


def test_real_results_and_samples(shared: Path, tmp_path: Path) -> None:
    tests = shared / "data" / "fixtures" / "superbench" / "tests"
    for name, rows in (("analyzer/test_results.jsonl", 27), ("analyzer/test_generate_baseline_results.jsonl", 24), ("data/monitor/monitor.jsonl", 40)):
        with TraceWriter(tmp_path / Path(name).stem) as writer:
            assert plugins.collector("superbench", [tests / name], start=START).write(writer)["rows"] == rows
        assert [i for i in replay(tmp_path / Path(name).stem).found if i.severity == "page"] == []


@MANY
@given(mutated(result().encode(), SAMPLE.encode()))
def test_any_line_is_read_or_counted(data: bytes) -> None:
    source = plugins.collector("superbench", ["x.jsonl"], start=START)
    for line in data.decode("utf-8", "replace").split("\n"):
        try:
            said = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(said, dict) and isinstance(said.get("node"), str):
            source._result(said, "n1", START)
        elif isinstance(said, dict) and "time" in said:
            source._sample(said, Path("x.jsonl"))
    assert all("{" not in c and abs(v) <= 1e18 for found in source._cells.values() for row in found.values() for c, v in row.items())
    assert all(s.count("/") <= 1 for found in source._cells.values() for _, s in found)
