"""Every kind of fault is played in a small fleet and compared with the very same fleet without it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache, lru_cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from grayscope.fleet import Fault
from grayscope.fleet.hazards import hazards
from grayscope.fleet.ills import SHAPES
from grayscope.fleet.moment import START
from grayscope.fleet.scenario import Mess, Scenario
from grayscope.fleet.simulation import Simulation

Floats = NDArray[np.float64]
SCENARIO = Scenario("test", nodes=8, gpus=4, hours=1.5, busy=0.9, seed=3, mess=Mess(missing=0.0, skew_s=0.0))
#: A rank of the largest job, whose base is not among the quickest, and one that nobody waits for.
LEAD, END = 1800.0, 4500.0
COMPUTE = ("thermal_throttle", "slow_rank", "slow_silicon", "pcie_width", "lemon_node", "hbm_row_spares")


class Played:
    """What a fleet would print, whole columns by table and metric, and its truth."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        self.simulation = Simulation(SCENARIO, faults)
        self.columns: dict[tuple[str, str], list[Floats]] = {}
        self.subjects: dict[str, tuple[str, ...]] = {}
        self.said = []
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


def subject(mode: str) -> str:
    """Return a part of the right kind, where the culprit is."""
    job, gpu = culprit()
    node, k = gpu.split("/gpu")
    return {
        "gpu": {"nvlink_errors": f"{gpu}/nvlink3", "pcie_errors": f"{gpu}/pcie", "pcie_width": f"{gpu}/pcie"}.get(mode, gpu),
        "nic": f"{node}/nic{k}", "node": node, "drive": f"{node}/nvme1", "leaf": f"leaf0{int(k) + 1}", "job": job, "site": "site",
    }[hazards()[mode].part]  # fmt: skip


def fault(mode: str, strength: float, extra: float = 0.0, ended: float | None = END) -> Fault:
    return Fault(subject(mode), mode, hazards()[mode].state, LEAD, ended, strength, extra)


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


# -- truth ----------------------------------------------------------------------------------------------------------

#: Mode, strength and extra of a form that hurts.
GRAY = [
    ("thermal_throttle", 0.2, 0.0), ("slow_rank", 0.08, 0.0), ("slow_silicon", 0.1, 0.0), ("pcie_width", 8.0, 0.3), ("nvlink_degrade", 6.0, 0.0),
    ("nvlink_errors", 500.0, 0.3), ("power_cap", 0.15, 0.0), ("fan_degraded", 0.6, 0.0), ("rail_failover", 0.125, 0.0), ("nic_rate", 0.5, 0.0),
    ("nic_errors", 30.0, 0.2), ("link_corruption", 1e-4, 0.15), ("switch_fault", 0.4, 0.0), ("lemon_node", 0.3, 1200.0), ("link_flap", 30.0, 0.0),
    ("hbm_row_spares", 60.0, 0.15), ("slow_drive", 4.0, 0.05), ("fec_margin", 20.0, 0.0), ("host_memory_errors", 20.0, 0.2),
]  # fmt: skip
#: And of one that redundancy hides.
MASKED = [
    ("ecc_burst", 20.0, 50.0), ("hbm_row_spares", 8.0, 0.1), ("nvlink_errors", 50.0, 0.0), ("pcie_errors", 100.0, 0.0), ("pcie_width", 8.0, 0.0),
    ("power_cap", 0.0, 0.0), ("fan_degraded", 0.05, 0.0), ("fec_margin", 0.2, 0.0), ("nic_errors", 5.0, 0.0), ("host_memory_errors", 2.0, 0.0),
    ("slow_drive", 3.0, 0.0), ("disk_redundancy", 1.0, 0.0), ("rail_failover", 0.01, 0.0), ("link_corruption", 1e-6, 0.0),
]  # fmt: skip


@pytest.mark.parametrize(("mode", "strength", "extra"), GRAY)
def test_a_gray_fault_slows_its_job_while_the_truth_says_so(mode: str, strength: float, extra: float) -> None:
    sick = ill(fault(mode, strength, extra))
    rows = [r for r in sick.truth if r["mode"] == mode]
    gray = span(rows, "gray")
    assert gray.any()
    assert {r["subject"] for r in rows} == {subject(mode)}
    assert np.nanmean(slowdown(sick)[gray]) > 1.008
    assert np.allclose(slowdown(sick)[: round(LEAD / 10) - 30], 1.0)  # nothing before it


