"""Stand: compare every cell of a tick with its role-matched peers, after load, and with its own past."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grayscope import fewpeers, kernels, leastspread
from grayscope.catalogue import Catalogue, Metric
from grayscope.columns import Columns, Field, Memory, common
from grayscope.commblame import CONGESTION
from grayscope.doubts import Doubts
from grayscope.fewpast import FewPast
from grayscope.loads import Loads
from grayscope.mates import STRANGERS, grouped, less_shared, strangers, with_mates
from grayscope.roster import View
from grayscope.shifts import Names, Shifts
from grayscope.standing import Standing
from grayscope.tick import Tick
from grayscope.unloading import SUMS

#: Ticks over which a cell's own usual residual is learned.
PAST = 2048
#: Units that are compared by ratio.
RATIO_UNITS = frozenset({"s", "By/s", "Hz", "1/s", "By", "J", "us"})
#: Smallest spread that means anything, per unit, where peers are all alike.
QUANTUM = {"s": 1e-6, "Cel": 0.5, "W": 1.0, "1": 0.005, "rpm": 20.0, "lanes": 0.05, "links": 0.05}
#: Share of the time at work below which a part rests.
REST = 0.05
#: Where a state holds what parts have told about their loads, and the past of small groups.
TOLD, FEW = "|told|", "|few|"
JUDGED_SIDES = frozenset({"service", "redundancy", "condition"})


#: Who stood in which group: subjects, and for each choice of keys the group of each subject.
Placed = tuple[tuple[str, ...], dict[str, NDArray[np.object_]]]


@dataclass(slots=True, eq=False)
class Layout:
    """The peer groups of one table under one view of the roster, and what each row means."""

    view: View
    subjects: tuple[str, ...]
    names: tuple[str, ...]
    metrics: tuple[Metric | None, ...]
    kind: NDArray[np.int8]
    sign: NDArray[np.int8]
    load: NDArray[np.int32]
    needs: tuple[tuple[int, int], ...]
    loaded: tuple[str, ...]
    grain: NDArray[np.float32]
    counts: NDArray[np.bool_]
    layout: NDArray[np.int32]
    label: NDArray[np.int32]
    order: NDArray[np.int32]
    starts: NDArray[np.int32]
    groups: NDArray[np.int32]
    of: dict[str, NDArray[np.object_]]
    called: tuple[Names, ...]
    wide: NDArray[np.bool_]
    mates: NDArray[np.int32]
    centre: NDArray[np.float32]
    spread: NDArray[np.float32]
    count: NDArray[np.int32]
    left: NDArray[np.float32]
    least: NDArray[np.float32]
    floor: NDArray[np.float32]
    pooled: NDArray[np.float32]
    few: tuple[fewpeers.Few, ...]


class Stand:
    """The station: one `Standing` per tick. Remembers spread, own past and the effect of load.

    Parameters
    ----------
    catalogue : Catalogue
        Says what each metric means.
    disabled : set of str
        Metrics that are not judged.
    """

    def __init__(self, catalogue: Catalogue, disabled: frozenset[str] = frozenset()) -> None:
        self.catalogue = catalogue
        self.disabled = disabled
        fields = {**{name: Field(np.float32, 0.0) for name in ("scale", "noise", "base")}, **{name: Field(np.int32, 0) for name in ("age", "missed")}}
        self.memory = Memory(fields)
        self.shifts = Shifts()
        self.layouts: dict[str, Layout] = {}
        self.loads = Loads()
        self.told = Memory({"told": Field(np.float32, 0.0, (2,))})
        self.placed: dict[str, Placed] = {}
        self.doubts, self.few = Doubts(), FewPast()

    def step(self, tick: Tick, doubted: frozenset[str] = frozenset()) -> Standing:
        """Compare one tick; nothing is learned from subjects that are `doubted`."""
        memory = self.memory.of(tick)
        lay, moved = self._layout(tick)
        values = np.empty(tick.values.shape, np.float32)
        leastspread.per_tick(np.require(tick.values, np.float32, ["C", "A"]), lay.counts, memory.arrays["missed"], values)
        for m, work in lay.needs:
            values[m, values[work] < REST] = np.nan
        _forget_moved(memory, moved[lay.layout] if moved.any() else None)
        residual, past = np.empty_like(values), np.empty_like(values)
        doubt = self.doubts.of(tick, doubted)
        doubt = with_mates(doubt, lay.mates) if lay.wide.any() else doubt
        loads = self.loads.tables[tick.table]
        told = self._told(tick, lay)
        sums = np.zeros((*loads.curve.shape[:2], SUMS))
        kernels.compare(
            values, values.view(np.int32), lay.kind, lay.sign, lay.load, loads.unit(), loads.curve, lay.layout, lay.order, lay.starts, lay.groups,
            loads.seat, doubt, memory.arrays["scale"], residual, lay.centre, lay.spread, lay.count, sums, told,
        )  # fmt: skip
        self.loads.learn(tick.table, sums, told, lay.label[lay.layout[lay.load >= 0]])
        if lay.wide.any():
            less_shared(residual, lay.wide, lay.mates)
        leastspread.least(lay.centre, lay.spread, lay.count, lay.kind == kernels.LINEAR, lay.least, lay.layout, lay.groups, lay.floor, lay.pooled)
        medians = fewpeers.medians(values, lay.centre, lay.count, lay.few)
        shift, before = self.shifts.step(tick.table, medians[0], lay.floor, medians[1], lay.sign, lay.groups[lay.layout])
        kernels.remember(
            residual, lay.spread, lay.layout, lay.order, lay.starts, lay.groups, lay.sign, lay.floor, lay.pooled, doubt,
            memory.arrays["scale"], memory.arrays["noise"], memory.arrays["base"], memory.arrays["age"], past, PAST, lay.left,
        )  # fmt: skip
        of = lay.label[lay.layout]
        noise, few = self.few.fill(tick, lay.metrics, lay.kind, lay.sign, of, doubt, moved[lay.layout], past, memory.arrays["noise"])
        learned = (memory.arrays["scale"], noise, lay.centre, lay.spread, lay.count, shift, before)
        return Standing(lay.metrics, lay.kind, lay.sign, residual, past, *learned, lay.layout, lay.label, doubt, moved, lay.called, few)

    def _told(self, tick: Tick, lay: Layout) -> NDArray[np.float32]:
        """Return what each part has told about the load of the R metrics that have one [2, R, S]."""
        if not lay.loaded:
            return np.zeros((2, 0, len(tick.subjects)), np.float32)
        told: NDArray[np.float32] = self.told.of(replace(tick, metrics=lay.loaded)).arrays["told"]
        return told

    # -- peers ------------------------------------------------------------------------------------------------------

    def _layout(self, tick: Tick) -> tuple[Layout, NDArray[np.bool_]]:
        old = self.layouts.get(tick.table)
        if old is not None and old.view is tick.roster and old.subjects is tick.subjects and old.names is tick.metrics:
            return old, np.zeros((len(old.label), len(tick.subjects)), bool)
        new = self.layouts[tick.table] = build_layout(self.catalogue, self.disabled, tick)
        moved = _moved(self.placed.get(tick.table), new)
        self.placed[tick.table] = (new.subjects, new.of)
        self.shifts.lay_out(tick.table, tick.metrics, new.called, new.layout, new.centre.shape[1], new.few)
        loaded = {name: new.called[new.layout[m]] for m, name in enumerate(tick.metrics) if new.load[m] >= 0}
        common = frozenset(name for name, wide in zip(tick.metrics, new.wide, strict=True) if wide)
        rows = new.load >= 0
        self.loads.lay_out(tick.table, loaded, new.grain[rows], np.diff(new.starts[new.layout[rows]], axis=1), common)
        return new, moved

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Return all memory as arrays."""
        out = {**self.memory.snapshot(), **self.shifts.snapshot(), **self.loads.snapshot()}
        out |= {TOLD + key: array for key, array in self.told.snapshot().items()} | {FEW + key: array for key, array in self.few.snapshot().items()}
        for table, (_, groups) in self.placed.items():
            out |= {f"{table}|groups|{keys}": of.astype(np.str_) for keys, of in groups.items()}
        return out

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Become what `snapshot` returned; the peer groups are rebuilt from the next tick's roster."""
        self.layouts, self.placed = {}, {}
        self.shifts.restore(state)
        self.loads.restore(state)
        self.told.restore({k.removeprefix(TOLD): v for k, v in state.items() if k.startswith(TOLD)})
        self.few.restore({k.removeprefix(FEW): v for k, v in state.items() if k.startswith(FEW)})
        self.memory.restore({k: v for k, v in state.items() if not any(part in k for part in (TOLD, FEW, "|load|", "|groups|", "|shift|"))})
        for key, total in state.items():
            table, _, keys = key.partition("|groups|")
            if "|groups|" in key:
                subjects = self.memory.tables[table].subjects
                self.placed.setdefault(table, (subjects, {}))[1][keys] = total.astype(object)


