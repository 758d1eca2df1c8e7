"""Nccl: what NCCL says about its collectives: Inspector's files, RAS, and log lines of failover, as the table of ranks.

Reads
    Inspector JSON (``<host>-pid<pid>.log`` or ``.jsonl``; v4.0 to v4.3, short and verbose) by following the files; its Prometheus mode
    (``nccl_inspector_metrics_*.prom``); NCCL_DEBUG files, by the patterns in `logs`; RAS on a local TCP port, once in `ras_every` seconds.
Gives
    rank: `collective_duration_seconds` (time inside, per group, operation and size), `compute_seconds` (time between; verbose
    files only), `collective_wait_seconds` per group, `collective_late_seconds` and `collective_late_ratio` (in the smallest group),
    `p2p_duration_seconds`, `collective_sequence`, `nccl_records_dropped_total`, `nccl_net_events_total`; comm: `collective_transfer_seconds`.
    Waits, lateness and transfer need all members of a communicator, so a folder that all nodes share, or a group within a node.
Clocks
    Durations are compared between ranks, times never; a row is stamped with the time of the look, as a dump's own stamp says
    when it was written and not when it happened.
Needs
    Leave to read the files. Root, or the job's own user, adds ranks, job and GPU from processes' environments.
Cost
    About 15 microseconds per record; at most 64 MiB of files per look; RAS makes the job's processes answer each other.
Cannot see
    Jobs without the plugin or with its default dump interval of -1 (written only at the end); operations under 8 kB; which rank
    is late where one process drives several GPUs and no communicator has them all.
Sources: NVIDIA/nccl plugins/profiler/inspector README, src/ras; NCCL user guide (RAS, NCCL_DEBUG); see the parts' own files.
"""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from grayscope.catalogue import Catalogue
from grayscope.errors import GrayscopeError, Unsupported
from grayscope.event import Event
from grayscope.message import Message
from grayscope.roster import RosterRow

from . import _nccllog, _ncclprom, _ncclras
from ._ncclcounts import Counts
from ._ncclinspector import Inspector, Record, Stats
from ._ncclpeople import People, Person
from ._ncclranks import Ranks
from ._nccltail import Tail

FILES = ("*-pid*.log", "*-pid*.jsonl", "*-pid*.log.[0-9]", "*-pid*.jsonl.[0-9]")
WRITER = re.compile(r"(?P<host>[^/]{1,253})-pid(?P<pid>[0-9]{1,9})\.")
#: Prometheus files older than this, in seconds, are of a job that is gone.
STALE = 180.0


