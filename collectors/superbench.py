"""Superbench: results of node validation and its monitor's samples (JSON lines) as a trace: benchmarks as metrics of nodes and GPUs.

Every number of a result becomes a column under SuperBench's own name without the rank; whether more of it is better is told by
the unit in its name (bandwidth, flops, throughput; time, cost, overhead). A return code is what the check itself says: an event.
Source: microsoft/superbenchmark docs, "Result summary" and superbench/monitor.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from grayscope.catalogue import Catalogue
from grayscope.event import Event
from grayscope.roster import RosterRow
from grayscope.tracewriter import TraceWriter

from ._ncclinspector import clean
from ._textfiles import SECOND, changed, expanded, lines

#: Parts of names whose value is better when lower, and when higher; the later part of the name counts.
LOWER, HIGHER = ("time", "latency", "overhead", "cost", "duration", "_lat", "err"), ("bw", "bandwidth", "flops", "throughput", "iops", "gflops", "rate")
RANKED = re.compile(r"(?P<name>.{1,200}):(?P<rank>[0-9]{1,3})")
#: GPUs of a node, columns of one import, rows of one import.
GPUS, COLUMNS, ROWS = 64, 4096, 1_000_000
STEP = 60 * SECOND
#: Benchmarks named after the arithmetic that they measure give rates of it.
ARITHMETIC = re.compile(r"(?:FP|TF|BF|INT)[0-9]+(?:_TC)?")


class Superbench:
    """Reads results-summary.jsonl and monitor.jsonl, told apart by their keys. Delivery: every number once.

    Results hold no times: they are of `start` or of the file's last change; a node that comes again is `step` later. Monitor
    samples have their own time (UTC); their node is `node`, else the file's name.

    Parameters
    ----------
    paths : sequence of path
        JSON lines, plain or gzip; a folder stands for its ``*.jsonl``.
    start, step : int, optional
        Microseconds.
    node : str
        Node of monitor samples.

    Attributes
    ----------
    rejected, unknown : dict of str to int
    """

    def __init__(
        self, paths: Sequence[str | Path], *, start: int | None = None, step: int | None = None, node: str = "", catalogue: Catalogue | None = None
    ) -> None:
        self.paths = expanded(paths, "superbench", ("*.jsonl", "*.jsonl.gz"))
        self.start, self.step, self.node = start, step or STEP, clean(node)
        self.catalogue = catalogue or Catalogue.load()
        self.rejected: dict[str, int] = {}
        self.unknown: dict[str, int] = {}
        self.metrics: dict[str, dict[str, Any]] = {}
        self._cells: dict[str, dict[tuple[int, str], dict[str, float]]] = {}
        self._events: list[Event] = []
        self._again: Counter[str] = Counter()

    def write(self, writer: TraceWriter, progress: Callable[[int, int], None] | None = None) -> dict[str, int]:
        """Write all files; return counts: files, rows, roster rows, events, and what was not used by reason."""
        for path in self.paths:
            self._file(path)
        writer.describe(metrics=self.metrics)
        roster = self._roster()
        writer.roster(roster)
        for event in self._events:
            writer.event(event)
        for table, found in self._cells.items():
            columns = sorted({c for row in found.values() for c in row})
            writer.describe(tables={table: {"counters": "cumulative"}})
            times, subjects = np.array([t for t, _ in found], np.int64), [s for _, s in found]
            writer.rows(table, times, subjects, {c: np.array([row.get(c, np.nan) for row in found.values()]) for c in columns})
            if progress is not None:
                progress(int(times.max()), len(found))
        rows = sum(len(found) for found in self._cells.values())
        counts = {"files": len(self.paths), "rows": rows, "roster": len(roster), "events": len(self._events)}
        return {**counts, **{f"rejected: {k}": n for k, n in sorted(self.rejected.items())}}

    def _file(self, path: Path) -> None:
        start = changed(path) if self.start is None else self.start
        for text in lines(path):
            if not text.strip():
                continue
            try:
                said = json.loads(text)
            except (ValueError, RecursionError):
                said = None
            if not isinstance(said, dict):
                self._reject("not_json")
            elif sum(len(found) for found in self._cells.values()) >= ROWS:
                self._reject("too_many")
            elif isinstance(said.get("node"), str) and said["node"]:
                self._result(said, clean(said["node"]), start)
            elif "time" in said:
                self._sample(said, path)
            else:
                self._reject("no_record")

    # -- results of validation ------------------------------------------------------------------------------------------

    def _result(self, said: Mapping[str, Any], node: str, start: int) -> None:
        time = start + self._again[node] * self.step
        self._again[node] += 1
        split = {key: _split(key) for key in said if key != "node"}
        ranks = Counter(name for name, rank in split.values() if rank is not None)
        often = Counter(n for n in ranks.values() if n > 1)
        gpus = min(often, key=lambda n: (-often[n], n), default=1)
        for key, (name, told) in split.items():
            number = _number(said[key])
            rank = None if ranks[name] == 1 < gpus else told  # rank 0 speaks for all: a collective
            if number is None or not name.isprintable() or len(name) > 200 or "{" in name:
                self._reject("no_number")
            elif ranks[name] > gpus:
                self._reject("more_than_gpus")  # numbered, but not by GPU: copies in all directions, for instance
            elif name.endswith("return_code"):
                self._code(name, node, number, time)
            elif self._describe(name, rank):
                self._put("node" if rank is None else "gpu", time, node if rank is None else f"{node}/gpu{rank}", name, number)

    def _describe(self, name: str, rank: int | None) -> bool:
        """Say what a column means, once; False (counted) where there are too many, or it is of another table already."""
        table = "node" if rank is None else "gpu"
        if name not in self.metrics:
            if len(self.metrics) >= COLUMNS:
                self._reject("too_many_columns")
                return False
            worse = direction(name)
            self.metrics[name] = {
                "table": table,
                "worse": worse,
                "side": "service",
                "peers": ["sku"],
                **({"mode": "slow_component"} if worse != "none" else {}),
            }
        if self.metrics[name]["table"] != table:
            self._reject("with_and_without_rank")
            return False
        return True

    def _code(self, name: str, node: str, code: float, time: int) -> None:
        if code:
            bench = name.partition("/")[0]
            self._events.append(Event(time, node, "health", "failed", f"benchmark {bench[:100]} ended with {code:g}"))

    # -- samples of the monitor -----------------------------------------------------------------------------------------

    def _sample(self, said: Mapping[str, Any], path: Path) -> None:
        try:
            time = int(datetime.strptime(str(said["time"]), "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC).timestamp() * SECOND)
        except (ValueError, OverflowError):
            self._reject("no_time")
            return
        node = self.node or clean(path.name.partition(".")[0])
        for key, value in said.items():
            name, rank = _split(key)
            known, number = self.catalogue.resolve(name), _number(value)
            metric = self.catalogue.get(known[0]) if known else None
            if metric is None or metric.table != "gpu" or rank is None:
                if key != "time":
                    self.unknown[name[:100]] = self.unknown.get(name[:100], 0) + 1 if len(self.unknown) < 1000 else 1
            elif number is None:
                self._reject("no_number")
            else:
                self._put("gpu", time, f"{node}/gpu{rank}", name, number)

    def _put(self, table: str, time: int, subject: str, column: str, value: float) -> None:
        self._cells.setdefault(table, {}).setdefault((time, subject), {})[column] = value

    def _roster(self) -> list[RosterRow]:
        subjects = {(table, s) for table, found in self._cells.items() for _, s in found} | {("node", e.subject) for e in self._events}
        return [RosterRow(s, table, keys=dict(_keys(table, s))) for table, s in sorted(subjects)]

    def _reject(self, reason: str) -> None:
        self.rejected[reason] = self.rejected.get(reason, 0) + 1


def _keys(table: str, subject: str) -> Iterator[tuple[str, str]]:
    node, _, part = subject.partition("/gpu")
    yield "node", node
    if table == "gpu":
        yield "slot", part


def direction(name: str) -> str:
    """Return which direction of a benchmark's number is worse, ``none`` where its name does not say.

    Examples
    --------
    >>> direction("nccl-bw/allreduce_8_time"), direction("mem-bw/H2D_Mem_BW"), direction("gemm-flops/FP16_TC"), direction("x/y")
    ('higher', 'lower', 'lower', 'none')
    """
    _, _, last = name.rpartition("/")
    if ARITHMETIC.fullmatch(last):
        return "lower"
    found = [(max(text.rfind(word) for word in words), worse) for text in (last.lower(),) for words, worse in ((LOWER, "higher"), (HIGHER, "lower"))]
    at, worse = max(found)
    return worse if at >= 0 else "none" if "/" not in name else direction(name.rpartition("/")[0])


def _split(key: str) -> tuple[str, int | None]:
    """Return (name, rank) of a key, rank None where it has none.

    Examples
    --------
    >>> _split("kernel-launch/event_time:3"), _split("nccl-bw:default/allreduce_8_busbw:0"), _split("mem-bw/return_code")
    (('kernel-launch/event_time', 3), ('nccl-bw:default/allreduce_8_busbw', 0), ('mem-bw/return_code', None))
    """
    found = RANKED.fullmatch(key)
    return (found["name"], int(found["rank"])) if found and int(found["rank"]) < GPUS else (key, None)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or abs(value) > 1e18 or not math.isfinite(value):
        return None
    return float(value)