def build_layout(catalogue: Catalogue, disabled: frozenset[str], tick: Tick) -> Layout:
    """Work out who is compared with whom: subjects that are equal in the keys that the metric names."""
    metrics = tuple(_meaning(catalogue, disabled, tick.table, name) for name in tick.metrics)
    keys = sorted({m.peers if m else () for m in metrics})
    row = {k: i for i, k in enumerate(keys)}
    labels, names = zip(*(grouped(tick, k) for k in keys), strict=True) if keys else ((), ())
    width = max((len(n) for n in names), default=1) or 1
    label = np.array(labels, np.int32).reshape(len(keys), len(tick.subjects))
    starts = np.zeros((len(keys), width + 1), np.int32)
    for i, (of, groups) in enumerate(zip(label, names, strict=True)):
        starts[i, 1:] = np.cumsum(np.bincount(of, minlength=width)) if len(groups) else 0
    where = {name: m for m, name in enumerate(tick.metrics)}
    load = np.array([where.get(m.load, -1) if m and m.load else -1 for m in metrics], np.int32)
    shape = (len(metrics), width)
    kind, sign = np.array([_kind(m) for m in metrics], np.int8), [_sign(m) for m in metrics]
    wide = np.array([m is not None and strangers(m.peers, names[row[m.peers]]) for m in metrics], bool)
    grain = _grain(kind, np.array([_quantum(m, tick.period) for m in metrics], np.float32))
    return Layout(
        tick.roster, tick.subjects, tick.metrics, metrics,
        kind=kind,
        sign=np.array(sign, np.int8),
        load=load,
        needs=tuple((i, where[m.needs]) for i, m in enumerate(metrics) if m and m.needs in where),
        loaded=tuple(tick.metrics[m] for m in np.flatnonzero(load >= 0)),
        grain=grain,
        counts=np.array([m is not None and m.type == "counter" for m in metrics], bool),
        layout=np.array([row[m.peers if m else ()] for m in metrics], np.int32),
        label=label,
        order=np.argsort(label, axis=1, kind="stable").astype(np.int32),
        starts=starts,
        groups=np.array([len(n) for n in names], np.int32),
        of={"".join(f"{k}|" for k in ks): np.array([*map(repr, n)], object)[of] if len(n) else np.array([], object)
            for ks, n, of in zip(keys, names, label, strict=True)},
        called=names,
        wide=wide,
        mates=tick.roster.labels(tick.subjects, ("node",))[0],
        centre=np.zeros(shape, np.float32), spread=np.zeros(shape, np.float32), count=np.zeros(shape, np.int32), left=np.zeros(shape, np.float32),
        least=np.where(wide & (kind == kernels.LOG), STRANGERS, grain), floor=np.zeros(shape, np.float32), pooled=np.zeros(len(metrics), np.float32),
        few=tuple(fewpeers.of(i, int(kind[i]), sign[i], label[row[m.peers]]) for i, m in enumerate(metrics) if m and m.mode == CONGESTION and sign[i]),
    )  # fmt: skip


