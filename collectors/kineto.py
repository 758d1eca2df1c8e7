"""Kineto: PyTorch profiler (Chrome) traces of a job, one file per rank, as a trace: per step, who was inside collectives how long.

Each rank's kernels are timed by its own clock; durations alone are compared (`grayscope.collectives`), so the ranks' clocks may be
as far apart as they like. Operations are matched by PyTorch's sequence number, else by their order within a ``ProfilerStep``.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from grayscope.catalogue import Catalogue
from grayscope.collectives import Operation
from grayscope.errors import InputError
from grayscope.roster import RosterRow
from grayscope.tracewriter import TraceWriter

from ._kinetotext import Kernel, Ranked, read
from ._ncclinspector import Record, Writer, clean
from ._ncclpeople import Person
from ._ncclranks import Ranks
from ._textfiles import SECOND, changed, expanded, whole

#: Unpacked bytes of one file; a window where no steps are marked.
LARGEST, WINDOW = 512 << 20, SECOND
P2P = frozenset({"send", "recv", "isend", "irecv", "sendrecv"})


class Kineto:
    """Reads one trace per rank. Delivery: every kernel once; a file that is no trace is counted, unless there is no other.

    Rows are per ``ProfilerStep``, stamped with the earliest start that any rank gives for it (`start` and `step` set other
    times); without steps per second since the rank's first communication kernel.

    Parameters
    ----------
    paths : sequence of path
        JSON, plain or gzip; a folder stands for its ``*.json``.
    start, step : int, optional
        Microseconds.
    node : str
        Node of all ranks, where files are not named ``<host>_<pid>.<time>.pt.trace.json``.
    job : str
        Name of the job; the first file's folder by default.

    Attributes
    ----------
    rejected, unknown : dict of str to int

    Raises
    ------
    InputError
        None of the files is a trace: names the first, and what was expected.
    """

    def __init__(
        self, paths: Sequence[str | Path], *, start: int | None = None, step: int | None = None, node: str = "", job: str = "",
        catalogue: Catalogue | None = None,
    ) -> None:  # fmt: skip
        self.paths = expanded(paths, "kineto", ("*.json", "*.json.gz"))
        self.start, self.step, self.node = start, step, clean(node)
        self.job = clean(job or self.paths[0].resolve().parent.name or "job")
        self.rejected: dict[str, int] = {}
        self.unknown: dict[str, int] = {}
        self.ranks = Ranks(catalogue or Catalogue.load(), self.rejected)
        self._people: dict[int, Person] = {}

    def write(self, writer: TraceWriter, progress: Callable[[int, int], None] | None = None) -> dict[str, int]:
        """Write all files; return counts: files, kernels, windows, rows, roster rows, and what was not used by reason."""
        told, rows = self._read(), 0
        windows: dict[int, list[tuple[Ranked, list[tuple[int, Kernel]]]]] = {}
        begun: dict[int, float] = {}
        for ranked in told:
            for window, start, kernels in _windows(ranked):
                windows.setdefault(window, []).append((ranked, kernels))
                begun[window] = min(begun.get(window, start), start)
        members = self._members(told)
        writer.describe(tables={table: {"counters": "increments"} for table in ("rank", "comm")})
        for i, window in enumerate(sorted(windows)):
            time = int(begun[window]) if self.start is None else self.start + i * (self.step or WINDOW)
            rows += self._window(writer, window, windows[window], members, time)
            if progress is not None:
                progress(time, rows)
        roster = self._roster()
        writer.roster(roster)
        counts = {"files": len(self.paths), "kernels": sum(len(r.kernels) for r in told), "windows": len(windows), "rows": rows, "roster": len(roster)}
        if self.ranks.matching.incomplete:
            self.rejected["incomplete"] = self.ranks.matching.incomplete
        return {**counts, **{f"rejected: {k}": n for k, n in sorted(self.rejected.items())}}

    def _read(self) -> list[Ranked]:
        found, wrong = [], list[InputError]()
        for path in self.paths:
            try:
                found.append(read(whole(path, LARGEST), path, self.rejected))
            except InputError as error:
                wrong.append(error)
                continue
            if found[-1].kernels and found[-1].kernels[0].start < 1e15:
                _shift(found[-1], changed(path))
        if not found:
            raise wrong[0]
        if wrong:
            self.rejected["broken_file"] = len(wrong)
        return found

    def _members(self, told: list[Ranked]) -> dict[str, dict[int, int]]:
        """Return for each group its ranks, of those that are here, and their positions."""
        seen: dict[str, set[int]] = {}
        for ranked in told:
            for kernel in ranked.kernels:
                seen.setdefault(kernel.group, set()).add(ranked.rank)
        return {group: {rank: i for i, rank in enumerate(sorted(ranks))} for group, ranks in seen.items()}

    def _window(
        self, writer: TraceWriter, window: int, parts: list[tuple[Ranked, list[tuple[int, Kernel]]]], members: dict[str, dict[int, int]], time: int
    ) -> int:
        for ranked, kernels in parts:
            person = self._person(ranked)
            for number, kernel in kernels:
                member = members[kernel.group][ranked.rank]
                if member < kernel.size:
                    self.ranks.take(person, _record(kernel, number, member, person))
            for n, _, seconds in ranked.steps:
                if n == window:
                    self.ranks.add("rank", person.subject, "step_seconds", seconds)
        batches = self.ranks.batches(time, {})
        for batch in batches:
            writer.batch(batch)
        return sum(batch.rows for batch in batches)

    def _person(self, ranked: Ranked) -> Person:
        person = self._people.get(ranked.rank)
        if person is None:
            host = ranked.host or self.node
            device = next((k.device for k in ranked.kernels if k.device >= 0), -1)
            gpu = f"{host}/gpu{device}" if host and 0 <= device < 1024 else ""
            person = self._people[ranked.rank] = Person(f"job:{self.job}/r{ranked.rank}", self.job, host, 0, gpu)
        return person

    def _roster(self) -> list[RosterRow]:
        rows = [RosterRow(p.subject, "rank", keys={k: v for k, v in p.keys().items() if v}, crosses=(p.gpu,) if p.gpu else ()) for p in self._people.values()]
        return rows + [self.ranks.comm_row(comm, members) for comm, members in self.ranks.members.items()]


def _record(kernel: Kernel, number: int, member: int, person: Person) -> Record:
    operation = Operation(
        kernel.group, number, member, kernel.size, kernel.kind, kernel.bytes, kernel.seconds, kernel.start, kernel.start + kernel.seconds * SECOND
    )
    return Record(Writer(kernel.group, kernel.described, member, kernel.size, person.host, 0), operation, kernel.kind in P2P, True)


def _windows(ranked: Ranked) -> list[tuple[int, float, list[tuple[int, Kernel]]]]:
    """Return (window, start, kernels with their numbers); numbers are PyTorch's, else the order of their like within the window."""
    starts = [start for _, start, _ in ranked.steps]
    found: dict[int, tuple[float, list[tuple[int, Kernel]]]] = {n: (start, []) for n, start, _ in ranked.steps}
    count: Counter[tuple[int, str, str]] = Counter()
    for kernel in ranked.kernels:
        at = max(0, bisect_right(starts, kernel.start) - 1)
        window = ranked.steps[at][0] if starts else int((kernel.start - ranked.kernels[0].start) // WINDOW)
        key = (window, kernel.group, kernel.kind)
        count[key] += 1
        number = kernel.number if kernel.number >= 0 else (window << 24) + count[key]
        found.setdefault(window, (kernel.start, []))[1].append((number, kernel))
    return [(window, start, kernels) for window, (start, kernels) in found.items()]


def _shift(ranked: Ranked, end: int) -> None:
    """Move a trace whose times begin anywhere so that it ends at `end`."""
    by = end - np.max([k.start for k in ranked.kernels])
    ranked.kernels[:] = [k._replace(start=k.start + by) for k in ranked.kernels]
    ranked.steps[:] = [(n, start + by, seconds) for n, start, seconds in ranked.steps]
