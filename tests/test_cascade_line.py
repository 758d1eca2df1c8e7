"""A cascade through the whole line: a fan fails, GPUs get hot, brake, and their job waits: one incident, first a ticket, then a page."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from grayscope import assembly
from grayscope.engine import Engine
from grayscope.explaining import explain
from grayscope.incident import Incident
from grayscope.roster import Roster, RosterRow, View
from grayscope.settings import Settings
from grayscope.tick import Tick

#: Two jobs on eight machines of four GPUs each; the ticks at which a fan loses speed, heat begins to show, and clocks are held down.
PERIOD, MACHINES, GPUS, BAD = 10_000_000, 16, 4, 3
FAN, HOT, SLOW, END = 90, 120, 170, 200
BRAKED = 'gpu_clock_limit_seconds_total{reason="thermal_software"}'


def fleet() -> View:
    rows = []
    for n in range(MACHINES):
        keys = {"node": f"n{n:02d}", "leaf": f"leaf{n // 8}", "job": f"job:{n // 8}", "sku": "H100"}
        rows.append(RosterRow(keys["node"], "node", keys=keys))
        for g in range(GPUS):
            gpu = f"n{n:02d}/gpu{g}"
            rows.append(RosterRow(gpu, "gpu", keys={**keys, "slot": str(g)}))
            rows.append(RosterRow(f"job:{n // 8}/r{n % 8 * GPUS + g:02d}", "rank", keys={**keys, "gpu": gpu, "role": "dp"}))
    return Roster(rows).at(0)


def hear(engine: Engine, found: list[Incident], t: int, view: View, table: str, values: dict[str, NDArray[np.float64]]) -> None:
    names = view.tables[table]
    matrix = np.array(list(values.values()), np.float32)
    tick = Tick(table, t * PERIOD, PERIOD, view, names, tuple(values), matrix, np.zeros(len(names), bool))
    found += engine.judged(tick, engine.compared(tick)).incidents


def test_a_fan_that_slows_a_job_is_one_incident_with_the_fan_first_and_a_ticket_before_the_page() -> None:
    view, draw, found = fleet(), np.random.default_rng(1), list[Incident]()
    engine, n = assembly.engine(Settings(), periods=dict.fromkeys(("node", "gpu", "rank"), PERIOD)), MACHINES * GPUS
    machine = np.array([int(s[1:3]) for s in view.tables["gpu"]])
    home = np.array([int(view.key(s, "node")[1:]) for s in view.tables["rank"]])
    for t in range(1, END):
        fans = (9000 + 60 * draw.standard_normal(MACHINES)) * np.where((np.arange(MACHINES) == BAD) & (t > FAN), 0.55, 1.0)
        ill, felt = machine == BAD, (home == BAD) & (t > SLOW)
        heat = 22 * np.clip((t - HOT) / (SLOW - HOT), 0, 1) * ill
        braked = ill & (t > SLOW)
        gpu = {
            "gpu_temperature_celsius": 60 + draw.standard_normal(n) + heat, "gpu_power_watts": 600 + 8 * draw.standard_normal(n),
            BRAKED: np.where(braked, 4 + draw.random(n), 0.0), "gpu_clock_hertz": (1.98e9 + 3e6 * draw.standard_normal(n)) * np.where(braked, 0.9, 1.0),
            "gpu_active_ratio": np.full(n, 0.95),
        }  # fmt: skip
        compute = np.exp(0.015 * draw.standard_normal(n) + 0.1 * felt)
        waited = np.array([compute[home // 8 == j].max() for j in (0, 1)])[home // 8] - compute + 0.02
        hear(engine, found, t, view, "node", {"fan_speed_rpm": fans})
        hear(engine, found, t, view, "gpu", gpu)
        hear(engine, found, t, view, "rank", {"compute_seconds": compute, "collective_wait_seconds": waited})
    assert len({i.id for i in found}) == 1
    last = found[-1]
    assert (last.subject, last.mode, last.severity) == ("n03", "fan_degraded", "page")
    assert [severity for _, _, severity in last.history] == ["ticket", "page"]
    assert FAN * PERIOD < last.noticed <= HOT * PERIOD
    assert last.escalated is not None
    assert SLOW * PERIOD < last.escalated <= (SLOW + 12) * PERIOD
    told = explain(last)
    assert [part for part in ("fan_speed_rpm", "gpu_temperature_celsius", "collective_wait_seconds") if part not in told] == []
