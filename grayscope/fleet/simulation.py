"""Simulation: a scenario played out: jobs come and go, faults strike, and a trace with its truth is written hour by hour."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from grayscope.catalogue import Catalogue
from grayscope.event import Event
from grayscope.fleet.devicesmore import MoreGpus
from grayscope.fleet.draw import draw
from grayscope.fleet.faults import Fault
from grayscope.fleet.illsmemory import replaced
from grayscope.fleet.lottery import Lottery
from grayscope.fleet.machines import Drives, Machines
from grayscope.fleet.mess import Post, mute
from grayscope.fleet.moment import stamp
from grayscope.fleet.place import Place
from grayscope.fleet.ports import Ports, leaves
from grayscope.fleet.records import Records
from grayscope.fleet.register import Register
from grayscope.fleet.scenario import Scenario
from grayscope.fleet.schedule import schedule
from grayscope.fleet.seats import Seat, moved
from grayscope.fleet.telemetry import Hour, Part, Scene, Telemetry
from grayscope.fleet.topology import DRIVES, Topology
from grayscope.fleet.truth import Meter
from grayscope.fleet.work import members
from grayscope.rates import Rates
from grayscope.tracewriter import TraceWriter

#: Numbers of one metric that are made at once: an hour of 1,000 GPUs at 10 s.
AT_ONCE = 400_000
SELDOM = frozenset({"nvlink"})


@dataclass(frozen=True, slots=True)
class Written:
    """What a simulation wrote: rows by table, drawn faults by mode, and truth rows by mode and state."""

    rows: dict[str, int]
    drawn: dict[str, int]
    truth: list[dict[str, Any]]


class Simulation:
    """One scenario with one seed; the same arguments give the same trace.

    Parameters
    ----------
    scenario : Scenario
    faults : sequence of Fault, optional
        Instead of those that are drawn.

    Examples
    --------
    >>> from grayscope.fleet.scenario import load
    >>> Simulation(load("null")).faults
    ()
    """

    def __init__(self, scenario: Scenario, faults: tuple[Fault, ...] | None = None) -> None:
        self.scenario = scenario
        n, second = scenario.nodes, round(scenario.nodes * scenario.second)
        seats = schedule(n, second, scenario.busy, scenario.hours, scenario.seed)
        first = Topology(n, scenario.gpus, scenario.seed, seats, second)
        self.faults = draw(scenario, first) if faults is None else faults
        self.topology = Topology(n, scenario.gpus, scenario.seed, _after_failures(seats, self.faults, n, second), second)
        self.lottery = Lottery.draw(self.topology, scenario.seed)
        self.place = Place(self.topology, self.lottery)
        self.every = scenario.link_period_s // scenario.period_s
        self.meter = Meter(self.place, self.faults, 3600.0 * scenario.hours)

    @property
    def gpu_weeks(self) -> float:
        """Return how many GPU-weeks it shows."""
        return len(self.topology.gpu_names) * self.scenario.hours / 168

    def register(self) -> Register:
        """Return the roster's maker; a GPU whose remap failed is another part after its repair."""
        return Register(self.topology, complete=True, swaps={self.place.gpu(name): at for name, at in replaced(self.faults)})

    def write(self, path: str | Path, *, progress: Callable[[int, int], None] | None = None, overwrite: bool = False) -> Written:
        """Write the trace; `progress` is told (event time, rows) now and then."""
        scenario, rows = self.scenario, Counter[str]()
        post = Post(self.topology, scenario.mess, scenario.seed, float(scenario.period_s), Rates(Catalogue.load()))
        form = "increments" if post.untidy else "cumulative"
        note = f"simulated: {scenario.name}, seed {scenario.seed}, base rates x {scenario.acceleration:g}. {scenario.note}"
        with TraceWriter(path, cluster=scenario.name, note=note, overwrite=overwrite) as out:
            out.roster(self.register().rows(), 0 if post.untidy else None)
            for hour in self.hours():
                for sheet in hour.sheets:
                    rows[sheet.table] += post.write(out, sheet, hour.seconds)
                for s in hour.said:
                    out.event(Event(stamp(s.seconds), s.subject, s.source, s.code, s.text, s.count), stamp(s.seconds) if post.untidy else None)
                if progress is not None:
                    progress(stamp(float(hour.seconds[-1])), rows.total())
            periods = {t: scenario.link_period_s if t in SELDOM else scenario.period_s for t in rows}
            out.describe(tables={t: {"period_s": p, "counters": form} for t, p in periods.items()})
            truth = self.truth_rows()
            out.truth(truth)
        return Written(dict(rows), dict(Counter(f.mode for f in self.faults)), truth)

    def hours(self) -> Iterator[Hour]:
        """Yield all tables, piece by piece; `truth_rows` tells afterwards what was measured on the way."""
        s, period = self.scenario, float(self.scenario.period_s)
        self.meter = Meter(self.place, self.faults, 3600.0 * s.hours)
        more = _More(self.topology, self.lottery, s.seed, period, self.meter)
        source = Telemetry(self.topology, self.lottery, self.faults, s.seed, period, self.every, more, s.mess.missing)
        return (source.hour(first, ticks) for first, ticks in self.pieces())

    def truth_rows(self) -> list[dict[str, Any]]:
        """Return the rows of truth.parquet, once all hours have been made; each says how much too often its kind was drawn."""
        rows = self.meter.rows()
        for row in rows:
            factor = self.scenario.speed.get(row["mode"], 1.0) * (1.0 if row["state"] == "benign" else self.scenario.acceleration)
            row["note"] = f"{row['note']} [{factor:g} x base rate]"
        return rows

    def pieces(self) -> list[tuple[int, int]]:
        """Return (first tick, ticks) of what is made at once: an hour, less in a large fleet."""
        total = max(round(self.scenario.hours * 3600 / self.scenario.period_s), 1)
        hour = min(3600 // self.scenario.period_s, AT_ONCE // max(len(self.topology.gpu_names), len(self.topology.rank_gpu)))
        size = max(hour // self.every, 1) * self.every
        return [(first, min(size, total - first)) for first in range(0, total, size)]


class _More:
    """Adds to each hour what only the full simulation has, and measures the truth on the way."""

    def __init__(self, topology: Topology, lottery: Lottery, seed: int, period: float, meter: Meter) -> None:
        self.topology, self.meter = topology, meter
        self.gpus, self.ports = MoreGpus(topology, seed, period), Ports(topology, lottery, seed, period)
        self.machines, self.drives, self.records = Machines(topology), Drives(topology, seed, period), Records(topology, seed)

    def __call__(self, scene: Scene) -> None:
        parts, wrong, top = scene.parts, scene.wrong, self.topology
        self.meter.add(wrong, scene.alone, scene.phases, scene.sitting)
        parts["gpu"].columns |= self.gpus.hour(scene.now, wrong, parts["gpu"].columns)
        parts["nic"].columns |= self.ports.hour(scene.now, wrong)
        parts["node"].columns |= self.machines.hour(wrong)
        ticks = len(scene.now.seconds)
        gone = {t: np.zeros((ticks, n), bool) for t, n in (("comm", len(self.records.names)), ("leaf", len(top.leaf_names)))}
        there = np.stack([scene.sitting[:, mine].any(axis=1) for mine in members(top)], axis=1)
        parts["drive"] = Part(top.drive_names, self.drives.hour(scene.now, wrong), np.repeat(scene.gone, DRIVES, axis=1))
        parts["comm"] = Part(self.records.names, self.records.comms(wrong, scene.stepping), gone["comm"])
        parts["job"] = Part(top.jobs, self.records.jobs(wrong, scene.steps, scene.stepping), ~there)
        parts["leaf"] = Part(top.leaf_names, leaves(wrong), gone["leaf"])
        mute(top, parts)


def _after_failures(seats: tuple[Seat, ...], faults: tuple[Fault, ...], nodes: int, second: int) -> tuple[Seat, ...]:
    """Return the seats after every job that lost a GPU has moved off its node, as long as there is a spare one of the kind."""
    used = {s.node for s in seats}
    spare = [n for n in range(nodes) if n not in used]
    out: list[Seat] = list(seats)
    for fault in sorted((f for f in faults if f.mode == "uncorrectable_memory"), key=lambda f: f.began):
        node = int(fault.subject.split("/")[0][1:]) - 1
        fitting = [n for n in spare if (n >= nodes - second) == (node >= nodes - second)]
        at = fault.began + fault.extra
        if fitting and any(s.node == node and s.since < at < s.until for s in out):
            spare.remove(fitting[0])
            out = moved(out, node, at, fitting[0])
    return tuple(out)
