"""Tables of parts and what the ledger says of them, for its tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from grayscope import plugins
from grayscope.catalogue import Catalogue
from grayscope.evidence import Finding
from grayscope.ledger import Entry
from grayscope.roster import Roster, RosterRow
from grayscope.stand import Stand
from grayscope.tick import Tick

Array = np.ndarray[Any, Any]
NAN = float("nan")
SKU = {"gpu": "NVIDIA H100 80GB HBM3", "pcie": "NVIDIA H100 80GB HBM3"}
NAMES: Mapping[str, Callable[[int], str]] = {
    "gpu": lambda i: f"n{i // 8}/gpu{i % 8}", "pcie": lambda i: f"n{i // 8}/gpu{i % 8}/pcie", "nic": lambda i: f"n{i // 8}/nic{i % 8}",
    "nvlink": lambda i: f"n0/gpu0/nvlink{i}", "node": lambda i: f"n{i}", "leaf": lambda i: f"leaf{i}", "drive": lambda i: f"n0/nvme{i}",
    "port": lambda i: f"leaf0/port{i}", "job": lambda i: f"job:{i}",
}  # fmt: skip


class Books(NamedTuple):
    """What the ledger said: findings and rows."""

    findings: list[Finding]
    entries: list[Entry]

    @property
    def accused(self) -> set[str]:
        return {f.subject for f in self.findings}


def keep(*tables: tuple[str, Mapping[str, Array]], period: float = 10.0, detector: Any = None, keys: Mapping[str, str] | None = None) -> Books:
    """Feed tables [T, S], tick by tick and table by table, to the ledger."""
    detector = detector or plugins.detector("ledger")
    stand, step, findings, entries = Stand(Catalogue.load()), round(period * 1e6), [], []
    names = {table: tuple(NAMES[table](i) for i in range(next(iter(values.values())).shape[1])) for table, values in tables}
    rows = [RosterRow(s, t, keys=keys or {"sku": SKU.get(t, "A"), "job": "j"}) for t, subjects in names.items() for s in subjects]
    view, metrics = Roster(rows).at(0), {table: tuple(sorted(values)) for table, values in tables}
    for t in range(len(next(iter(tables[0][1].values())))):
        for table, values in tables:
            matrix = np.stack([values[m][t] for m in metrics[table]]).astype(np.float32)
            tick = Tick(table, (t + 1) * step, step, view, names[table], metrics[table], matrix, np.zeros(matrix.shape[1], bool))
            evidence = detector.step(tick, stand.step(tick))
            findings += list(evidence)
            entries += evidence.ledger
    return Books(findings, entries)


def flat(value: float, ticks: int = 60, subjects: int = 8) -> Array:
    return np.full((ticks, subjects), value)


def late(value: float, then: float, who: int = 3, at: int = 20, ticks: int = 60, subjects: int = 8) -> Array:
    values = flat(value, ticks, subjects)
    values[at:, who] = then
    return values


ROWS, SHOWN = 'gpu_rows_remapped_total{cause="corrected"}', 'gpu_rows_remapped{cause="corrected"}'


def staircase(moments: list[int], ticks: int, start: float = 0.0, subjects: int = 16, who: int = 3) -> dict[str, Array]:
    """Return increments and totals of one part that steps at `moments`; the others stand still at what they have."""
    gained, total = flat(0, ticks, subjects), flat(0, ticks, subjects)
    gained[moments, who] = 1
    total[:, who] = start
    total[:, 5] = 2  # an old board
    return {ROWS: gained, SHOWN: total + np.cumsum(gained, axis=0)}


def ratios(ticks: int, subjects: int = 16, slope: float = 0.0, at: int = 0, who: int = 3) -> Array:
    """Return bit error ratios near 1e-7, one of them growing by `slope` decades per tick from `at` on."""
    rng = np.random.default_rng(4)
    decades = -7 + rng.normal(0, 0.3, subjects) + rng.normal(0, 0.05, (ticks, subjects))
    decades[at:, who] += slope * np.arange(ticks - at)
    return 10**decades
