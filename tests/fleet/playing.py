"""A small fleet played with a fault and without: what the tests of single kinds compare."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grayscope.fleet import Fault
from grayscope.fleet.effects import Said
from grayscope.fleet.hazards import hazards
from grayscope.fleet.moment import START
from grayscope.fleet.scenario import Mess, Scenario
from grayscope.fleet.simulation import Simulation

Floats = NDArray[np.float64]
SCENARIO = Scenario("test", nodes=8, gpus=4, hours=1.5, busy=0.9, seed=3, mess=Mess(missing=0.0, skew_s=0.0))
LEAD, END = 1800.0, 4500.0

#: Mode, strength, extra and form of what hurts ...
GRAY = [
    ("thermal_throttle", 0.2, 0.0, ""), ("slow_rank", 0.08, 0.0, ""), ("slow_silicon", 0.1, 0.0, ""), ("pcie_width", 8.0, 0.3, ""),
    ("nvlink_degrade", 6.0, 0.0, ""), ("nvlink_errors", 500.0, 0.3, ""), ("power_cap", 0.15, 0.0, ""), ("fan_degraded", 0.6, 0.0, ""),
    ("rail_failover", 0.125, 0.0, ""), ("nic_rate", 0.5, 0.0, ""), ("nic_errors", 30.0, 0.2, ""), ("link_corruption", 1e-4, 0.15, ""),
    ("switch_fault", 0.4, 0.0, ""), ("switch_fault", 0.5, 0.0, "uplink"), ("switch_fault", 0.5, 0.0, "spine"), ("lemon_node", 0.3, 1200.0, ""),
    ("link_flap", 30.0, 0.0, ""), ("hbm_row_spares", 60.0, 0.15, ""), ("slow_drive", 4.0, 0.05, ""), ("fec_margin", 20.0, 0.0, ""),
    ("host_memory_errors", 20.0, 0.2, ""),
]  # fmt: skip
#: ... and of what redundancy hides.
MASKED = [
    ("ecc_burst", 20.0, 50.0, ""), ("hbm_row_spares", 8.0, 0.1, ""), ("hbm_row_spares", 8.0, 0.0, "bank"), ("nvlink_errors", 50.0, 0.0, ""),
    ("pcie_errors", 100.0, 0.0, ""), ("pcie_width", 8.0, 0.0, ""), ("power_cap", 0.0, 0.0, ""), ("fan_degraded", 0.05, 0.0, ""),
    ("fec_margin", 0.2, 0.0, ""), ("nic_errors", 5.0, 0.0, ""), ("host_memory_errors", 2.0, 0.0, ""), ("slow_drive", 3.0, 0.0, ""),
    ("disk_redundancy", 1.0, 0.0, ""), ("disk_redundancy", 0.05, 0.0, "wear"), ("rail_failover", 0.01, 0.0, ""),
    ("bond_degraded", 1.0, 0.0, ""), ("bond_degraded", 1.0, 0.0, "churn"), ("link_corruption", 1e-6, 0.0, ""),
]  # fmt: skip
#: Look-alikes.
CONTROLS = [
    ("fabric_congestion", 0.5, 0.0), ("cpu_contention", 0.2, 0.0), ("sequence_length", 0.3, 0.0), ("maintenance", 1.0, 0.0), ("site_change", 0.4, 0.05),
    ("user_bug", 1.0, 0.0), ("xid_storm", 1.0, 0.0), ("phase_change", 0.4, 0.0), ("driver_reload", 1.0, 0.0), ("monitoring_gap", 1.0, 0.0),
    ("silent", 1.0, 0.0), ("workload_imbalance", 0.2, 0.0),
]  # fmt: skip


class Played:
    """What a fleet would print, whole columns by table and metric, and its truth."""

    def __init__(self, faults: tuple[Fault, ...], scenario: Scenario = SCENARIO) -> None:
        self.simulation = Simulation(scenario, faults)
        self.columns: dict[tuple[str, str], list[Floats]] = {}
        self.subjects: dict[str, tuple[str, ...]] = {}
        self.said: list[Said] = []
        for hour in self.simulation.hours():
            self.said += list(hour.said)
            for sheet in hour.sheets:
                self.subjects[sheet.table] = sheet.subjects
                for i, metric in enumerate(sheet.metrics):
                    self.columns.setdefault((sheet.table, metric), []).append(sheet.values[:, i])
        self.truth = self.simulation.truth_rows()

    def column(self, table: str, metric: str) -> Floats:
        """Return [T, S]."""
        return np.concatenate(self.columns[table, metric])

    def one(self, table: str, metric: str, subject: str) -> Floats:
        """Return [T]."""
        return self.column(table, metric)[:, self.subjects[table].index(subject)]


@cache
def healthy() -> Played:
    return Played(())


@lru_cache(maxsize=1)
def ill(*faults: Fault) -> Played:
    return Played(faults)


def culprit() -> tuple[str, str]:
    """Return (job, GPU) of the slowest rank of the job with most ranks: every second counts there."""
    top = healthy().simulation.topology
    job = int(np.argmax(np.bincount(top.rank_job)))
    gpus = top.rank_gpu[top.rank_job == job]
    base = healthy().simulation.lottery.compute[gpus]
    return top.jobs[job], top.gpu_names[gpus[int(base.argmax())]]


def subject(mode: str, form: str = "") -> str:
    """Return a part of the right kind, where the culprit is."""
    job, gpu = culprit()
    place, (node, k) = healthy().simulation.place, gpu.split("/gpu")
    spine = place.fabric.names[place.fabric.spine_of(job, int(k))]
    if form in ("spine", "wear"):
        return {"spine": spine, "wear": f"{node}/nvme1"}[form]
    found: str = {
        "gpu": {"nvlink_errors": f"{gpu}/nvlink3", "pcie_errors": f"{gpu}/pcie", "pcie_width": f"{gpu}/pcie"}.get(mode, gpu),
        "nic": f"{node}/nic{k}", "node": node, "drive": f"{node}/nvme1", "job": job, "site": "site", "spine": spine,
        "leaf": place.topology.leaf_names[place.topology.leaf_of_gpu[place.gpu(gpu)]],
    }[hazards()[mode].part]  # fmt: skip
    return found


def fault(mode: str, strength: float, extra: float = 0.0, form: str = "", ended: float | None = END, fails: float | None = None) -> Fault:
    return Fault(subject(mode, form), mode, hazards()[mode].state, LEAD, ended, strength, extra, form=form, fails=fails)


def span(rows: Iterable[dict[str, Any]], state: str) -> NDArray[np.bool_]:
    """Say which ticks lie in rows of a state."""
    now = START + np.arange(round(SCENARIO.hours * 360)) * 10_000_000
    inside = np.zeros(len(now), bool)
    for row in rows:
        if row["state"] == state:
            inside |= (now >= row["began"]) & (now < (row["ended"] or now[-1] + 1))
    return inside


def slowdown(sick: Played) -> Floats:
    """Return by which factor each step of the culprit's job is longer than in the same fleet without the fault."""
    job, _ = culprit()
    return sick.one("job", "job_step_seconds", job) / healthy().one("job", "job_step_seconds", job)
