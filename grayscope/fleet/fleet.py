"""Fleet: the door of the generated cluster: its roster, its messages, its trace on disk and what was really wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from grayscope.batch import Batch
from grayscope.catalogue import Catalogue
from grayscope.errors import UsageError
from grayscope.event import Event
from grayscope.fleet.decoys import decoys
from grayscope.fleet.exposition import page
from grayscope.fleet.faults import Fault, planted
from grayscope.fleet.lottery import Lottery
from grayscope.fleet.moment import START, stamp
from grayscope.fleet.place import Place
from grayscope.fleet.register import Register
from grayscope.fleet.telemetry import SELDOM, Hour, Sheet, Telemetry
from grayscope.fleet.topology import Topology
from grayscope.fleet.truth import truth_rows
from grayscope.message import Message
from grayscope.modes import Modes
from grayscope.plugins import nearest
from grayscope.rates import Rates, Raw
from grayscope.roster import RosterRow
from grayscope.tracewriter import TraceWriter


class Fleet:
    """A cluster of `nodes` x `gpus` GPUs with two jobs, faults and decoys; the same arguments give the same numbers.

    Numbers are made hour by hour, so memory does not grow with the duration.

    Parameters
    ----------
    nodes, gpus : int
    hours : float
    period_s : int
        Seconds between rows; NVLinks are read six times less often.
    seed : int
    faults : sequence of Fault, optional
        Instead of the demo's faults and decoys.

    Examples
    --------
    >>> fleet = Fleet(nodes=2, gpus=2, hours=0.1)
    >>> sorted({row["mode"] for row in Fleet(nodes=2, gpus=2, hours=0.1, faults=[Fault("site", "monitoring_gap", "benign", 60, 120)]).truth_rows()})
    ['monitoring_gap']
    >>> next(iter(fleet.messages()))[0].subject
    'n001'
    """

    def __init__(self, nodes: int = 16, gpus: int = 8, hours: float = 2.0, period_s: int = 10, seed: int = 1, faults: Sequence[Fault] | None = None) -> None:
        if not (0 < hours <= 24 * 366 and 1 <= period_s <= 3600):
            raise UsageError(f"a fleet runs for up to a year with a period of 1 to 3600 s, not {hours} h with {period_s} s")
        self.topology = Topology(nodes, gpus, seed)
        self.lottery = Lottery.draw(self.topology, seed)
        self.duration, self.period_s, self.seed = hours, period_s, seed
        self.faults = tuple(faults) if faults is not None else (*planted(self.topology, self.lottery, hours, seed), *decoys(self.topology, hours, seed))
        self._place = Place(self.topology, self.lottery)
        for fault in self.faults:
            self._check(fault)
        self._shown: tuple[Iterator[Hour], int, Hour | None] | None = None

    def _check(self, fault: Fault) -> None:
        known = Modes.load().modes
        if fault.mode not in known:
            raise UsageError(f"unknown mode {fault.mode!r}: {nearest(fault.mode, known)}")
        if fault.mode in ("silent", "driver_reload") and fault.subject not in self.topology.node_names:
            raise UsageError(f"{fault.mode}: no node is called {fault.subject!r}: {nearest(fault.subject, self.topology.node_names)}")
        if fault.state != "benign":
            self._place.gpu(fault.subject)

    @property
    def gpu_weeks(self) -> float:
        """Return how many GPU-weeks it shows."""
        return len(self.topology.gpu_names) * self.duration / 168

    @cached_property
    def periods(self) -> dict[str, int]:
        """Return the period of each table in microseconds."""
        one = self.period_s * 1_000_000
        return {t: one * (SELDOM if t == "nvlink" else 1) for t in ("gpu", "nic", "node", "nvlink", "pcie", "rank")}

    def roster_rows(self) -> tuple[RosterRow, ...]:
        """Return who exists."""
        return tuple(Register(self.topology).rows())

    def messages(self) -> Iterator[Message]:
        """Yield the roster, then batches and events by time, counters as increments, as agents would send them."""
        yield self.roster_rows()
        rates = Rates(Catalogue.load())
        for hour in self._telemetry():
            batches = [self._batch(hour, sheet, rates) for sheet in hour.sheets]
            events: list[tuple[int, int, Message]] = [(e.time, 0, e) for e in self._events(hour)]
            slices: list[tuple[int, int, Message]] = [(int(b.times[k]), 1 + i, _one(b, k)) for i, b in enumerate(batches) for k in range(len(b.times))]
            for _, _, message in sorted([*events, *slices], key=lambda m: m[:2]):
                if not isinstance(message, Batch) or message.rows:
                    yield message

    def truth_rows(self) -> list[dict[str, Any]]:
        """Return what was really wrong: rows of truth.parquet, times in microseconds."""
        return truth_rows(self.topology, self.lottery, self.faults, self.seed, float(self.period_s), self._hours)

    def write(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the trace: counters as running totals, with roster, events and truth."""
        tables = {t: {"period_s": p / 1e6, "counters": "cumulative"} for t, p in self.periods.items()}
        with TraceWriter(path, cluster="demo", note=f"generated, seed {self.seed}", tables=tables, overwrite=overwrite) as out:
            out.roster(self.roster_rows())
            out.truth(self.truth_rows())
            for hour in self._telemetry():
                for sheet in hour.sheets:
                    _rows(out, sheet, self._times(hour, sheet))
                for event in self._events(hour):
                    out.event(event)

    def exposition(self, time_index: int, node: str) -> str:
        """Return what dcgm-exporter would print on one node at one tick; empty while it cannot be read."""
        ticks = sum(n for _, n in self._hours)
        if node not in self.topology.node_names or not 0 <= time_index < ticks:
            raise UsageError(f"expected a node of the fleet and a tick below {ticks}, found {node!r} and {time_index}")
        hour, tick = self._hour_of(time_index)
        found: dict[int, tuple[str, dict[str, float]]] = {}
        for sheet in (s for s in hour.sheets if s.table in ("gpu", "pcie")):
            for g in np.flatnonzero(self.topology.node_of_gpu == self.topology.node_names.index(node)).tolist():
                serial = self.topology.serial(self.topology.gpu_names[g])
                _, values = found.setdefault(g % self.topology.gpus, (serial, {}))
                values.update(zip(sheet.metrics, sheet.values[tick, :, g].tolist(), strict=True))
        return page(node, found)

    # -- hours ------------------------------------------------------------------------------------------------------

    @cached_property
    def _hours(self) -> tuple[tuple[int, int], ...]:
        """Return (first tick, ticks) of every hour."""
        total, hour = max(round(self.duration * 3600 / self.period_s), 1), max(3600 // self.period_s, 1)
        return tuple((first, min(hour, total - first)) for first in range(0, total, hour))

    def _telemetry(self) -> Iterator[Hour]:
        source = Telemetry(self.topology, self.lottery, self.faults, self.seed, float(self.period_s))
        return (source.hour(first, ticks) for first, ticks in self._hours)

    def _hour_of(self, time_index: int) -> tuple[Hour, int]:
        """Return the hour that holds a tick and the tick's place in it; the last one asked for is kept."""
        number = next(i for i, (first, ticks) in enumerate(self._hours) if first <= time_index < first + ticks)
        hours, at, hour = self._shown if self._shown and self._shown[1] <= number else (self._telemetry(), -1, None)
        while hour is None or at < number:
            hour, at = next(hours), at + 1
        self._shown = (hours, at, hour)
        return hour, time_index - self._hours[number][0]

    def _times(self, hour: Hour, sheet: Sheet) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return START + np.round(hour.seconds[sheet.at] * 1e6).astype(np.int64)

    def _batch(self, hour: Hour, sheet: Sheet, rates: Rates) -> Batch:
        ones = np.ones(len(sheet.metrics))
        return rates.batch(Raw(sheet.table, self._times(hour, sheet), sheet.subjects, sheet.metrics, ones, sheet.values))

    def _events(self, hour: Hour) -> Iterator[Event]:
        for s in hour.said:
            yield Event(stamp(s.seconds), s.subject, s.source, s.code, s.text, s.count)


def _one(batch: Batch, k: int) -> Batch:
    return Batch(batch.table, batch.times[k : k + 1], batch.subjects, batch.metrics, batch.values[k : k + 1])


def _rows(out: TraceWriter, sheet: Sheet, times: np.ndarray[tuple[int], np.dtype[np.int64]]) -> None:
    t, s = np.nonzero(np.isfinite(sheet.values).any(axis=1))
    if not len(t):
        return
    kept = {m: sheet.values[t, i, s] for i, m in enumerate(sheet.metrics)}
    narrow = {m: v if m.partition("{")[0].endswith("_total") else v.astype(np.float32) for m, v in kept.items()}
    out.rows(sheet.table, times[t], np.array(sheet.subjects, object)[s], narrow)
