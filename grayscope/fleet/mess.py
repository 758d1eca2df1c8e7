"""Mess: how rows get from the sources onto disk: clocks that are wrong, rows that are late or come twice, numbers a part cannot tell."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from grayscope.batch import Batch
from grayscope.fleet.moment import START
from grayscope.fleet.noise import Streams, stream
from grayscope.fleet.scenario import Mess
from grayscope.fleet.skus import KINDS
from grayscope.fleet.telemetry import Part, Sheet
from grayscope.fleet.topology import Topology
from grayscope.rates import Rates, Raw
from grayscope.tracewriter import TraceWriter

Longs = NDArray[np.int64]


class Post:
    """Writes sheets as long rows, as untidy as the scenario says.

    A tidy trace has running totals, as sources print them. Where rows are late or double, counters travel as
    increments, as agents send them: a total that is read out of order would look like a reset.

    Parameters
    ----------
    topology : Topology
    mess : Mess
    seed : int
    period : float
    rates : Rates
        Makes increments.
    """

    def __init__(self, topology: Topology, mess: Mess, seed: int, period: float, rates: Rates) -> None:
        self.mess, self.period, self.rates = mess, period, rates
        self.untidy = mess.late > 0 or mess.duplicates > 0
        most = min(1.0, period / 4)
        skew = np.clip(stream(seed, "clocks").normal(0, 1, topology.nodes) * mess.skew_s, -most, most)
        self.skew = dict(zip(topology.node_names, np.round(skew * 1e6).astype(np.int64).tolist(), strict=True))
        self.rng = Streams(seed, "post", split=True)
        self._of: dict[str, tuple[NDArray[np.object_], Longs]] = {}

    def write(self, out: TraceWriter, sheet: Sheet, seconds: NDArray[np.float64]) -> int:
        """Write one sheet; return how many rows it had."""
        times = START + np.round(seconds[sheet.at] * 1e6).astype(np.int64)
        values: NDArray[np.floating] = sheet.values
        if self.untidy:
            ones = np.ones(len(sheet.metrics))
            batch: Batch = self.rates.batch(Raw(sheet.table, times, sheet.subjects, sheet.metrics, ones, sheet.values))
            values = batch.values
        t, s = np.nonzero(np.isfinite(values).any(axis=1))
        if not len(t):
            return 0
        names, skew = self._subjects(sheet)
        stamps = times[t] + skew[s]
        columns = {m: np.ascontiguousarray(values[:, i, :])[t, s] for i, m in enumerate(sheet.metrics)}
        narrow = {m: v if not self.untidy and m.partition("{")[0].endswith("_total") else v.astype(np.float32) for m, v in columns.items()}
        if not self.untidy:
            out.rows(sheet.table, stamps, names[s], narrow)
            return len(t)
        again, arrived = self._delivered(stamps, sheet.table)
        out.rows(sheet.table, stamps[again], names[s][again], {m: v[again] for m, v in narrow.items()}, arrived)
        return len(again)

    def _delivered(self, stamps: Longs, table: str) -> tuple[Longs, Longs]:
        """Return which rows arrive (some twice), and when."""
        rows, late = np.arange(len(stamps)), self.rng(f"late {table}").random(len(stamps)) < self.mess.late
        delay = np.where(late, self.rng(f"delays of {table}").integers(1, max(self.mess.late_ticks, 1) + 1, len(stamps)), 0)
        twice = rows[self.rng(f"double {table}").random(len(stamps)) < self.mess.duplicates]
        arrived = stamps + (delay * self.period * 1e6).astype(np.int64)
        order = np.concatenate([rows, twice])
        return order, np.concatenate([arrived, arrived[twice] + round(self.period * 1e6)])

    def _subjects(self, sheet: Sheet) -> tuple[NDArray[np.object_], Longs]:
        if sheet.table not in self._of:
            skew = [self.skew.get(name.split("/")[0], 0) for name in sheet.subjects]
            self._of[sheet.table] = np.array(sheet.subjects, object), np.array(skew, np.int64)
        return self._of[sheet.table]


def mute(topology: Topology, parts: dict[str, Part]) -> None:
    """Take away what the second kind of GPU cannot tell."""
    for kind, sku in enumerate(KINDS):
        nodes = np.flatnonzero(topology.kind_of_node == kind)
        for part in parts.values() if len(nodes) else ():
            for name, column in part.columns.items():
                if name.partition("{")[0] in sku.mute:
                    each = column.shape[1] // topology.nodes
                    column = part.columns[name] = np.array(column, np.float64)
                    column[:, (nodes[:, None] * each + np.arange(each)).ravel()] = np.nan
