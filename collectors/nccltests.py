"""Nccltests: logs of nccl-tests as a trace: bandwidth within nodes, between pairs and over groups, and what failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from grayscope.event import Event
from grayscope.roster import RosterRow
from grayscope.tracewriter import TraceWriter

from ._ncclteststext import OneTest, read
from ._textfiles import SECOND, changed, expanded, lines

#: Time from one run of a pair to its next, where nothing else is said.
STEP = 60 * SECOND
METRIC = {
    "node": "node_collective_bandwidth_bytes_per_second", "path": "path_bandwidth_bytes_per_second", "comm": "comm_bandwidth_bytes_per_second",
}  # fmt: skip


class Ran(NamedTuple):
    """One test of one log, and the component that it is about."""

    path: Path
    test: OneTest
    table: str
    subject: str
    column: str


class Nccltests:
    """Reads logs, several tests in each. Delivery: every test once; a test that was run again goes to the next row.

    A test of one node is about that node, one of two about the path between them, one of more about their communicator. Tests
    are compared by their largest message that most logs of the kind got to, mean of both halves: large messages show the wire.
    Logs hold no times: all first runs are one moment, `start` or when the last file was changed, second runs are `step` later.
    A log that breaks off or failed is an event (``test_failed``), wrong results are one that accuses (``wrong_results``).

    Parameters
    ----------
    paths : sequence of path
        Logs, plain or gzip; a folder stands for all its ``*.log``.
    start, step : int, optional
        Microseconds.
    node : str
        Name of a node that calls itself localhost.

    Attributes
    ----------
    rejected, unknown : dict of str to int
    """

    def __init__(self, paths: Sequence[str | Path], *, start: int | None = None, step: int | None = None, node: str = "") -> None:
        self.paths = expanded(paths, "nccltests", ("*.log", "*.log.gz"))
        self.start, self.step, self.node = start, step or STEP, node
        self.rejected: dict[str, int] = {}
        self.unknown: dict[str, int] = {}

    def write(self, writer: TraceWriter, progress: Callable[[int, int], None] | None = None) -> dict[str, int]:
        """Write all logs; return counts: files, tests, rows, roster rows, events, and what was not used by reason."""
        ran = [r for path in self.paths for r in self._ran(path)]
        start = max(changed(p) for p in self.paths) if self.start is None else self.start
        roster = {r.subject: self._row(r) for r in ran}
        writer.roster(roster.values())
        events = [e for r in ran if (e := _event(r, start)) is not None]
        for event in events:
            writer.event(event)
        rows = self._write(writer, ran, start)
        if progress is not None:
            progress(start, rows)
        counts = {"files": len(self.paths), "tests": len(ran), "rows": rows, "roster": len(roster), "events": len(events)}
        return {**counts, **{f"rejected: {k}": n for k, n in sorted(self.rejected.items())}}

    def _ran(self, path: Path) -> list[Ran]:
        tests = read(lines(path), path.name, self.rejected)
        if not tests:
            self._reject("no_test")
        found = []
        for test in tests:
            nodes = tuple(self.node if self.node and n in ("localhost", "127.0.0.1") else n for n in test.nodes)
            if not nodes:
                self._reject("no_devices")
                continue
            table, subject = _subject(nodes)
            gpus = max(test.nodes.values())
            found.append(Ran(path, test, table, subject, f'{METRIC[table]}{{gpus="{gpus}",op="{test.name}"}}'))
        return found

    def _row(self, ran: Ran) -> RosterRow:
        nodes = tuple(ran.test.nodes)
        if ran.table == "node":
            return RosterRow(ran.subject, "node")
        keys = {"source": nodes[0], "target": nodes[1]} if ran.table == "path" else {"role": "nccl-tests"}
        return RosterRow(ran.subject, ran.table, keys=keys, crosses=nodes)

    def _write(self, writer: TraceWriter, ran: list[Ran], start: int) -> int:
        usual = self._usual(ran)
        cells: dict[str, dict[tuple[int, str], dict[str, float]]] = {}
        runs: Counter[tuple[str, str]] = Counter()
        for r in ran:
            value = r.test.bandwidth.get(usual.get(r.column, 0))
            if value is None:
                self._reject("no_result" if not r.test.bandwidth else "stopped_early")
                continue
            time = start + runs[r.subject, r.column] * self.step
            runs[r.subject, r.column] += 1
            cells.setdefault(r.table, {}).setdefault((time, r.subject), {})[r.column] = value
        for table, found in cells.items():
            columns = sorted({c for row in found.values() for c in row})
            times, subjects = np.array([t for t, _ in found], np.int64), [s for _, s in found]
            writer.describe(tables={table: {"period_s": self.step / SECOND, "counters": "increments"}})
            writer.rows(table, times, subjects, {c: np.array([row.get(c, np.nan) for row in found.values()]) for c in columns})
        return sum(len(found) for found in cells.values())

    def _usual(self, ran: list[Ran]) -> dict[str, int]:
        """Return for each column the largest message that at least half of its tests got to."""
        sizes: dict[str, Counter[int]] = {}
        tests: Counter[str] = Counter()
        for r in ran:
            if r.test.bandwidth:
                tests[r.column] += 1
                sizes.setdefault(r.column, Counter()).update(r.test.bandwidth)
        return {c: max(s for s, n in found.items() if 2 * n >= tests[c] or n == max(found.values())) for c, found in sizes.items()}

    def _reject(self, reason: str) -> None:
        self.rejected[reason] = self.rejected.get(reason, 0) + 1


def _subject(nodes: tuple[str, ...]) -> tuple[str, str]:
    """Return (table, subject) of what a test over some nodes is about.

    Examples
    --------
    >>> _subject(("n1",)), _subject(("n1", "n2")), _subject(("n1", "n2", "n3"))
    (('node', 'n1'), ('path', 'n1>n2'), ('comm', 'comm:n1..n3x3'))
    """
    if len(nodes) == 1:
        return "node", nodes[0]
    return ("path", f"{nodes[0]}>{nodes[1]}") if len(nodes) == 2 else ("comm", f"comm:{min(nodes)}..{max(nodes)}x{len(nodes)}")


def _event(ran: Ran, time: int) -> Event | None:
    test = ran.test
    if test.wrong:
        return Event(time, ran.subject, "nccl", "wrong_results", f"{test.name}: {test.wrong} elements are wrong", 1)
    if test.failed or not test.finished:
        return Event(time, ran.subject, "nccl", "test_failed", f"{test.name}: {test.failed or 'the log breaks off'}")
    return None
