"""Prom: the text files of NCCL Inspector's Prometheus mode: means per GPU since the last dump, without ranks.

Source: NVIDIA/nccl plugins/profiler/inspector README ("Prometheus Output Mode", v5.1). The GPU with the *lowest* mean time is
the one that the others wait for; what comes and goes within a dump (30 s or more) cannot be seen.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import NamedTuple

from grayscope.collectives import SYNCHRONISING, bucket, spelled

from ._exposition import LABEL, LONGEST_LINE
from ._ncclinspector import clean
from ._ncclranks import group

LARGEST = 16 << 20
NAME = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]{0,100})\{")
SIZE = re.compile(r"(\d{1,6})(?:-\d{1,6})?(B|KB|MB|GB|TB)")
UNITS = {"B": 1, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40}


class Sample(NamedTuple):
    """One value of one GPU's part in a job; `metric` is ours, `value` in our unit."""

    job: str
    node: str
    gpu: str
    metric: str
    value: float


def read(path: Path, rejected: dict[str, int]) -> list[Sample]:
    """Return the samples of one file; lines that are none are counted in `rejected`, an unreadable or too large file as a whole."""
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError:
        data = b"x" * (LARGEST + 1)
    if len(data) > LARGEST:
        rejected["unreadable"] = rejected.get("unreadable", 0) + 1
        return []
    found = []
    for line in data.decode("utf-8", "replace").splitlines():
        try:
            sample = _sample(line) if line.strip() and not line.startswith("#") else None
        except (ValueError, IndexError):
            rejected["no_sample"] = rejected.get("no_sample", 0) + 1
            continue
        if sample is not None:
            found.append(sample)
    return found


def _sample(line: str) -> Sample | None:
    """Return a sample, None for one that we have no use for.

    Raises
    ------
    ValueError, IndexError
        It is no sample.

    Examples
    --------
    >>> _sample(
    ...     'nccl_collective_exec_time_microseconds{slurm_job_id="7",node="n1",gpu="GPU0",comm_name="DP Group 0",nranks="4",'
    ...     'collective="AllReduce",message_size="4-5GB"} 9498.5'
    ... ).metric
    'collective_duration_seconds{group="dp_group",op="allreduce",size_bucket="4GiB"}'
    """
    name = NAME.match(line[:LONGEST_LINE])
    if name is None or len(line) > LONGEST_LINE:
        raise ValueError(line[:40])
    labels, at = dict[str, str](), name.end()
    while (found := LABEL.match(line, at)) is not None:
        labels[found[1]], at = found[2], found.end()
    value, size = float(line[at:].lstrip("} ").split()[0]), int(labels.get("nranks", "1"))
    if not labels.get("node") or not labels.get("gpu") or not math.isfinite(value) or value < 0:
        raise ValueError(line[:40])
    named = _metric(name[1], labels, size)
    if named is None:
        return None
    metric, factor = named
    job, gpu = labels.get("slurm_job_id", "unknown"), re.sub(r"^(?:GPU|gpu)(?=\d+$)", "", labels["gpu"])
    return Sample(clean(job), clean(labels["node"]), clean(gpu), metric, value * factor)


def _metric(name: str, labels: dict[str, str], size: int) -> tuple[str, float] | None:
    comm = labels.get("comm_name", "")
    nodes = labels.get("n_nodes", "")
    label = group("" if comm == "unknown" else comm, size, int(nodes) if re.fullmatch(r"[0-9]{1,6}", nodes) else 0)
    kind = spelled(labels.get("collective") or labels.get("p2p_operation") or "")
    if name == "nccl_collective_exec_time_microseconds" and size > 1 and kind in SYNCHRONISING:
        return f'collective_duration_seconds{{group="{label}",op="{kind}",size_bucket="{_bucket(labels.get("message_size", ""))}"}}', 1e-6
    if name == "nccl_p2p_exec_time_microseconds":
        return f'p2p_duration_seconds{{group="{label}",op="{kind}"}}', 1e-6
    return {"nccl_collectives_total": ("collective_sequence", 1.0), "nccl_collectives_dropped_total": ("nccl_records_dropped_total", 1.0)}.get(name)


def _bucket(text: str) -> str:
    found = SIZE.fullmatch(text.strip())
    return bucket(int(found[1]) * UNITS[found[2]]) if found else "0B"
