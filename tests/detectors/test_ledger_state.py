"""Ledger: what it keeps survives a pause and does not grow."""

from __future__ import annotations

from typing import Any

import numpy as np

from grayscope import plugins
from grayscope.catalogue import Catalogue
from grayscope.ledger import DAY
from grayscope.roster import Roster, RosterRow
from grayscope.stand import Stand
from grayscope.tick import Tick
from tests.detectors.books import NAMES, ROWS, Array, Books, flat, keep, late, ratios, staircase


def test_a_pause_changes_nothing() -> None:
    nic = {"nic_port_bit_error_ratio": ratios(900, slope=0.002, at=300), "nic_port_up": late(1, 0, at=500, ticks=900, subjects=16)}
    gpu = {**staircase(list(range(100, 800, 60)), 900), "gpu_active_ratio": flat(0.9, 900, 16)}
    pcie = {"pcie_link_generation": late(5, 1, at=460, ticks=900, subjects=16), "pcie_replays_total": late(0, 9, at=300, ticks=900, subjects=16)}
    whole = plugins.detector("ledger")
    tables = (("gpu", gpu), ("nic", nic), ("pcie", pcie))

    def part(detector: Any, low: int, high: int) -> Books:
        return _keep_from(detector, low, [(t, {m: v[low:high] for m, v in values.items()}) for t, values in tables])

    part(whole, 0, 450)
    second = plugins.detector("ledger")
    second.restore({k: v.copy() for k, v in whole.snapshot().items()})
    ours, theirs = part(second, 450, 900), part(whole, 450, 900)
    assert ours.findings
    assert {e.mechanism for e in ours.entries} >= {"hbm_row_spares", "rail_failover", "pcie_degrade"}
    assert repr(ours) == repr(theirs)


def _keep_from(detector: Any, start: int, tables: list[tuple[str, dict[str, Array]]]) -> Books:
    """Feed tables as `keep` does, later in time."""
    findings, entries, step = [], [], 60_000_000
    names = {t: tuple(NAMES[t](i) for i in range(16)) for t, _ in tables}
    view = Roster(RosterRow(s, t, keys={"sku": "A"}) for t, of in names.items() for s in of).at(0)
    metrics = {t: tuple(sorted(values)) for t, values in tables}
    stand = Stand(Catalogue.load())
    for k in range(len(next(iter(tables[0][1].values())))):
        for t, values in tables:
            matrix = np.stack([values[m][k] for m in metrics[t]]).astype(np.float32)
            tick = Tick(t, (start + k + 1) * step, step, view, names[t], metrics[t], matrix, np.zeros(16, bool))
            evidence = detector.step(tick, stand.step(tick))
            findings += list(evidence)
            entries += evidence.ledger
    return Books(findings, entries)


def test_memory_does_not_grow_with_steps() -> None:
    detector, size = plugins.detector("ledger"), []
    for _ in range(3):
        keep(("gpu", {ROWS: flat(1, 200, 4)}), detector=detector)
        size.append(sum(a.nbytes for a in detector.snapshot().values()))
    assert size[2] < size[0] * 1.1


def test_days_are_microseconds() -> None:
    assert plugins.detector("ledger", horizon=2.0).kinds["stock"].horizon == 2 * DAY
