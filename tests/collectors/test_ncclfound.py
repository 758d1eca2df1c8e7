"""From Inspector's files to a page: a job of 16 ranks in tensor and data groups, of which one computes 10 % longer."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from grayscope import plugins
from grayscope.assembly import engine
from grayscope.settings import Settings

NODES, GPUS, LOOKS, STEPS, SICK = 4, 4, 160, 6, 6


def record(rank: int, comm: str, name: str, member: int, op: str, sequence: int, seconds: float) -> str:
    body = {"coll": op, "coll_sn": sequence, "coll_msg_size_bytes": 1 << 24, "coll_exec_time_us": round(seconds * 1e6), "coll_timing_source": "kernel_gpu"}
    header = {"id": comm, "comm_name": name, "rank": member, "n_ranks": 4}
    return json.dumps({"header": header, "metadata": {"hostname": f"n{rank // GPUS}", "pid": 1000 + rank}, "coll_perf": body})


class Job:
    """Every step all compute, tensor groups (a node each) reduce, then data groups (across nodes)."""

    def __init__(self, folder: Path) -> None:
        self.rng = np.random.default_rng(2)
        self.folder, self.step = folder, 0
        self.own = self.rng.normal(0, 0.01, (NODES, GPUS))

    def run(self, steps: int, slower: float) -> None:
        lines: list[list[str]] = [[] for _ in range(NODES * GPUS)]
        for _ in range(steps):
            self.step += 1
            compute = 0.1 * (1 + self.own + self.rng.normal(0, 0.015, self.own.shape))
            compute.flat[SICK] *= 1 + slower
            reduced = compute.max(axis=1) + 0.002 * (1 + np.abs(self.rng.normal(0, 0.05, NODES)))
            ended = reduced.max() + 0.01 * (1 + np.abs(self.rng.normal(0, 0.05, GPUS)))
            for rank in range(NODES * GPUS):
                n, g = divmod(rank, GPUS)
                lines[rank].append(record(rank, f"0xa{n}", "TP 0", g, "AllReduce", self.step, reduced[n] - compute[n, g]))
                lines[rank].append(record(rank, f"0xb{g}", "DP 1", n, "ReduceScatter", self.step, ended[g] - reduced[n]))
        for rank, some in enumerate(lines):
            with (self.folder / f"n{rank // GPUS}-pid{1000 + rank}.log").open("a") as file:
                file.write("\n".join(some) + "\n")


def pages(tmp_path: Path, slower: float) -> list[tuple[str, str]]:
    """Return (subject, mode) of every page of a run in which one rank is slower in the second half."""
    now = [1_700_000_000.0]
    collector = plugins.collector("nccl", tmp_path, ras="", job="42", root=tmp_path, node="n0", clock=lambda: now[0])
    job, running, found = Job(tmp_path), engine(Settings()), []
    for look in range(LOOKS):
        job.run(STEPS, slower if look >= LOOKS // 2 else 0)
        now[0] += 10
        for message in collector.collect():
            found += [(i.subject, i.mode) for i in running.step(message).incidents if i.severity == "page"]
    assert collector.rejected == {}
    return found


@pytest.mark.parametrize(("slower", "who"), [(0.1, {("job:42/n1-1006", "slow_rank")}), (0.0, set())])
def test_the_slow_rank_is_paged_and_a_healthy_job_is_not(tmp_path: Path, slower: float, who: set[tuple[str, str]]) -> None:
    assert set(pages(tmp_path, slower)) == who
