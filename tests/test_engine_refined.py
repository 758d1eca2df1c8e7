"""Engine: a ring is slow; minutes later the counters of a port on its way are read: one incident, and its first suspect is that port."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from grayscope.batch import Batch
from grayscope.catalogue import Catalogue
from grayscope.engine import Engine, EngineSettings
from grayscope.evidence import Evidence, Finding
from grayscope.incident import Incident
from grayscope.roster import RosterRow
from grayscope.standing import Standing
from grayscope.tick import Tick

S = 1_000_000
RING, PORTS = "comm:1-rail2", ("n1/nic2", "n2/nic2")
SLOW, WORN = 200 * S, 400 * S


class Told:
    """Finds what the test says: the ring is slow from one moment on, a port spends its margin from another one on."""

    rival: ClassVar[bool] = False

    def step(self, tick: Tick, standing: Standing) -> Evidence:
        found = []
        if tick.table == "comm" and tick.time >= SLOW:
            found = [Finding(tick.time, RING, "service", "slower", 20.0, "slow_component", "", tick.metrics[0], 0.24, 0.19)]
        if tick.table == "nic" and tick.time >= WORN:
            found = [Finding(tick.time, PORTS[1], "redundancy", "seldom", 20.0, "fec_margin", "nic_fec", tick.metrics[0])]
        return Evidence(found)

    def snapshot(self) -> dict[str, np.ndarray[Any, Any]]:
        return {}

    def restore(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        pass


def batch(table: str, time: int, subjects: tuple[str, ...], metric: str) -> Batch:
    return Batch(table, np.array([time], np.int64), subjects, (metric,), np.ones((1, 1, len(subjects)), np.float32))


def test_the_port_that_is_read_once_a_minute_refines_the_page_about_its_ring() -> None:
    engine = Engine([Told()], Catalogue.load(), EngineSettings(periods={"comm": 10 * S, "nic": 60 * S}))
    engine.step((RosterRow(RING, "comm", keys={"job": "job:1"}, crosses=PORTS), *(RosterRow(p, "nic") for p in PORTS)))
    changes: list[Incident] = []
    for time in range(10 * S, 600 * S, 10 * S):
        if time % (60 * S) == 0:
            changes += engine.step(batch("nic", time, PORTS, "nic_port_symbol_errors_total")).incidents
        changes += engine.step(batch("comm", time, (RING,), "collective_transfer_seconds")).incidents
    assert (changes[0].subject, changes[0].severity) == (RING, "page")
    assert (changes[-1].subject, changes[-1].severity) == (PORTS[1], "page")
    assert {c.id for c in changes} == {changes[0].id}
    assert changes[-1].history == changes[0].history
