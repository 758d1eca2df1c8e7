"""Nvrx: straggler reports of nvidia-resiliency-ext in a job's log as a trace: each rank against the fastest and its own best.

Reports are log lines: a heading, then one line per rank; only rank 0 has the whole table where results are gathered there. A score is the
fastest rank's median kernel time over the own, communication left out. Source: NVIDIA/nvidia-resiliency-ext straggler/reporting.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np

from grayscope.event import Event
from grayscope.roster import RosterRow
from grayscope.tracewriter import TraceWriter

from ._ncclinspector import clean
from ._textfiles import SECOND, changed, expanded, lines

HEADING = re.compile(r"(GPU|Section)s? (relative|individual) performance", re.IGNORECASE)
SCORE = re.compile(r"Rank=(\d{1,7}) Node=(\S{1,253}) Score=(\d{1,6}(?:\.\d{1,12})?)(?:\s|$)")
WARNING = re.compile(r"STRAGGLER DETECTION WARNING: (.{0,200}?) Affected ranks: \{(.{0,65536})")
STRAGGLER = re.compile(r"StragglerId\(rank=(\d{1,7}), node='([^']{0,253})'\)")
STAMP = re.compile(r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d))")
COLUMNS = {"relative": "rank_performance_ratio", "individual": 'rank_performance_ratio{scope="own"}'}
STEP = 60 * SECOND
#: Scores and events of one import.
MOST = 1 << 24


class Nvrx:
    """Reads reports in the order in which they stand. Delivery: every score once.

    A report begins where a rank would be told of again. It is stamped by the last time with a zone that stood in the log, else by
    `start` and `step`; without them so that the last report of a file is at its last change.

    Parameters
    ----------
    paths : sequence of path
        Logs, plain or gzip, of one job.
    start, step : int, optional
        Microseconds.
    node : str
        Unused: the lines name the nodes.
    job : str
        Name of the job; the first file's by default.

    Attributes
    ----------
    rejected, unknown : dict of str to int
    """

    def __init__(self, paths: Sequence[str | Path], *, start: int | None = None, step: int | None = None, node: str = "", job: str = "") -> None:
        del node
        self.paths = expanded(paths, "nvrx", ("*.log", "*.log.gz"))
        self.start, self.step = start, step or STEP
        self.job = clean(job or self.paths[0].name.partition(".")[0])
        self.rejected: dict[str, int] = {}
        self.unknown: dict[str, int] = {}
        self._nodes: dict[int, str] = {}
        self._scores = 0
        self._reports = 0

    def write(self, writer: TraceWriter, progress: Callable[[int, int], None] | None = None) -> dict[str, int]:
        """Write all files; return counts: files, reports, rows, roster rows, events, and what was not used by reason."""
        rows = events = 0
        for path in self.paths:
            reports = self._read(path)
            end = changed(path)
            for i, report in enumerate(reports):
                time = report.time or (end - (len(reports) - 1 - i) * self.step if self.start is None else self.start + (self._reports + i) * self.step)
                rows += self._write(writer, report, time)
                events += len(report.stragglers)
                if progress is not None:
                    progress(time, rows)
            self._reports += len(reports)
        writer.describe(tables={"rank": {"period_s": self.step / SECOND, "counters": "increments"}})
        writer.roster(RosterRow(f"job:{self.job}/r{r}", "rank", keys={"job": self.job, "node": n, "role": "rank"}) for r, n in sorted(self._nodes.items()))
        counts = {"files": len(self.paths), "reports": self._reports, "rows": rows, "roster": len(self._nodes), "events": events}
        return {**counts, **{f"rejected: {k}": n for k, n in sorted(self.rejected.items())}}

    def _write(self, writer: TraceWriter, report: Report, time: int) -> int:
        ranks = sorted({rank for _, rank in report.scores})
        if ranks:
            columns = {c: np.array([report.scores.get((c, r), np.nan) for r in ranks]) for c in sorted({c for c, _ in report.scores})}
            writer.rows("rank", np.full(len(ranks), time), [f"job:{self.job}/r{r}" for r in ranks], columns)
        for rank, text in report.stragglers:
            writer.event(Event(time, f"job:{self.job}/r{rank}", "nccl", "straggler", text))
        return len(ranks)

    def _read(self, path: Path) -> list[Report]:
        reports, column, stamp = [Report()], "", 0
        for line in lines(path):
            line = line[: 1 << 17]
            if (told := STAMP.search(line[:200])) is not None:
                stamp = _moment(told[1]) or stamp
            if (heading := HEADING.search(line)) is not None:
                column = COLUMNS[heading[2].lower()] if heading[1].lower() == "gpu" else ""
            elif "Rank=" in line:
                score = SCORE.search(line)
                if score is None or not column:
                    self._reject("no_score" if score is None else "other_table")
                    continue
                self._score(reports, column, score, stamp)
            elif "STRAGGLER" in line:
                self._warning(reports[-1], line)
        return [r for r in reports if r.scores or r.stragglers]

    def _score(self, reports: list[Report], column: str, score: re.Match[str], stamp: int) -> None:
        rank = int(score[1])
        if self._scores >= MOST:
            self._reject("too_many")
            return
        if (column, rank) in reports[-1].scores:
            reports.append(Report())
        self._scores += 1
        self._nodes[rank] = clean(score[2])
        reports[-1].scores[column, rank] = float(score[3])
        reports[-1].time = stamp

    def _warning(self, report: Report, line: str) -> None:
        found = WARNING.search(line)
        if found is None:
            self._reject("no_warning")
            return
        for rank, node in STRAGGLER.findall(found[2]):
            if len(report.stragglers) < 1 << 16:
                self._nodes.setdefault(int(rank), clean(node))
                report.stragglers.append((int(rank), "".join(c if c.isprintable() else " " for c in found[1])))

    def _reject(self, reason: str) -> None:
        self.rejected[reason] = self.rejected.get(reason, 0) + 1


class Report:
    """One report: scores by (column, rank), and the ranks that it warns of."""

    def __init__(self) -> None:
        self.time = 0
        self.scores: dict[tuple[str, int], float] = {}
        self.stragglers: list[tuple[int, str]] = []


def _moment(text: str) -> int:
    """Return a time with a zone in microseconds, 0 where it is none.

    Examples
    --------
    >>> _moment("2023-11-14 22:13:20,5Z"), _moment("2023-99-14T22:13:20Z")
    (1700000000500000, 0)
    """
    try:
        return int(datetime.fromisoformat(text.replace(",", ".")).timestamp() * SECOND)
    except (ValueError, OverflowError):
        return 0
