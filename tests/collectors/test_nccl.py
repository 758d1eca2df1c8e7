"""Nccl: folders, logs and RAS of a made-up node become the table of ranks; the late one shows, whatever is missing."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from grayscope import plugins
from grayscope.batch import Batch
from grayscope.catalogue import Catalogue
from grayscope.errors import Unsupported
from grayscope.event import Event

BASE = 1_700_000_000_000_000


class Node:
    """A node whose four processes write Inspector files, and the collector that looks at it; its clock is ours."""

    def __init__(self, path: Path, *, ranked: bool = True, **settings: Any) -> None:
        self.path, self.now, self.sequence = path, 1_700_000_000.0, 100
        self.folder = path / "nccl-inspector-77"
        self.folder.mkdir()
        self.logs = path / "logs"
        self.logs.mkdir()
        for rank in range(4):
            proc = path / "proc" / str(rank + 10)
            proc.mkdir(parents=True)
            said = f"SLURM_JOB_ID=42\0RANK={rank + 8}\0LOCAL_RANK={rank}\0" if ranked else "HOME=/\0"
            (proc / "environ").write_text(said)
        self.collector = plugins.collector("nccl", self.folder, self.logs, **{"ras": "", "root": path, "node": "n017", "clock": lambda: self.now, **settings})

    def write(self, rank: int, seconds: float, *, sequence: int | None = None, **more: Any) -> None:
        body = {"coll": "AllReduce", "coll_sn": sequence or self.sequence, "coll_msg_size_bytes": 1 << 20, "coll_exec_time_us": round(seconds * 1e6),
                "coll_timing_source": "kernel_gpu", "coll_busbw_gbs": 100.0, **more}  # fmt: skip
        header = {"id": "0x9f", "comm_name": "DP Group 3", "rank": rank, "n_ranks": 4}
        line = json.dumps({"header": header, "metadata": {"hostname": "n017", "pid": rank + 10}, "coll_perf": body})
        with (self.folder / f"n017-pid{rank + 10}.log").open("a") as file:
            file.write(line + "\n")

    def step(self, late: int = 2, **more: Any) -> None:
        self.sequence += 1
        for rank in range(4):
            self.write(rank, 0.001 if rank == late else 0.003, **more)

    def look(self) -> list[Any]:
        self.now += 10
        return list(self.collector.collect())


def values(messages: list[Any], metric: str, table: str = "rank") -> dict[str, float]:
    (batch,) = [m for m in messages if isinstance(m, Batch) and m.table == table]
    row = batch.metrics.index(metric)
    return {s: round(float(v), 9) for s, v in zip(batch.subjects, batch.values[0, row], strict=True) if math.isfinite(v)}


def test_the_late_rank_shows_in_wait_lateness_and_ratio(tmp_path: Path) -> None:
    node = Node(tmp_path)
    for _ in range(5):
        node.step()
    messages = node.look()
    inside = values(messages, 'collective_duration_seconds{group="dp_group",op="allreduce",size_bucket="1MiB"}')
    assert inside == {"job:42/r8": 0.003, "job:42/r9": 0.003, "job:42/r10": 0.001, "job:42/r11": 0.003}
    late = values(messages, "collective_late_seconds")
    assert late == {"job:42/r8": 0, "job:42/r9": 0, "job:42/r10": 0.002, "job:42/r11": 0}
    wait = values(messages, 'collective_wait_seconds{group="dp_group"}')
    assert min(wait, key=lambda s: wait[s]) == "job:42/r10"
    assert values(messages, "collective_late_ratio")["job:42/r10"] == 1
    assert values(messages, "collective_transfer_seconds", "comm") == {"comm:0x9f": 0.001}
    assert node.collector.rejected == {}


def test_the_roster_leads_from_rank_to_gpu_and_communicator_and_is_told_once(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.step()
    rows = {r.subject: r for r in node.look()[0]}
    assert rows["job:42/r10"].keys == {
        "job": "42", "node": "n017", "role": "rank", "gpu": "n017/gpu2", "comm": "comm:0x9f", "dp_group": "comm:0x9f",
    }  # fmt: skip
    assert rows["comm:0x9f"].crosses == ("n017/gpu0", "n017/gpu1", "n017/gpu2", "n017/gpu3")
    node.step()
    assert not [m for m in node.look() if isinstance(m, tuple)]


def test_without_the_processes_environment_the_folder_names_the_job(tmp_path: Path) -> None:
    node = Node(tmp_path, ranked=False)
    node.step()
    assert {r.subject for r in node.look()[0]} == {"comm:0x9f", *(f"job:77/n017-{p}" for p in (10, 11, 12, 13))}


def test_every_metric_is_of_the_catalogue_and_rows_are_stamped_by_the_look(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.step()
    (rank, comm) = [m for m in node.look() if isinstance(m, Batch)]
    assert all(Catalogue.load().get(m) is not None for b in (rank, comm) for m in b.metrics)
    assert rank.times.tolist() == comm.times.tolist() == [1_700_000_010_000_000]


def test_a_rank_that_stands_still_is_told_of_until_its_process_ends(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.step()
    node.look()
    node.step()
    assert set(values(node.look(), "collective_sequence").values()) == {1}
    for rank in (0, 1, 3):
        node.write(rank, 0.003, sequence=node.sequence + 1)
    moved = values(node.look(), "collective_sequence")
    assert moved == {"job:42/r8": 1, "job:42/r9": 1, "job:42/r10": 0, "job:42/r11": 1}
    (tmp_path / "proc" / "12" / "environ").unlink()
    (tmp_path / "proc" / "12").rmdir()
    messages = node.look()
    (ended,) = [r for r in messages[0] if r.until is not None]
    assert (ended.subject, ended.until) == ("job:42/r10", int(node.now * 1e6))
    assert "job:42/r10" not in values(messages, "collective_sequence")


def test_a_new_process_of_a_rank_is_a_reset_and_a_new_row(tmp_path: Path) -> None:
    node = Node(tmp_path)
    for _ in range(2):
        node.step()
        node.look()
    for rank in range(4):
        (tmp_path / "proc" / str(rank + 10) / "environ").unlink()
        (tmp_path / "proc" / str(rank + 10)).rmdir()
    rows = node.look()[0]
    assert {r.subject for r in rows if r.until is not None} == {"comm:0x9f", *(f"job:42/r{r}" for r in range(8, 12))}
    (tmp_path / "proc" / "99").mkdir()
    (tmp_path / "proc" / "99" / "environ").write_text("SLURM_JOB_ID=42\0RANK=8\0LOCAL_RANK=0\0")
    text = (node.folder / "n017-pid10.log").read_text().splitlines()[-1].replace('"pid": 10', '"pid": 99').replace("0x9f", "0xaa").replace("102", "1")
    (node.folder / "n017-pid99.log").write_text(text + "\n")
    messages = node.look()
    again = next(r for r in messages[0] if r.subject == "job:42/r8")
    assert (again.since, again.until) == (int(node.now * 1e6), None)
    (batch,) = [m for m in messages if isinstance(m, Batch)]
    row = batch.values[0, batch.metrics.index("collective_sequence")] if "collective_sequence" in batch.metrics else np.array([np.nan])
    assert not (row > 1).any()


def test_gaps_are_records_lost_until_a_dump_says_how_many(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.step()
    node.look()
    node.sequence += 6
    node.step()
    assert set(values(node.look(), "nccl_records_dropped_total").values()) == {6}


def test_time_between_is_from_the_end_of_one_kernel_to_the_start_of_the_next_on_one_clock(tmp_path: Path) -> None:
    node = Node(tmp_path)
    for k in range(3):
        node.sequence += 1
        for rank in range(4):
            # Clocks of the ranks are an hour apart; rank 2 computes for 9 ms, the others for 7.
            start = BASE + rank * 3_600_000_000 + k * 10_000 + (2000 if rank == 2 else 0)
            stop = BASE + rank * 3_600_000_000 + k * 10_000 + 3000
            node.write(rank, (stop - start) * 1e-6, event_trace_ts={"kernel_events": [{"kernel_start_ts": start, "kernel_stop_ts": stop}]})
    found = values(node.look(), "compute_seconds")
    assert found["job:42/r10"] == pytest.approx(0.009)
    assert found["job:42/r8"] == pytest.approx(0.007)


def test_operations_that_say_nothing_of_lateness_are_counted(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.step(coll="Broadcast")
    node.step(coll_timing_source="kernel_cpu")
    assert not [m for m in node.look() if isinstance(m, Batch)]
    assert node.collector.rejected == {"not_synchronising": 4, "cpu_time": 4}


def test_one_process_with_several_gpus_is_several_ranks(tmp_path: Path) -> None:
    node = Node(tmp_path)
    file = node.folder / "n017-pid10.log"
    for rank in range(4):
        node.write(rank, 0.001)
    lines = [(node.folder / f"n017-pid{p}.log").read_text().replace(f'"pid": {p}', '"pid": 10') for p in (10, 11, 12, 13)]
    for p in (11, 12, 13):
        (node.folder / f"n017-pid{p}.log").unlink()
    file.write_text("".join(lines) * 2)
    names = {r.subject for r in node.look()[0] if r.table == "rank"}
    assert {"job:42/n017-10-1", "job:42/n017-10-2", "job:42/n017-10-3"} <= names


def test_log_lines_become_events_and_counts(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.step()
    node.look()
    lines = [
        "n017:10:20 [0] NCCL INFO NET/IB: Device 3 marked as failed. Initiating recovery? Yes (send comm=0x7f, outstandingRecovery=1)",
        "n017:10:20 [0] NCCL INFO NET/IB : Replacing QP 7",
        "[2026-06-11 10:00:00] n017:10:20 [0] transport/net_ib.cc:99 NCCL WARN NET/IB : Got completion from peer 10.0.0.7<5> with status=X(12) hca mlx5_0",
        "n017:11:20 [1] NCCL INFO NET/IB : mlx5_1:1 Got non-fatal async event: port error(10)",
        "n017:11:20 [1] NCCL INFO Connected all trees",
    ]
    (node.logs / "nccl.n017.log").write_text("\n".join(lines) + "\n")
    messages = node.look()
    events = {(m.subject, m.code): m.count for m in messages if isinstance(m, Event)}
    assert events == {("n017", "failover"): 2, ("n017/mlx5_0", "net_error"): 1, ("n017/mlx5_1", "async_event"): 1}
    with (node.logs / "nccl.n017.log").open("a") as file:
        file.write(lines[0] + "\n")
    assert values(node.look(), 'nccl_net_events_total{kind="failover"}') == {"job:42/r8": 1}


def test_prometheus_files_tell_of_gpus_while_they_are_fresh(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.now = 1_700_000_000.0
    labels = 'version="v5.1",slurm_job_id="42",node="n017",comm_name="DP Group 0",n_nodes="1",nranks="4",collective="AllReduce",message_size="4-5GB"'
    path = node.folder / "nccl_inspector_metrics_GPU-5ab.prom"
    path.write_text(f'nccl_collective_exec_time_microseconds{{{labels},gpu="GPU3",algo_proto="Ring_ll"}} 9498.47\nhalf{{')
    os.utime(path, (node.now, node.now))
    messages = node.look()
    metric = 'collective_duration_seconds{group="dp_group",op="allreduce",size_bucket="4GiB"}'
    assert values(messages, metric) == {"job:42/n017-gpu3": pytest.approx(0.00949847)}
    assert messages[0][0].keys["gpu"] == "n017/gpu3"
    node.now += 1000
    assert node.look() == []
    assert node.collector.rejected == {"no_sample": 1}


def test_a_machine_without_any_of_it_is_unsupported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NCCL_INSPECTOR_DUMP_DIR", raising=False)
    with pytest.raises(Unsupported, match="NCCL_INSPECTOR_DUMP_DIR"):
        plugins.collector("nccl", tmp_path / "none", ras="")
    with pytest.raises(Unsupported, match="HOST:PORT"):
        plugins.collector("nccl", ras="nowhere")