class Nccl:
    """Looks at everything that NCCL wrote since the last look. Delivery: each record once; what is too much waits for the next look.

    Parameters
    ----------
    folders : sequence of path, or path
        Where jobs write Inspector's files; ``NCCL_INSPECTOR_DUMP_DIR`` by default.
    logs : sequence of path, or path
        Folders with NCCL_DEBUG files.
    ras : str
        Address of RAS, ``""`` to never ask.
    log_names : sequence of str
        Patterns of log files' names.
    job : str
        Job of all ranks, where no process or folder says it.
    root : path
        Where ``proc`` is.
    node : str
        This machine, as NCCL calls it.
    ras_every, timeout : float
        Seconds between questions to RAS, and for one answer.

    Attributes
    ----------
    rejected : dict of str to int

    Raises
    ------
    Unsupported
        No folder exists and RAS is not asked.
    """

    def __init__(
        self, folders: str | Path | Sequence[str | Path] = (), logs: str | Path | Sequence[str | Path] = (), ras: str = "127.0.0.1:28028", *,
        log_names: Sequence[str] = ("*nccl*.log*", "*nccl*.txt", "nccl*debug*"), job: str = "", root: str | Path = "/", node: str = "", ras_every: float = 60.0,
        timeout: float = 3.0, clock: Callable[[], float] = time.time, catalogue: Catalogue | None = None,
    ) -> None:  # fmt: skip
        where, logged = _paths(folders or os.environ.get("NCCL_INSPECTOR_DUMP_DIR", "")), _paths(logs)
        if not ras and not any(p.is_dir() for p in (*where, *logged)):
            raise Unsupported("nccl: no folder of NCCL Inspector files, no RAS: set NCCL_INSPECTOR_DUMP_DIR and a dump interval in the job")
        self.rejected: dict[str, int] = {}
        self.clock, self.timeout, self.every = clock, timeout, ras_every
        self.address = _address(ras) if ras else None
        self.files, self.logs = Tail(where, FILES, self.rejected), Tail(logged, log_names, self.rejected)
        self.texts = Tail(where, ("nccl_inspector_metrics_*.prom",), self.rejected)
        self.inspector, self.ranks = Inspector(self.rejected), Ranks(catalogue or Catalogue.load(), self.rejected)
        self.people, self.counts = People(root, node or socket.gethostname(), job), Counts()
        self.here = {self.people.host, *_ncclras.addresses(root)}
        self._asked = -1e18
        self._lost: set[tuple[str, int, bool]] = set()

    def collect(self) -> list[Message]:
        """Return roster rows, batches and events of one look."""
        moment = self.clock()
        now, ended = int(moment * 1e6), self.people.leave(moment)
        self.counts.begin(p.subject for p in ended)
        self._records()
        events = self._log(now) + self._ras(moment, now)
        for person in self.people.known.values():
            if self.people.alive(person):
                self.counts.show(person.subject)  # a rank that stands still is told of as long as it lives
        placed = self._texts(moment)
        rows = [*self.ranks.rows(self.people, now, ended), *placed]
        return [*([tuple(rows)] if rows else []), *self.ranks.batches(now, self.counts.totals()), *events]

    # -- Inspector ------------------------------------------------------------------------------------------------------

    def _records(self) -> None:
        for path in self.files.files():
            if (named := WRITER.match(path.name)) is not None:
                self.people.learn(str(path.parent), named["host"], int(named["pid"]))
        for line in self.files.lines():
            said = self.inspector.read(line.file, line.text)
            person = None if said is None else self._person(said, line.path)
            if person is None or said is None:
                continue
            if isinstance(said, Stats):
                self.ranks.join(person, said.writer)
                self.counts.dropped(person.subject, said.writer.comm, said.dropped)
            else:
                self.ranks.take(person, said)
                if not said.p2p:
                    self.counts.reached(person.subject, said.operation.comm, said.operation.sequence)
        self.inspector.forget(self.files.gone)
        if self.ranks.matching.incomplete:
            self.rejected["incomplete"] = self.ranks.matching.incomplete

    def _person(self, said: Record | Stats, path: Path) -> Person | None:
        writer = said.writer
        lane = self.counts.lane(writer.host, writer.pid, writer.comm, writer.member)
        person = self.people.of(writer.host, writer.pid, lane, str(path.parent))
        if person is None:
            self._reject("too_many")
        return person

    def _texts(self, moment: float) -> list[RosterRow]:
        """Take what Prometheus mode shows; return roster rows of GPUs that are told of without a rank."""
        rows = []
        for path in self.texts.files():
            try:
                fresh = moment - path.stat().st_mtime < STALE
            except OSError:
                continue
            for sample in _ncclprom.read(path, self.rejected) if fresh else ():
                subject, gpu = f"job:{sample.job}/{sample.node}-gpu{sample.gpu}", f"{sample.node}/gpu{sample.gpu}"
                if sample.metric.endswith("_total") or sample.metric == "collective_sequence":
                    self.counts.set(subject, sample.metric, sample.value)
                else:
                    self.ranks.add("rank", subject, sample.metric, sample.value)
                row = RosterRow(subject, "rank", keys={"job": sample.job, "node": sample.node, "role": "rank", "gpu": gpu}, crosses=(gpu,))
                if self.counts.first(subject):
                    rows.append(row)
        return rows

    # -- log lines and RAS ----------------------------------------------------------------------------------------------

    def _log(self, now: int) -> list[Event]:
        seen: dict[tuple[str, str], Event] = {}
        for line in self.logs.lines():
            told = _nccllog.read(line.text)
            if told is None:
                continue
            person = self.people.of(told.host, told.pid, folder=str(line.path.parent))
            if person is not None:
                self.counts.happened(person.subject, f'nccl_net_events_total{{kind="{told.kind}"}}')
            key = (told.subject, told.code)
            first = seen.get(key)
            seen[key] = Event(now, told.subject, "nccl", told.code, told.text if first is None else first.text, 1 if first is None else first.count + 1)
        return list(seen.values())

    def _ras(self, moment: float, now: int) -> list[Event]:
        """Ask how far all have come; each node tells of its own ranks, and the first that answers of those that do not."""
        if self.address is None or moment - self._asked < self.every:
            return []
        self._asked = moment
        try:
            seen = _ncclras.ask(self.address, self.timeout)
        except _ncclras.Refused:
            self._reject("ras_silent")
            return []
        except GrayscopeError:
            self._reject("ras_failed")
            return []
        first: dict[str, str] = {}
        lanes = _ncclras.several(seen)
        for rank in seen:
            if rank.done >= 0:
                first.setdefault(rank.comm, rank.host)
            if rank.done >= 0 and rank.host in self.here and rank.pid >= 0 and (rank.host, rank.pid) not in lanes:
                self._counted(rank)
        missing = [r for r in seen if r.done < 0 and first.get(r.comm) in self.here]
        return self._missing(missing, now)

    def _counted(self, rank: _ncclras.Seen) -> None:
        person = self.people.of(self.people.host, rank.pid)
        if person is not None:
            if rank.gpu >= 0:
                self.people.place(self.people.host, rank.pid, rank.gpu)
            self.counts.counted(person.subject, rank.comm, rank.done)

    def _missing(self, missing: list[_ncclras.Seen], now: int) -> list[Event]:
        """Tell once of those that do not answer: of their communicator, as an address is no name of a node, unless it is ours."""
        before, self._lost = self._lost, {(r.host, r.pid, r.dead) for r in missing}
        events = {}
        for r in missing:
            if (r.host, r.pid, r.dead) not in before:
                text = f"rank {r.member} of {r.size} of communicator {r.comm} (process {r.pid} at {r.host}, GPU {r.gpu}) does not answer"
                subject = f"comm:{r.comm}" if r.host not in self.here else f"{self.people.host}/gpu{r.gpu}" if r.gpu >= 0 else self.people.host
                events[r.host, r.pid, r.member] = Event(now, subject, "nccl", "dead" if r.dead else "unresponsive", text)
        return list(events.values())

    def _reject(self, reason: str) -> None:
        self.rejected[reason] = self.rejected.get(reason, 0) + 1


def _paths(given: str | Path | Sequence[str | Path]) -> tuple[Path, ...]:
    return tuple(Path(p) for p in ([given] if isinstance(given, (str, Path)) else given) if str(p))


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise Unsupported(f"nccl: ras: expected HOST:PORT such as 127.0.0.1:28028, found {text[:60]!r}")
    return host.strip("[]"), int(port)
