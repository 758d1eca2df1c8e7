"""Hook: the one line that a training loop calls after each step; needs nothing but Python on Linux, and may be copied as it stands.

    from grayscope.hook import step
    step(rank, seconds, tokens)

It never waits and never fails: what cannot be sent at once is dropped, and the next message says how many were. The receiver is
the collector `steps`; it listens where GRAYSCOPE_STEPS says: a Unix socket, or a file ``*.jsonl`` (at most 64 MiB) to append to.
Ten lines do it; three more write to a file instead.
"""

import json
import os
import socket
from contextlib import suppress

AT = os.environ.get("GRAYSCOPE_STEPS", "/run/grayscope/steps.sock")
_steps, _dropped, _env = 0, 0, os.environ.get


def step(rank: int, seconds: float, tokens: float = 0, compute: float = 0, job: str = "") -> None:
    """Tell of one step: `compute` is how many of its seconds passed before the first wait for other ranks, 0 for unknown."""
    global _steps, _dropped
    _steps, _dropped = _steps + 1, _dropped + 1  # dropped, until it is sent
    with suppress(Exception):  # whatever happens, the job goes on
        who = {"pid": os.getpid(), "job": str(job) or _env("SLURM_JOB_ID"), "local": _env("LOCAL_RANK"), "visible": _env("CUDA_VISIBLE_DEVICES")}
        said = {**who, "rank": rank, "seconds": seconds, "tokens": tokens, "compute": compute, "n": _steps, "dropped": _dropped - 1}
        _dropped -= (_append if AT.endswith(".jsonl") else _send)(json.dumps(said, default=float).encode() + b"\n")


def _send(line: bytes) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as to:  # a new one each time: agents are restarted, processes fork
        return to.sendto(line, AT) == len(line)


def _append(line: bytes) -> bool:
    with open(os.open(AT, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK, 0o644), "ab", 0) as to:  # noqa: PTH123 - of a descriptor
        return to.tell() < 64 << 20 and to.write(line) == len(line)
