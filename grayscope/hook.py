"""Hook: the one line that a training loop calls after each step; needs nothing but Python, and may be copied as it stands.

    from grayscope.hook import step
    step(rank, seconds, tokens)

It never waits and never fails: what cannot be sent at once is dropped, and the next message says how many were. The receiver is
the collector `steps`; it listens where GRAYSCOPE_STEPS says: a Unix socket, or a file ``*.jsonl`` (at most 64 MiB) to append to.
"""

import json
import os
import socket

AT = os.environ.get("GRAYSCOPE_STEPS", "/run/grayscope/steps.sock")
_steps, _dropped = 0, 0


def step(rank: int, seconds: float, tokens: float = 0, compute: float = 0, job: str = "") -> None:
    """Tell of one step: `compute` is how many of its seconds passed before the first wait for other ranks, 0 for unknown."""
    global _steps, _dropped
    _steps += 1
    try:
        env, said = os.environ.get, {"rank": int(rank), "seconds": float(seconds), "tokens": float(tokens), "compute": float(compute)}
        named = {"pid": os.getpid(), "job": str(job) or env("SLURM_JOB_ID"), "local": env("LOCAL_RANK"), "visible": env("CUDA_VISIBLE_DEVICES")}
        line = (json.dumps({**said, **named, "n": _steps, "dropped": _dropped}) + "\n").encode()
        _dropped += (_append if AT.endswith(".jsonl") else _send)(line) != len(line)
    except Exception:  # noqa: BLE001 - whatever it is, the job goes on
        _dropped += 1


def _send(line: bytes) -> int:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:  # a new one each time: agents are restarted, processes fork
        to.setblocking(False)
        return to.sendto(line, AT)


def _append(line: bytes) -> int:
    with open(AT, "ab", 0, opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK, 0o644)) as to:
        return to.write(line) if to.tell() < 64 << 20 else 0
