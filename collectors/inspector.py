"""Inspector: NCCL Inspector's JSON files of a job that is over, as a trace: the table of ranks as the collector nccl would have told it.

Where files are verbose, an operation counts when its kernel began, else when its line was written: a job that wrote only at its end
(the plugin's default) is one moment then. Times between ranks are never compared (`grayscope.collectives`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from grayscope.catalogue import Catalogue
from grayscope.roster import RosterRow
from grayscope.tracewriter import TraceWriter

from . import _ncclinspector
from ._ncclcounts import Counts
from ._ncclinspector import Record, Stats, Writer, clean
from ._ncclpeople import FOLDER, Person
from ._ncclranks import Ranks
from ._textfiles import SECOND, changed, expanded, lines

#: Length of a window, records of one import.
STEP, MOST = 10 * SECOND, 20_000_000


class Told(NamedTuple):
    """A record or a dump's own word, and the window that it belongs to."""

    window: int
    said: Record | Stats


class Inspector:
    """Reads all files of one job. Delivery: every record once, in windows of `step`.

    Ranks are `job:J/rN` by their position in the communicator that has all of the job's processes, if there is one, else
    `job:J/HOST-PID`. GPUs are not in the files.

    Parameters
    ----------
    paths : sequence of path
        ``<host>-pid<pid>.log`` or ``.jsonl``, plain or gzip; a folder stands for all of them.
    start : int, optional
        Microseconds: moves the first window there.
    step : int, optional
        Microseconds, 10 seconds by default.
    node : str
        Unused: lines name their hosts.
    job : str
        Name of the job; by default from a folder ``nccl-inspector-<job>``, else the first file's folder.

    Attributes
    ----------
    rejected, unknown : dict of str to int
    """

    def __init__(
        self, paths: Sequence[str | Path], *, start: int | None = None, step: int | None = None, node: str = "", job: str = "",
        catalogue: Catalogue | None = None,
    ) -> None:  # fmt: skip
        del node
        self.paths = expanded(paths, "inspector", ("*.log", "*.jsonl", "*.log.gz", "*.jsonl.gz"))
        self.start, self.step = start, step or STEP
        named = FOLDER.search(str(self.paths[0].resolve().parent))
        self.job = clean(job or (named[1] if named else self.paths[0].resolve().parent.name) or "unknown")
        self.rejected: dict[str, int] = {}
        self.unknown: dict[str, int] = {}
        self.ranks, self.counts = Ranks(catalogue or Catalogue.load(), self.rejected), Counts()

    def write(self, writer: TraceWriter, progress: Callable[[int, int], None] | None = None) -> dict[str, int]:
        """Write all files; return counts: files, records, windows, rows, roster rows, and what was not used by reason."""
        told = sorted(self._read(), key=lambda t: t.window)
        people = self._people([t.said.writer for t in told])
        windows, rows, at, i = 0, 0, told[0].window if told else 0, 0
        shift = 0 if self.start is None else self.start - at * self.step
        writer.describe(tables={t: {"period_s": self.step / SECOND, "counters": "increments"} for t in ("rank", "comm")})
        while i < len(told):
            at, windows = told[i].window, windows + 1
            self.counts.begin([])
            while i < len(told) and told[i].window == at:
                self._take(told[i].said, people)
                i += 1
            batches = self.ranks.batches(at * self.step + shift, self.counts.totals())
            for batch in batches:
                writer.batch(batch)
            rows += sum(b.rows for b in batches)
            if progress is not None:
                progress(at * self.step + shift, rows)
        roster = [RosterRow(p.subject, "rank", keys=p.keys()) for p in people.values()]
        roster += [self.ranks.comm_row(comm, members) for comm, members in self.ranks.members.items()]
        writer.roster(roster)
        if self.ranks.matching.incomplete:
            self.rejected["incomplete"] = self.ranks.matching.incomplete
        counts = {"files": len(self.paths), "records": len(told), "windows": windows, "rows": rows, "roster": len(roster)}
        return {**counts, **{f"rejected: {k}": n for k, n in sorted(self.rejected.items())}}

    def _read(self) -> Iterator[Told]:
        reader, n = _ncclinspector.Inspector(self.rejected), 0
        for number, path in enumerate(self.paths):
            last = changed(path)
            for text in lines(path):
                said = reader.read(number, text) if text.strip() else None
                if said is None:
                    continue
                if n >= MOST:
                    self._reject("too_many")
                    continue
                n += 1
                started = said.operation.start if isinstance(said, Record) else math.nan
                stamp = int(started) if math.isfinite(started) else said.dumped or last
                yield Told(stamp // self.step, said)

    def _people(self, writers: list[Writer]) -> dict[tuple[str, int, int], Person]:
        """Name every rank: by the communicator that all of them are in, else by its process."""
        members: dict[str, set[tuple[str, int, int]]] = {}
        for w in dict.fromkeys(writers):
            members.setdefault(w.comm, set()).add((w.host, w.pid, w.member))
            self.counts.lane(w.host, w.pid, w.comm, w.member)
        everybody = {self._key(w) for w in writers}
        people = {key: Person(f"job:{self.job}/{key[0]}-{key[1]}" + (f"-{key[2]}" if key[2] >= 0 else ""), self.job, key[0], key[1]) for key in everybody}
        whole = [(w.comm, w.size) for w in dict.fromkeys(writers) if w.size == len(everybody) == len(members[w.comm])]
        for comm, _ in whole[:1]:
            for w in writers:
                if w.comm == comm:
                    people[self._key(w)].subject = f"job:{self.job}/r{w.member}"
        return people

    def _key(self, w: Writer) -> tuple[str, int, int]:
        return w.host, w.pid, self.counts.lane(w.host, w.pid, w.comm, w.member)

    def _take(self, said: Record | Stats, people: dict[tuple[str, int, int], Person]) -> None:
        person = people[self._key(said.writer)]
        if isinstance(said, Stats):
            self.ranks.join(person, said.writer)
            self.counts.dropped(person.subject, said.writer.comm, said.dropped)
            return
        self.ranks.take(person, said)
        if not said.p2p:
            self.counts.reached(person.subject, said.operation.comm, said.operation.sequence)

    def _reject(self, reason: str) -> None:
        self.rejected[reason] = self.rejected.get(reason, 0) + 1
