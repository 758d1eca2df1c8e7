"""Kineto: traces of ranks whose clocks are hours apart name the late rank; broken files are left out by name."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given

import grayscope.collectors._kinetotext as text  # type: ignore[import-not-found]
from grayscope import plugins
from grayscope.errors import InputError
from grayscope.tracewriter import TraceWriter
from tests.mutations import MANY, mutated

BASE = 1_700_000_000_000_000_000


def kernel(ts: float, dur: float, **args: Any) -> dict[str, Any]:
    given = {"Collective name": "allreduce", "Process Group Name": "1", "Process Group Description": "TP_GROUP", "Group size": 4, "In msg nelems": 1024,
             "dtype": "BFloat16", "device": 2, **args}  # fmt: skip
    return {"ph": "X", "cat": "kernel", "name": "ncclDevKernel_AllReduce_Sum_bf16_RING_LL(x)", "pid": 0, "tid": 20, "ts": ts, "dur": dur, "args": given}


def trace(rank: int, *, late: int = 2, steps: int = 3, skip: int = 0, seq: bool = True, **more: Any) -> dict[str, Any]:
    """A rank of four: each step computes 5 ms, the late one 7, then all reduce; clocks are an hour apart."""
    events: list[dict[str, Any]] = [{"ph": "M", "name": "process_name"}, {"ph": "X", "cat": "cpu_op", "name": "nccl:all_reduce", "ts": 1, "dur": 2, "args": {}}]
    for n in range(skip, steps):
        at = rank * 3_600e6 + n * 10_000
        events.append({"ph": "X", "cat": "user_annotation", "name": f"ProfilerStep#{n + 40}", "ts": at, "dur": 9_000.0})
        wait = 0 if rank == late else 2_000
        events.append(kernel(at + 7_000 - wait, 1_000 + wait, **({"Seq": n + 100} if seq else {})))
    return {
        "schemaVersion": 1,
        "distributedInfo": {"backend": "nccl", "rank": rank, "world_size": 4},
        "baseTimeNanoseconds": BASE,
        "traceEvents": events,
        **more,
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "run7"
    path.mkdir()
    return path


def write(folder: Path, seq: bool = True) -> None:
    for rank in range(4):
        # The profiler of rank 1 began a step later.
        (folder / f"n01{rank // 2}_{rank}.17000.pt.trace.json").write_text(json.dumps(trace(rank, skip=int(rank == 1), seq=seq)))


def imported(tmp_path: Path, *paths: Path) -> dict[str, int]:
    with TraceWriter(tmp_path / "t") as writer:
        counts: dict[str, int] = plugins.collector("kineto", paths).write(writer)
    return counts


@pytest.mark.parametrize("seq", [True, False])
def test_the_late_rank_shows_by_durations_alone(folder: Path, tmp_path: Path, seq: bool) -> None:
    write(folder, seq)
    counts = imported(tmp_path, folder)
    assert (counts["files"], counts["kernels"], counts["windows"], counts["roster"]) == (4, 11, 3, 5)
    rows = pl.read_parquet(tmp_path / "t" / "rank.parquet").fill_nan(None)
    last = {r["subject"]: r for r in rows.sort("time").to_dicts()}
    late = {s: r["collective_late_seconds"] for s, r in last.items()}
    assert late == {"job:run7/r0": 0, "job:run7/r1": 0, "job:run7/r2": pytest.approx(0.002), "job:run7/r3": 0}
    assert last["job:run7/r2"]["compute_seconds"] == pytest.approx(0.009)
    assert last["job:run7/r0"]["compute_seconds"] == pytest.approx(0.007)
    assert last["job:run7/r0"]["step_seconds"] == pytest.approx(0.009)
    assert last["job:run7/r0"]['collective_duration_seconds{group="tp_group",op="allreduce",size_bucket="2KiB"}'] == pytest.approx(0.003)


def test_the_roster_leads_to_gpus_and_rows_are_stamped_by_the_first_to_begin(folder: Path, tmp_path: Path) -> None:
    write(folder)
    imported(tmp_path, folder)
    roster = {r["subject"]: r for r in pl.read_parquet(tmp_path / "t" / "roster.parquet").to_dicts()}
    assert (roster["job:run7/r3"]["gpu"], roster["job:run7/r3"]["comm"], roster["job:run7/r3"]["tp_group"]) == ("n011/gpu2", "comm:1", "comm:1")
    assert roster["comm:1"]["crosses"] == ["n010/gpu2", "n010/gpu2", "n011/gpu2", "n011/gpu2"]
    comm = pl.read_parquet(tmp_path / "t" / "comm.parquet")
    assert comm["time"].dt.epoch("us").to_list() == [BASE // 1000 + 10_000, BASE // 1000 + 20_000]
    assert comm["collective_transfer_seconds"].to_list() == pytest.approx([0.001, 0.001])


def test_a_trace_without_steps_or_groups_or_from_old_versions(folder: Path, tmp_path: Path) -> None:
    events = [kernel(1e3, 5.0), kernel(2e3, 5.0, **{"Process Group Name": ""}), kernel(2.5e6, 5.0), {**kernel(3e6, 5.0), "dur": "x"}, 7, {"ph": "X", "name": 3}]
    with gzip.open(folder / "rank_3.json.gz", "wt") as file:
        json.dump({"traceEvents": events}, file)
    counts = imported(tmp_path, folder / "rank_3.json.gz")
    assert counts == {"files": 1, "kernels": 2, "windows": 2, "rows": 2, "roster": 2, "rejected: bad_event": 1, "rejected: no_group": 1}


def test_a_broken_file_is_counted_and_alone_it_is_one_clear_error(folder: Path, tmp_path: Path) -> None:
    write(folder)
    (folder / "rank9.json").write_text('{"traceEvents": [')
    assert imported(tmp_path, folder)["rejected: broken_file"] == 1
    for body, said in (("{", "JSON"), ("[]", "traceEvents"), ('{"traceEvents": []}', "rank")):
        (tmp_path / "x.json").write_text(body)
        with pytest.raises(InputError, match=said), TraceWriter(tmp_path / "u") as writer:
            plugins.collector("kineto", [tmp_path / "x.json"]).write(writer)


@MANY
@given(mutated(json.dumps(trace(1, steps=2)).encode(), json.dumps(trace(0, steps=1, seq=False)).encode()))
def test_any_file_is_a_trace_or_one_error(data: bytes) -> None:
    try:
        found = text.read(data, Path("x.json"), {})
    except InputError as error:
        found, said = None, str(error)
    else:
        said = ""
    assert "\n" not in said
    assert len(said) < 600
    assert found is None or all(k.seconds > 0 and k.start >= 0 and k.size > 0 for k in found.kernels)
