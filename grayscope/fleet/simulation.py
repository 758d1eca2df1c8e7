"""Simulation: a scenario played out: jobs come and go, faults strike, and a trace with its truth is written hour by hour."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grayscope.catalogue import Catalogue
from grayscope.event import Event
from grayscope.fleet.buses import Buses, links, off
from grayscope.fleet.devices import Columns
from grayscope.fleet.devicesmore import MoreGpus
from grayscope.fleet.draw import draw, faster
from grayscope.fleet.effects import Effects
from grayscope.fleet.faults import Fault
from grayscope.fleet.illsbus import fails, replaced
from grayscope.fleet.lottery import Lottery
from grayscope.fleet.machines import Drives, Machines
from grayscope.fleet.mesh import Mesh
from grayscope.fleet.mess import Post, mute
from grayscope.fleet.moment import Moment, stamp
from grayscope.fleet.nvlinks5 import Nvlinks5
from grayscope.fleet.place import Place
from grayscope.fleet.ports import Ports, leaves
from grayscope.fleet.records import Records
from grayscope.fleet.register import Register
from grayscope.fleet.scenario import Scenario
from grayscope.fleet.schedule import schedule
from grayscope.fleet.seats import Seat, moved
from grayscope.fleet.telemetry import Hour, Part, Scene, Telemetry
from grayscope.fleet.topology import DRIVES, NODES_PER_LEAF, Topology
from grayscope.fleet.truth import Meter
from grayscope.fleet.work import members
from grayscope.rates import Rates
from grayscope.tracewriter import TraceWriter

#: Numbers of one metric that are made at once: an hour of 1,000 GPUs at 10 s.
AT_ONCE = 400_000
SELDOM = frozenset({"nvlink", "path"})


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
    seats : sequence of Seat, optional
        Who works where, instead of a schedule that is drawn.

    Examples
    --------
    >>> from grayscope.fleet.scenario import load
    >>> Simulation(load("null")).faults
    ()
    """

    def __init__(self, scenario: Scenario, faults: tuple[Fault, ...] | None = None, seats: tuple[Seat, ...] | None = None) -> None:
        self.scenario = scenario
        n, second = scenario.nodes, round(scenario.nodes * scenario.second)
        seats = schedule(n, second, scenario.busy, scenario.hours, scenario.seed) if seats is None else seats
        leaf = under_one_leaf(n)
        first = Topology(n, scenario.gpus, scenario.seed, seats, second, leaf)
        self.faults = draw(scenario, first) if faults is None else faults
        self.topology = Topology(n, scenario.gpus, scenario.seed, _after_failures(seats, self.faults, n, second), second, leaf)
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
        return Register(self.topology, complete=True, swaps=self.swaps, fabric=self.place.fabric)

    @property
    def swaps(self) -> dict[int, float]:
        """Return which GPU another part replaced at which second."""
        return {self.place.gpu(name): at for name, at in replaced(self.faults)}

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
        more = _More(self.place, s.seed, period, self.every, self.meter)
        source = Telemetry(self.topology, self.lottery, self.faults, s.seed, period, self.every, more, s.mess.missing, self.swaps)
        return (source.hour(first, ticks) for first, ticks in self.pieces())

    def truth_rows(self) -> list[dict[str, Any]]:
        """Return the rows of truth.parquet, once all hours have been made; each says how much too often its kind was drawn."""
        rows = self.meter.rows()
        for row in rows:
            factor = faster(row.pop("by"), self.scenario)
            row["x-acceleration"] = max(factor, 1e-9)
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

    def __init__(self, place: Place, seed: int, period: float, every: int, meter: Meter) -> None:
        top, lottery = place.topology, place.lottery
        self.topology, self.fabric, self.meter, self.period = top, place.fabric, meter, period
        self.gpus, self.ports, self.buses = MoreGpus(top, seed, period), Ports(top, lottery, seed, period), Buses(top, lottery, seed, period)
        self.machines, self.drives, self.records = Machines(top, seed, period), Drives(top, seed, period), Records(top, seed)
        self.nvlinks, self.mesh = Nvlinks5(top, seed, period, every), Mesh(place.fabric, seed, period, every)

    def __call__(self, scene: Scene) -> None:
        parts, wrong, top, now = scene.parts, scene.wrong, self.topology, scene.now
        self.meter.add(wrong, scene.alone, scene.phases, scene.sitting)
        self._devices(parts, now, wrong)
        parts["nic"].columns |= self.ports.hour(now, wrong)
        parts["node"].columns |= self.machines.hour(now, wrong)
        there = np.stack([scene.sitting[:, mine].any(axis=1) for mine in members(top)], axis=1)
        comms, under = self.records.comms(wrong, scene.stepping), leaves(wrong)
        parts["drive"] = Part(top.drive_names, self.drives.hour(now, wrong), np.repeat(scene.gone, DRIVES, axis=1))
        parts["comm"] = Part(self.records.names, comms, _never(comms))
        parts["job"] = Part(top.jobs, self.records.jobs(wrong, scene.steps, scene.stepping), ~there)
        parts["leaf"] = Part(top.leaf_names, under, _never(under))
        if self.fabric.paths:
            at, columns, dead = self.mesh.hour(round(float(now.seconds[0]) / self.period), wrong)
            silent = scene.gone[at][:, top.node_of_gpu[self.mesh.ends[:, 0]]]
            parts["path"] = Part(self.fabric.path_names, columns, dead | silent, at)
        mute(top, parts)

    def _devices(self, parts: dict[str, Part], now: Moment, wrong: Effects) -> None:
        """Add what GPUs and their links tell, and take away what one off the bus cannot."""
        gpu, nvlink, pcie = parts["gpu"], parts["nvlink"], parts["pcie"]
        gpu.columns |= self.gpus.hour(now, wrong, gpu.columns)
        pcie.columns |= self.buses.hour(now, wrong)
        assert nvlink.at is not None
        nvlink.columns |= self.nvlinks.hour(nvlink.at, now, wrong)
        if wrong.touched("lost"):
            lost = wrong["lost"]
            off(gpu.columns, lost)
            pcie.gone |= lost > 0
            nvlink.gone |= links(lost[nvlink.at]) > 0


def _never(columns: Columns) -> NDArray[np.bool_]:
    return np.zeros(next(iter(columns.values())).shape, bool)


def under_one_leaf(nodes: int) -> int:
    """Return how many nodes one leaf switch serves: 32, fewer in a small fleet, so that it has spines to share (assumed).

    Examples
    --------
    >>> [under_one_leaf(n) for n in (1, 8, 16, 128, 2048)]
    [1, 2, 4, 32, 32]
    """
    return min(max(nodes // 4, 1), NODES_PER_LEAF)


def _after_failures(seats: tuple[Seat, ...], faults: tuple[Fault, ...], nodes: int, second: int) -> tuple[Seat, ...]:
    """Return the seats after every job that lost a GPU has moved off its node, as long as there is a spare one of the kind."""
    used = {s.node for s in seats}
    spare = [n for n in range(nodes) if n not in used]
    out: list[Seat] = list(seats)
    for fault, at in sorted(fails(faults), key=lambda f: f[1]):
        node = int(fault.subject.split("/")[0][1:]) - 1
        fitting = [n for n in spare if (n >= nodes - second) == (node >= nodes - second)]
        if fitting and any(s.node == node and s.since < at < s.until for s in out):
            spare.remove(fitting[0])
            out = moved(out, node, at, fitting[0])
    return tuple(out)
