"""Prom: Inspector's Prometheus files: one GPU's part in each group."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given

import grayscope.collectors._ncclprom as prom  # type: ignore[import-not-found]
from tests.mutations import MANY, mutated

LABELS = 'version="v5.1",slurm_job_id="42",node="n017",gpu="GPU3",comm_name="TP, \\"a\\" 1",n_nodes="1",nranks="4"'
TEXT = f"""# HELP nccl_bus_bandwidth_gbs busbw
nccl_bus_bandwidth_gbs{{{LABELS},collective="AllReduce",message_size="4-5GB",algo_proto="Ring_ll"}} 678.263
nccl_collective_exec_time_microseconds{{{LABELS},collective="AllReduce",message_size="4-5GB",algo_proto="Ring_ll"}} 9498.47
nccl_collective_exec_time_microseconds{{{LABELS},collective="Broadcast",message_size="4-5GB",algo_proto="Ring_ll"}} 1
nccl_p2p_exec_time_microseconds{{{LABELS},p2p_operation="Send",message_size="512-513MB"}} 1154.87
nccl_collectives_total{{version="v5.1",slurm_job_id="42",node="n017",gpu="GPU3"}} 1200
nccl_collectives_dropped_total{{version="v5.1",slurm_job_id="42",node="n017",gpu="GPU3"}} 7
"""


def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.prom"
    path.write_text(TEXT)
    rejected: dict[str, int] = {}
    found = {s.metric: s.value for s in prom.read(path, rejected)}
    assert found == {
        'collective_duration_seconds{group="tp_a",op="allreduce",size_bucket="4GiB"}': pytest.approx(0.00949847),
        'p2p_duration_seconds{group="tp_a",op="send"}': pytest.approx(0.00115487), "collective_sequence": 1200, "nccl_records_dropped_total": 7,
    }  # fmt: skip
    assert rejected == {}
    assert {(s.job, s.node, s.gpu) for s in prom.read(path, rejected)} == {("42", "n017", "3")}


@pytest.mark.parametrize("line", ["x", "nccl{", 'a{node="n"} 1', TEXT.splitlines()[1].replace("678.263", "NaN"), TEXT.splitlines()[1].replace("678.263", ""),
                                  TEXT.splitlines()[1].replace('nranks="4"', 'nranks="x"')])  # fmt: skip
def test_lines_that_are_no_samples_are_counted(line: str, tmp_path: Path) -> None:
    (tmp_path / "a.prom").write_text(line + "\n")
    rejected: dict[str, int] = {}
    assert prom.read(tmp_path / "a.prom", rejected) == []
    assert rejected == {"no_sample": 1}


def test_files_that_cannot_be_read_are_counted(tmp_path: Path) -> None:
    rejected: dict[str, int] = {}
    assert prom.read(tmp_path / "none", rejected) == []
    (tmp_path / "large").write_bytes(b"x" * (prom.LARGEST + 1))
    assert prom.read(tmp_path / "large", rejected) == []
    assert rejected == {"unreadable": 2}


@MANY
@given(mutated(*(line.encode() for line in TEXT.splitlines())))
def test_any_line_is_a_sample_or_not(data: bytes) -> None:
    for line in data.decode("utf-8", "replace").splitlines():
        try:
            found = prom._sample(line)
        except (ValueError, IndexError):
            found = None
        assert found is None or (0 <= found.value < math.inf and "/" not in found.node)