def _meaning(catalogue: Catalogue, disabled: frozenset[str], table: str, name: str) -> Metric | None:
    metric = catalogue.get(name)
    return metric if metric and metric.table == table and name not in disabled else None


def _kind(metric: Metric | None) -> int:
    if metric is None:
        return kernels.LINEAR
    if metric.type == "counter":
        return kernels.LINEAR if metric.unit in RATIO_UNITS else kernels.COUNT
    if metric.waits:
        return kernels.LINEAR  # whoever is last waits for nobody: near zero a ratio says nothing
    return kernels.LOG if metric.type == "gauge" and metric.unit in RATIO_UNITS else kernels.LINEAR


def _sign(metric: Metric | None) -> int:
    """Return which direction is judged. Whoever waits least is the one that the others wait for."""
    if metric is None or metric.side not in JUDGED_SIDES:
        return 0
    if metric.waits:
        return -1
    return {"higher": 1, "lower": -1}.get(metric.worse, 0)


def _quantum(metric: Metric | None, period: int) -> float:
    if metric is None:
        return 1.0
    if metric.type == "counter" and metric.unit == "s":
        return 0.01 * period / 1e6
    return QUANTUM.get(metric.unit, 0.01)


def _grain(kind: NDArray[np.int8], quantum: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the least spread [M] whatever the values are: half a percent, one unit of a count's scale, or the unit's own grain."""
    other = np.where(kind == kernels.LOG, np.float32(0.005), np.float32(1.0))
    return np.where(kind == kernels.LINEAR, quantum, other).astype(np.float32)


def _moved(old: Placed | None, new: Layout) -> NDArray[np.bool_]:
    """Say which subjects [L, S] stand in another group than before."""
    moved = np.zeros(new.label.shape, bool)
    if old is None:
        return moved
    subjects, before = old
    then, now = common(subjects, new.subjects)
    for row, (keys, groups) in enumerate(new.of.items()):
        if keys in before:
            moved[row, now] = before[keys][then] != groups[now]
    return moved


def _forget_moved(memory: Columns, cells: NDArray[np.bool_] | None) -> None:
    if cells is not None:
        for array in memory.arrays.values():
            array[cells] = 0
