"""Hook: the one line that a training loop calls after each step; needs nothing but Python, and may be copied as it stands.

    from grayscope.hook import step
    step(rank, seconds, tokens)

It never waits and never fails: what cannot be sent at once is dropped, and the next message says how many were. The receiver is
the collector `steps`; it listens where GRAYSCOPE_STEPS says: a Unix socket, or a file ``*.jsonl`` (at most 64 MiB) to append to.
"""

from __future__ import annotations

import json
import os
import socket

AT = os.environ.get("GRAYSCOPE_STEPS", "/run/grayscope/steps.sock")
_steps, _dropped, _pipe = 0, 0, -1


def step(rank: int, seconds: float, tokens: float = 0, compute: float = 0, job: str = "") -> None:
    """Tell of one step: `compute` is how many of its seconds passed before the first wait for other ranks, 0 for unknown."""
    global _steps, _dropped
    _steps += 1
    try:
        env = os.environ.get
        said = {"rank": int(rank), "seconds": float(seconds), "tokens": float(tokens), "compute": float(compute), "n": _steps, "dropped": _dropped}
        named = {"pid": os.getpid(), "job": str(job) or env("SLURM_JOB_ID"), "local": env("LOCAL_RANK"), "visible": env("CUDA_VISIBLE_DEVICES")}
        line = json.dumps(said | named).encode() + b"\n"
        _dropped += os.write(_to(), line) < len(line)
    except Exception:  # noqa: BLE001 - whatever it is, the job goes on
        _dropped += 1
        _close()


def _to() -> int:
    """Return the descriptor to write to: opened at the first step, again after a failure, and so after the agent was restarted."""
    global _pipe
    if AT.endswith(".jsonl"):
        _pipe = _pipe if _pipe >= 0 else os.open(AT, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o644)
        if os.fstat(_pipe).st_size > 64 << 20:
            raise OSError("full")
    elif _pipe < 0:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ours:
            ours.setblocking(False)
            ours.connect(AT)
            _pipe = ours.detach()
    return _pipe


def _close() -> None:
    global _pipe
    if _pipe >= 0:
        os.close(_pipe)
    _pipe = -1
