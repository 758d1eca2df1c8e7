"""Steps: how long each rank's training steps take, as the job itself says with one line per step (`grayscope.hook`).

Reads
    Datagrams on a Unix socket that any local job may write to, or a file of the same lines (``*.jsonl``) that is followed.
Gives
    rank: `step_seconds`, `step_tokens`, `compute_seconds` (where the job tells it) as means over the look; `steps_total`, also of a
    rank that stands still as long as its process lives; `steps_dropped_total`.
Needs
    Leave to make the socket: a directory such as /run/grayscope that belongs to the agent.
Cost
    About 20 microseconds per step in the job, 10 here, and a thread that empties the socket. What the job cannot send at once it drops
    and counts.
Cannot see
    Who is slow, in a synchronous job that tells only `seconds`: all ranks take as long as the slowest. `compute` tells it, or the
    collector `nccl`. Nor who writes: lines are believed as any local process may send them, but cannot leave the table of ranks.
"""

from __future__ import annotations

import json
import math
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from grayscope.catalogue import Catalogue
from grayscope.errors import shorten
from grayscope.message import Message
from grayscope.roster import RosterRow

from ._mailbox import Mailbox
from ._ncclinspector import clean
from ._ncclpeople import gpu_of
from ._nccltail import Tail
from ._ranktable import table
from ._said import Said

#: Ranks that are known at a time.
RANKS = 1 << 14
#: Microseconds of silence after which a rank is gone whose process is not in this machine's table.
QUIET = 3600 * 1_000_000


class Step(NamedTuple):
    """One step of one rank, as told."""

    job: str
    rank: int
    seconds: float
    tokens: float
    compute: float
    n: int
    dropped: int
    pid: int
    gpu: str


class Steps:
    """Takes what jobs have sent since the last look. Delivery: at most once; what found no room is counted by the sender.

    Parameters
    ----------
    at : path
        Socket to listen at, or a file ``*.jsonl``.
    root : path
        Where ``proc`` is.
    node : str
        Name of this machine.

    Attributes
    ----------
    rejected : dict of str to int

    Raises
    ------
    Unsupported
        The socket cannot be made: says why, and what to do.
    """

    def __init__(
        self, at: str | Path = "/run/grayscope/steps.sock", *, root: str | Path = "/", node: str = "", clock: Callable[[], float] = time.time,
        catalogue: Catalogue | None = None,
    ) -> None:  # fmt: skip
        self.at, self.proc, self.node, self.clock = Path(at), Path(root) / "proc", node or socket.gethostname(), clock
        self.rejected: dict[str, int] = {}
        self.table = table(catalogue, self.rejected)
        self._totals: dict[str, dict[str, float]] = {}
        self._living: dict[str, int] = {}
        self._heard: dict[str, int] = {}
        self.said = Said()
        self._tail = Tail([self.at.parent], [self.at.name], self.rejected) if self.at.suffix == ".jsonl" else None
        self._box = None if self._tail else Mailbox(self.at)

    def collect(self) -> list[Message]:
        """Return roster rows where somebody is new, and one batch."""
        now, sums, rows = int(self.clock() * 1e6), dict[tuple[str, str], list[float]](), list[RosterRow]()
        rows += self.said.ended(self._gone(now), now)
        shown = set(self._living)
        for line in self._lines():
            step = self._read(line)
            if step is None:
                continue
            subject = f"job:{step.job}/r{step.rank}"
            if subject not in self._heard and len(self._heard) >= RANKS:
                self._reject("too_many")
                continue
            shown.add(subject)
            self._heard[subject] = now
            rows += self._row(subject, step, now)
            self._add(sums, subject, step)
        cells = {cell: total / n for cell, (total, n) in sums.items()}
        cells |= {(s, m): v for s in shown for m, v in self._totals.get(s, {}).items()}
        return [*([tuple(rows)] if rows else []), *self.table.batch("rank", now, cells)]

    def _gone(self, now: int) -> list[str]:
        """Forget the ranks whose process ended, and those whose end cannot be seen after an hour of silence; return them."""
        living = {s: pid for s, pid in self._living.items() if (self.proc / str(pid)).is_dir()}
        gone = [s for s, heard in self._heard.items() if s not in living and (s in self._living or now - heard > QUIET)]
        self._living = living
        for subject in gone:
            del self._heard[subject], self._totals[subject]
        return gone

    def close(self) -> None:
        """Stop listening and take the socket away; safe to call twice."""
        if self._box is not None:
            self._box.close()

    def _lines(self) -> Iterator[str]:
        if self._tail is not None:
            yield from (line.text for line in self._tail.lines())
        if self._box is not None:
            yield from (data.decode("utf-8", "replace") for data in self._box.take())
            if self._box.overflow:
                self.rejected["overflow"] = self._box.overflow

    def _read(self, line: str) -> Step | None:
        try:
            return read(line)
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            self._reject("no_step")
            return None

    def _row(self, subject: str, step: Step, now: int) -> list[RosterRow]:
        if self._living.get(subject) != step.pid and (self.proc / str(step.pid)).is_dir():
            self._living[subject] = step.pid
        gpu = f"{self.node}/gpu{step.gpu}" if step.gpu else ""
        keys = {"job": step.job, "node": self.node, "role": "rank"} | ({"gpu": gpu} if gpu else {})
        return self.said.news([RosterRow(subject, "rank", keys=keys, crosses=(gpu,) if gpu else ())], now)

    def _add(self, sums: dict[tuple[str, str], list[float]], subject: str, step: Step) -> None:
        for metric, value in (("step_seconds", step.seconds), ("step_tokens", step.tokens), ("compute_seconds", step.compute)):
            if value > 0:
                total = sums.setdefault((subject, metric), [0.0, 0])
                total[0] += value
                total[1] += 1
        self._totals[subject] = {"steps_total": step.n, "steps_dropped_total": step.dropped}

    def _reject(self, reason: str) -> None:
        self.rejected[reason] = self.rejected.get(reason, 0) + 1


def read(line: str) -> Step:
    """Return the step that a line tells of.

    Raises
    ------
    ValueError, TypeError, KeyError, OverflowError, RecursionError
        It is none.

    Examples
    --------
    >>> read('{"rank": 3, "seconds": 0.5, "tokens": 4096, "n": 7, "pid": 42, "job": "9", "local": "1", "visible": "4,6"}')
    Step(job='9', rank=3, seconds=0.5, tokens=4096.0, compute=0.0, n=7, dropped=0, pid=42, gpu='6')
    """
    said: Any = json.loads(line)
    if not isinstance(said, dict):
        raise TypeError(shorten(line, 40))
    rank, n, dropped, pid = (int(said.get(k, 0)) for k in ("rank", "n", "dropped", "pid"))
    seconds, tokens, compute = float(said["seconds"]), float(said.get("tokens", 0)), float(said.get("compute", 0))
    if "rank" not in said or not (0 <= rank < 1 << 24 and 0 <= pid < 1 << 31 and 0 <= n < 1 << 53 and 0 <= dropped < 1 << 53):
        raise ValueError(shorten(line, 40))
    if not all(math.isfinite(v) and v >= 0 for v in (seconds, tokens, compute)) or not 0 < seconds < 1e6 or tokens > 1e15 or compute > seconds:
        raise ValueError(shorten(line, 40))
    gpu = gpu_of({"LOCAL_RANK": str(said.get("local") or ""), "CUDA_VISIBLE_DEVICES": str(said.get("visible") or "")})
    return Step(clean(str(said.get("job") or "unknown")), rank, seconds, tokens, compute, n, dropped, pid, gpu[:4])