@pytest.mark.parametrize(("mode", "strength", "extra"), MASKED)
def test_a_masked_fault_shows_and_slows_nobody(mode: str, strength: float, extra: float) -> None:
    sick = ill(fault(mode, strength, extra))
    rows = [r for r in sick.truth if r["mode"] == mode]
    assert {r["state"] for r in rows} == {"masked"}
    change = slowdown(sick)
    windows = change[span(rows, "masked")][: len(change[span(rows, "masked")]) // 30 * 30].reshape(-1, 30).mean(axis=1)
    assert (windows < 1.015).all()
    moved = [key for key in sick.columns if key[0] != "rank" and not np.array_equal(sick.column(*key), healthy().column(*key), equal_nan=True)]
    assert moved  # somebody's numbers tell of it


@pytest.mark.parametrize("mode", [m for m in COMPUTE if m != "hbm_row_spares"])
def test_who_makes_others_wait_waits_least_and_computes_longest(mode: str) -> None:
    _, strength, extra = next(g for g in GRAY if g[0] == mode)
    sick = ill(fault(mode, 2 * strength if strength < 1 else strength, extra))
    job, gpu = culprit()
    top = sick.simulation.topology
    mine = np.array([n.startswith(f"{job}/") for n in top.rank_names])
    changed = span(sick.truth, "gray") & (slowdown(sick) > 1.02)
    wait, compute = (np.nanmean(sick.column("rank", m)[changed][:, mine], axis=0) for m in ("collective_wait_seconds", "compute_seconds"))
    guilty = np.array([top.gpu_names[g] for g in top.rank_gpu[mine]])
    assert guilty[wait.argmin()].startswith(gpu.split("/")[0] if mode == "lemon_node" else gpu)
    assert wait.argmin() == compute.argmax()


def test_a_fault_that_turns_gray_writes_two_rows() -> None:
    rows = ill(fault("fec_margin", 4.0, ended=None)).truth
    assert [r["state"] for r in rows] == ["masked", "gray"]
    assert rows[0]["ended"] == rows[1]["began"]
    assert rows[1]["ended"] is None
    assert rows[0]["exhausted_at"] is not None
    assert abs(rows[0]["exhausted_at"] - rows[1]["began"]) < 900e6  # the margin is used up about when it begins to hurt


def test_a_slow_fault_is_used_up_beyond_the_end_of_the_trace() -> None:
    (row,) = ill(fault("hbm_row_spares", 8.0, ended=None)).truth
    assert row["exhausted_at"] == START + round((LEAD + 64 * 3600) * 1e6)


def test_what_shows_nothing_has_no_row() -> None:
    assert ill(fault("silent_corruption", 1.0)).truth == []
    top = healthy().simulation.topology
    idle = next(i for i in range(top.nodes) if not top.job_of_node[i])
    assert ill(Fault(f"{top.node_names[idle]}/gpu0", "slow_rank", "gray", LEAD, END, 0.5)).truth == []


def test_the_weakest_fault_that_is_gray_changes_the_step_by_a_hundredth() -> None:
    for strength in (0.005, 0.01, 0.02, 0.04):
        sick = ill(fault("slow_rank", strength))
        held = span([{"state": "x", "began": START + 1_800_000_000, "ended": START + 4_500_000_000}], "x")
        windows = slowdown(sick)[held].reshape(-1, 30).mean(axis=1)
        states = {r["state"] for r in sick.truth}
        assert ("gray" in states) == bool((windows >= 1.0095).any()) or abs(windows.max() - 1.01) < 0.002, strength


# -- couplings ------------------------------------------------------------------------------------------------------


def test_a_fan_warms_its_node_takes_clocks_and_then_slows_the_job() -> None:
    sick, (_, gpu) = ill(fault("fan_degraded", 0.6)), culprit()
    node = gpu.split("/")[0]
    late = slice(400, 440)
    rpm = sick.one("node", "fan_speed_rpm", node)[late].mean() / healthy().one("node", "fan_speed_rpm", node)[late].mean()
    assert 0.3 < rpm < 0.6
    warm = [sick.one("gpu", 'gpu_temperature_celsius{sensor="gpu"}', f"{node}/gpu{k}")[late].mean() for k in range(4)]
    cool = [healthy().one("gpu", 'gpu_temperature_celsius{sensor="gpu"}', f"{node}/gpu{k}")[late].mean() for k in range(4)]
    assert (np.array(warm) > np.array(cool) + 3).all()  # less than the fan alone would do: who throttles makes less heat
    assert (
        sick.one("gpu", 'gpu_clock_limit_seconds_total{reason="thermal_software"}', gpu)[-1]
        > 100 + healthy().one("gpu", 'gpu_clock_limit_seconds_total{reason="thermal_software"}', gpu)[-1]
    )


def test_a_power_cap_takes_all_gpus_of_the_node_together() -> None:
    sick, (_, gpu) = ill(fault("power_cap", 0.15)), culprit()
    node = gpu.split("/")[0]
    assert sick.one("node", "psu_redundancy_intact", node)[300] == 0
    change = [
        np.nanmean(sick.one("gpu", 'gpu_clock_hertz{domain="sm"}', f"{node}/gpu{k}")[200:440])
        / np.nanmean(healthy().one("gpu", 'gpu_clock_hertz{domain="sm"}', f"{node}/gpu{k}")[200:440])
        for k in range(4)
    ]
    assert np.allclose(change, 0.85, atol=0.01)


def test_a_lost_rail_is_carried_by_its_siblings() -> None:
    sick, (_, gpu) = ill(fault("rail_failover", 0.125)), culprit()
    node, k = gpu.split("/gpu")
    sent = {
        j: np.diff(sick.one("nic", 'nic_port_transferred_bytes_total{direction="transmit"}', f"{node}/nic{j}"))[200:440].mean()
        / np.diff(healthy().one("nic", 'nic_port_transferred_bytes_total{direction="transmit"}', f"{node}/nic{j}"))[200:440].mean()
        for j in range(4)
    }
    assert sent.pop(int(k)) == 0
    assert all(1.2 < x < 1.34 for x in sent.values())  # four rails here: a third more, on longer steps
    assert sick.one("nic", "nic_port_up", f"{node}/nic{k}")[300] == 0


def test_a_drifting_optic_is_silent_until_the_cliff() -> None:
    sick, name = ill(fault("fec_margin", 4.0, ended=None)), subject("fec_margin")
    ratio = sick.one("nic", "nic_port_bit_error_ratio", name)
    again = np.diff(sick.one("nic", 'nic_port_retransmits_total{cause="ack_timeout"}', name))
    below = np.flatnonzero(ratio[1:] < 1.5e-4)
    beyond = np.flatnonzero(ratio[1:] > 5e-4)
    assert ratio[300] > 10 * ratio[100]
    assert again[below].mean() < 0.1
    assert again[beyond].mean() > 1.0


def test_a_hang_looks_busy_and_does_nothing_except_at_its_culprit() -> None:
    sick, (job, gpu) = ill(fault("hang", 1.0)), culprit()
    top = sick.simulation.topology
    mates = [top.gpu_names[g] for g, j in zip(top.rank_gpu, top.rank_job, strict=True) if top.jobs[j] == job and top.gpu_names[g] != gpu]
    held = slice(200, 440)
    assert all((sick.one("gpu", "gpu_active_ratio", g)[held] == 1.0).all() for g in mates)
    assert all((sick.one("gpu", "gpu_tensor_active_ratio", g)[held] == 0.0).all() for g in [*mates, gpu])
    assert (sick.one("gpu", "gpu_active_ratio", gpu)[held] == 0.0).all()
    assert np.isnan(sick.one("job", "job_step_seconds", job)[held]).all()
    assert {r["state"] for r in sick.truth} == {"gray"}


def test_a_double_error_stops_the_job_which_moves_to_a_spare_node_and_the_part_is_replaced() -> None:
    job, gpu = culprit()
    sick = ill(Fault(gpu, "uncorrectable_memory", "failed", LEAD, 3600.0, 2.0, 600.0))
    node = gpu.split("/")[0]
    step = sick.one("job", "job_step_seconds", job)
    assert np.isnan(step[181:239]).all()
    assert np.isfinite(step[245:]).all()
    assert sick.one("gpu", "gpu_active_ratio", gpu)[300] == 0.0
    assert [r["state"] for r in sick.truth] == ["failed"]
    assert {s.code for s in sick.said} >= {"48", "94", "45", "64"}
    rows = sick.simulation.register().rows()
    ranks = {r.subject: r.keys["node"] for r in rows if r.table == "rank" and r.since == START + 2_400_000_000}
    assert len(ranks) == 4
    assert node not in ranks.values()
    serials = [r.keys["serial"] for r in rows if r.subject == gpu and r.table == "gpu"]
    assert len(set(serials)) == 2
    remapped = sick.one("gpu", 'gpu_rows_remapped_total{cause="uncorrected"}', gpu)
    assert (remapped[200], remapped[-1]) == (1.0, 0.0)


def test_a_leaf_slows_everything_below_it_and_its_rail_only() -> None:
    sick, (job, gpu) = ill(fault("switch_fault", 0.4)), culprit()
    rail = int(gpu.rpartition("gpu")[2])
    number = job.partition(":")[2]
    change = [
        np.nanmean(sick.one("comm", "collective_transfer_seconds", f"comm:{number}-rail{k}")[200:440])
        / np.nanmean(healthy().one("comm", "collective_transfer_seconds", f"comm:{number}-rail{k}")[200:440])
        for k in range(4)
    ]
    assert np.argmax(change) == rail
    assert change[rail] == pytest.approx(1 / 0.6)
    assert np.allclose(np.delete(change, rail), 1.0)
    assert sick.one("leaf", "leaf_uplinks_active", f"leaf0{rail + 1}")[300] < 16


# -- negative controls ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "strength", "extra"),
    [
        ("fabric_congestion", 0.5, 0.0), ("cpu_contention", 0.2, 0.0), ("sequence_length", 0.3, 0.0), ("maintenance", 1.0, 0.0), ("site_change", 0.4, 0.05),
        ("user_bug", 1.0, 0.0), ("xid_storm", 1.0, 0.0), ("phase_change", 0.4, 0.0), ("driver_reload", 1.0, 0.0), ("monitoring_gap", 1.0, 0.0),
        ("silent", 1.0, 0.0), ("workload_imbalance", 0.2, 0.0),
    ],
)  # fmt: skip
def test_a_control_is_one_benign_row_and_shows(mode: str, strength: float, extra: float) -> None:
    sick = ill(fault(mode, strength, extra, ended=LEAD + 60 if mode == "driver_reload" else END))
    assert [(r["mode"], r["state"], r["subject"]) for r in sick.truth] == [(mode, "benign", subject(mode))]
    moved = any(not np.array_equal(sick.column(*key), healthy().column(*key), equal_nan=True) for key in sick.columns)
    stages = sick.simulation.topology.rank_stage[sick.simulation.topology.rank_job == 0]
    assert moved or (mode == "workload_imbalance" and stages.max() == 0) or sick.said


def test_what_only_looks_wrong_does_not_change_what_a_fault_is() -> None:
    slow = fault("slow_rank", 0.1)
    alone, both = ill(slow), ill(slow, fault("sequence_length", 0.3))
    assert [(r["state"], r["began"], r["ended"]) for r in alone.truth] == [(r["state"], r["began"], r["ended"]) for r in both.truth if r["state"] != "benign"]


def test_user_errors_come_in_duplicates_and_name_all_gpus_of_the_node() -> None:
    said = ill(fault("user_bug", 1.0)).said
    assert {s.code for s in said} <= {"13", "31", "43"}
    assert len({s.subject for s in said}) == 4
    assert len(said) == 3 * 4 * 2


def test_every_kind_has_a_shape_and_a_test_here() -> None:
    shaped = set(SHAPES) | {"phase_change", "workload_imbalance", "monitoring_gap", "silent", "driver_reload", "silent_corruption", "batch_defect"}
    assert shaped == set(hazards())
    played = {m for m, *_ in (*GRAY, *MASKED)} | {"hang", "uncorrectable_memory", "silent_corruption", "batch_defect"}
    assert played == {m for m, h in hazards().items() if h.state != "benign"}
