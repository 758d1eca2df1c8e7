"""Flightrecorder: PyTorch Flight Recorder dumps of a job that stood still, as a trace that names who did not enter."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from grayscope.errors import InputError, UsageError
from grayscope.event import Event
from grayscope.origins import Suspect, suspects
from grayscope.recorder import Dump, read
from grayscope.roster import RosterRow
from grayscope.tracewriter import TraceWriter

from ._pickle import plain

#: Bytes of one dump, files of one folder.
LARGEST, FILES = 128 << 20, 100_000
NAME = re.compile(r"(?P<prefix>.*?)(?P<rank>[0-9]{1,9})(?:\.(?:json|pkl|pickle))?")
SECOND = 1_000_000
#: Rows of the trace: how far apart they are, and how long a watchdog waits that does not say so.
PERIOD, TIMEOUT = 30 * SECOND, 600 * SECOND


class Flightrecorder:
    """Reads one dump per rank (pickle or JSON; plain data only) and tells which ranks the others wait for.

    The rank is the number at the end of a file's name; files with another prefix, or without a number, are left out and
    counted. Every rank gets two rows, when the last operation was enqueued and when the watchdog gave up: in between its
    sequence number stood still. Delivery: one file that cannot be read is an error, for a missing rank would be a suspect.

    Parameters
    ----------
    path : path
        Folder with the dumps of one job.
    job : str, optional
        Name of the job; the folder's by default.

    Attributes
    ----------
    suspects : list of Suspect

    Raises
    ------
    InputError
        No dump, two of one rank, or one that is broken: names the file, and what was expected.
    """

    def __init__(self, path: str | Path, *, job: str | None = None) -> None:
        self.path = Path(path)
        self.job = _clean(self.path.resolve().name if job is None else job)
        if not self.job:
            raise UsageError("flightrecorder: job: expected a name")
        self.ignored = 0
        self.suspects: list[Suspect] = []

    def write(self, writer: TraceWriter, progress: Callable[[int, int], None] | None = None) -> dict[str, int]:
        """Write roster, rows and events; return counts: dumps, ignored files, rows, roster rows, suspects."""
        del progress
        dumps = {rank: read(rank, _load(file), file) for rank, file in sorted(self._files().items())}
        self.suspects = suspects(dumps)
        still, given_up = _times(dumps, self.path)
        ranks = sorted({*dumps, *(r for s in self.suspects for r in s.ranks)})
        roster = [*self._rank_rows(ranks, dumps), *self._groups(dumps)]
        writer.roster(roster)
        writer.describe(tables={"rank": {"period_s": PERIOD / SECOND, "counters": "cumulative"}})
        names, numbers = [self.subject(r) for r in dumps], np.array([float(d.enqueued) for d in dumps.values()])
        for time in (still, given_up):
            writer.rows("rank", np.full(len(names), time), names, {"collective_sequence": numbers})
        for suspect in self.suspects:
            writer.event(self._event(suspect, still))
        return {"dumps": len(dumps), "ignored": self.ignored, "rows": 2 * len(names), "roster": len(roster), "suspects": len(self.suspects)}

    def subject(self, rank: int) -> str:
        """Return the name of a rank."""
        return f"job:{self.job}/r{rank}"

    def _files(self) -> dict[int, Path]:
        try:
            found = [p for _, p in zip(range(FILES + 1), self.path.iterdir(), strict=False) if p.is_file()]
        except OSError as error:
            raise InputError(f"{self.path}: cannot be read: {error.strerror}") from error
        named = [(m["prefix"], int(m["rank"]), p) for p in found if (m := NAME.fullmatch(p.name))]
        if not named or len(found) > FILES:
            wanted = f"1 to {FILES} dumps whose names end in the rank, such as nccl_trace_rank_0"
            raise InputError.at(self.path, "files", wanted, f"{len(named)} of {len(found)}")
        counted = Counter(prefix for prefix, _, _ in named)
        usual = max(sorted(counted), key=lambda prefix: counted[prefix])
        files: dict[int, Path] = {}
        for prefix, rank, path in named:
            if prefix == usual and files.setdefault(rank, path) != path:
                raise InputError.at(path, "rank", "one file for each", f"{rank} in {files[rank].name} as well")
        self.ignored = len(found) - len(files)
        return files

    def _rank_rows(self, ranks: list[int], dumps: dict[int, Dump]) -> Iterator[RosterRow]:
        for rank in ranks:
            shared = {name: m for d in ([dumps[rank]] if rank in dumps else dumps.values()) for name, m in d.members.items() if rank in m and len(m) > 1}
            inner = min(shared, key=lambda name: (len(shared[name]), name), default=None)
            yield RosterRow(self.subject(rank), "rank", keys={"job": self.job, **({"comm": f"comm:{_clean(inner)}"} if inner is not None else {})})

    def _groups(self, dumps: dict[int, Dump]) -> Iterator[RosterRow]:
        known = {name: d for d in dumps.values() for name, m in d.members.items() if len(m) > 1}
        for name, dump in sorted(known.items()):
            keys = {"job": self.job, "role": dump.described.get(name, "")}
            yield RosterRow(f"comm:{_clean(name)}", "comm", keys=keys, crosses=tuple(self.subject(r) for r in dump.members[name]))

    def _event(self, suspect: Suspect, time: int) -> Event:
        alone = len(suspect.ranks) == 1
        code = "inseparable" if not alone else "holds_up" if suspect.entered else "never_entered"
        return Event(time, self.subject(suspect.ranks[0]) if alone else f"job:{self.job}", "nccl", code, sentence(suspect))


def sentence(suspect: Suspect) -> str:
    """Return what is known about a suspect, in one line.

    Examples
    --------
    >>> from grayscope.recorder import Operation
    >>> sentence(Suspect((9,), Operation("72", False, 45265), "nccl:all_to_all", "EXPERT", (1, 8), False, True))
    'rank 9 never entered nccl:all_to_all 45265 of group 72 (EXPERT); 2 ranks wait for it: 1, 8'
    """
    some = ", ".join(map(str, suspect.waiting[:8])) + (", ..." if len(suspect.waiting) > 8 else "")
    who = f"rank {suspect.ranks[0]}" if len(suspect.ranks) == 1 else f"ranks {', '.join(map(str, suspect.ranks[:16]))}, which wait for each other,"
    did = "holds up" if suspect.entered else "never entered"
    lost = "" if suspect.dumped else ", left no dump"
    what = f"{suspect.name} {suspect.operation.sequence} of group {suspect.operation.group} ({suspect.group})"
    return f"{who} {did} {what}{lost}; {len(suspect.waiting)} ranks wait for it: {some}"


def _load(path: Path) -> object:
    try:
        if path.stat().st_size > LARGEST:
            raise InputError.at(path, "size", f"at most {LARGEST} bytes", path.stat().st_size)
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    if data.lstrip()[:1] != b"{":
        return plain(data, path)
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError.at(path, "JSON", "a dump", error) from error


def _times(dumps: dict[int, Dump], path: Path) -> tuple[int, int]:
    """Return when the last operation was enqueued, and when the first watchdog gave up, in microseconds."""
    pending = [p for d in dumps.values() for p in d.pending if p.created > 0]
    still = max((p.created for p in pending), default=int(path.stat().st_mtime * SECOND))
    given_up = min((p.created + (p.timeout or TIMEOUT) for p in pending), default=still + TIMEOUT)
    return still, max(given_up, still + 4 * PERIOD)


def _clean(name: str) -> str:
    return "".join("_" if c == "/" or not c.isprintable() else c for c in name)[:200]
