"""Inspector: the files of a job that is over: ranks are named by the communicator of all, windows by kernels or dumps."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner

from grayscope import plugins
from grayscope.tracewriter import TraceWriter

START = 1_700_000_000_000_000


def line(
    rank: int, n: int, seconds: float, *, comm: str = "0x9f", size: int = 4, name: str = "world", started: bool = False, dumped: int = START, pid: int = 0
) -> str:
    at = START + n * 1_000_000 + rank * 77
    trace = {"event_trace_ts": {"kernel_events": [{"kernel_start_ts": at, "kernel_stop_ts": at + round(seconds * 1e6)}]}} if started else {}
    return json.dumps({
        "header": {"id": comm, "comm_name": name, "rank": rank, "n_ranks": size},
        "metadata": {"inspector_output_format_version": "v4.2", "dump_timestamp_us": dumped, "hostname": f"n{rank // 2}", "pid": pid or 100 + rank},
        "coll_perf": {"coll": "AllReduce", "coll_sn": n, "coll_msg_size_bytes": 1 << 20, "coll_exec_time_us": round(seconds * 1e6), **trace},
    })  # fmt: skip


def write(folder: Path, **more: Any) -> None:
    folder.mkdir(exist_ok=True)
    for rank in range(4):
        text = "\n".join(line(rank, n, 0.001 if rank == 3 else 0.003, **more) for n in range(1, 31))
        if rank:
            (folder / f"n{rank // 2}-pid{100 + rank}.log").write_text(text + "\n")
        else:
            (folder / "n0-pid100.log.gz").write_bytes(gzip.compress(text.encode()))


def imported(tmp_path: Path, *paths: Path, **settings: Any) -> dict[str, int]:
    with TraceWriter(tmp_path / "t") as writer:
        counts: dict[str, int] = plugins.collector("inspector", paths, **settings).write(writer)
    return counts


def test_verbose_files_are_cut_by_when_kernels_began(tmp_path: Path) -> None:
    write(tmp_path / "nccl-inspector-77", started=True)
    counts = imported(tmp_path, tmp_path / "nccl-inspector-77")
    assert counts == {"files": 4, "records": 120, "windows": 4, "rows": 20, "roster": 5}
    rows = pl.read_parquet(tmp_path / "t" / "rank.parquet").fill_nan(None)
    late = rows.group_by("subject").agg(pl.col("collective_late_seconds").mean().round(6)).sort("subject")
    assert dict(late.rows()) == {"job:77/r0": 0, "job:77/r1": 0, "job:77/r2": 0, "job:77/r3": pytest.approx(0.002)}
    assert rows["time"].dt.epoch("us").min() == START
    assert rows.filter(pl.col("subject") == "job:77/r3")["collective_sequence"].drop_nulls().to_list() == [10, 10, 1]


def test_short_files_are_cut_by_when_they_were_written_and_may_be_moved(tmp_path: Path) -> None:
    write(tmp_path / "run", dumped=START + 25_000_000)
    counts = imported(tmp_path, tmp_path / "run", start=START, step=5_000_000)
    assert counts["windows"] == 1
    rows = pl.read_parquet(tmp_path / "t" / "rank.parquet")
    assert rows["time"].dt.epoch("us").unique().to_list() == [START]
    assert "job:run/r3" in rows["subject"].to_list()


def test_without_a_communicator_of_all_ranks_are_named_by_process(tmp_path: Path) -> None:
    (tmp_path / "a-pid1.log").write_text("\n".join(line(r % 2, 1, 0.002, comm=f"c{r // 2}", size=2, pid=50 + r) for r in range(4)))
    imported(tmp_path, tmp_path / "a-pid1.log", job="9")
    assert sorted(pl.read_parquet(tmp_path / "t" / "rank.parquet")["subject"]) == [f"job:9/n0-{p}" for p in range(50, 54)]


def test_one_process_with_all_gpus_is_as_many_ranks(tmp_path: Path) -> None:
    (tmp_path / "a-pid1.log").write_text("\n".join(line(r, 1, 0.002, pid=5).replace('"n1"', '"n0"') for r in range(4)))
    imported(tmp_path, tmp_path / "a-pid1.log", job="9")
    assert sorted(pl.read_parquet(tmp_path / "t" / "rank.parquet")["subject"]) == [f"job:9/r{r}" for r in range(4)]


def test_the_command_counts_what_is_no_record_and_refuses_what_holds_none(tmp_path: Path) -> None:
    write(tmp_path / "run")
    (tmp_path / "run" / "x-pid9.log").write_text("half a li\n{}\n")
    command = plugins.load("pipelines", "import")
    run = CliRunner().invoke(command, ["inspector", str(tmp_path / "run"), "--out", str(tmp_path / "t"), "--json"])
    assert json.loads(run.stdout) == {"files": 5, "records": 120, "windows": 1, "rows": 5, "roster": 5, "rejected: no_record": 1, "rejected: not_json": 1}
    run = CliRunner().invoke(command, ["inspector", str(tmp_path / "run" / "x-pid9.log"), "--out", str(tmp_path / "u")])
    assert run.exit_code != 0
    assert not (tmp_path / "u").exists()


@pytest.mark.parametrize("dumped", [0, -5, 1 << 63])
def test_a_stamp_that_is_none_is_the_file_s_last_change(tmp_path: Path, dumped: int) -> None:
    path = tmp_path / "a-pid1.log"
    path.write_text(line(0, 1, 0.002, dumped=dumped))
    imported(tmp_path, path)
    assert abs(pl.read_parquet(tmp_path / "t" / "rank.parquet")["time"].dt.epoch("us")[0] / 1e6 - path.stat().st_mtime) <= 10
