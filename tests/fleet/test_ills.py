"""Every kind of fault is played in a small fleet and compared with the very same fleet without it."""

from __future__ import annotations

import numpy as np
import pytest

from grayscope.fleet import Fault
from grayscope.fleet.moment import START
from tests.fleet.playing import CONTROLS, END, GRAY, LEAD, MASKED, culprit, fault, healthy, ill, slowdown, span, subject

#: Kinds whose culprit is one GPU that computes longer.
COMPUTE = ("thermal_throttle", "slow_rank", "slow_silicon", "pcie_width", "lemon_node")


# -- truth ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mode", "strength", "extra", "form"), GRAY)
def test_a_gray_fault_slows_its_job_while_the_truth_says_so(mode: str, strength: float, extra: float, form: str) -> None:
    sick = ill(fault(mode, strength, extra, form))
    rows = [r for r in sick.truth if r["mode"] == mode]
    gray = span(rows, "gray")
    assert gray.any()
    assert {r["subject"] for r in rows} == {subject(mode, form)}
    assert np.nanmean(slowdown(sick)[gray]) > 1.008
    assert np.allclose(slowdown(sick)[: round(LEAD / 10) - 30], 1.0)  # nothing before it


@pytest.mark.parametrize(("mode", "strength", "extra", "form"), MASKED)
def test_a_masked_fault_shows_and_slows_nobody(mode: str, strength: float, extra: float, form: str) -> None:
    sick = ill(fault(mode, strength, extra, form))
    rows = [r for r in sick.truth if r["mode"] == mode]
    assert {r["state"] for r in rows} == {"masked"}
    change = slowdown(sick)
    windows = change[span(rows, "masked")][: len(change[span(rows, "masked")]) // 30 * 30].reshape(-1, 30).mean(axis=1)
    assert (windows < 1.015).all()
    moved = [key for key in sick.columns if key[0] != "rank" and not np.array_equal(sick.column(*key), healthy().column(*key), equal_nan=True)]
    assert moved  # somebody's numbers tell of it


@pytest.mark.parametrize("mode", COMPUTE)
def test_who_makes_others_wait_waits_least_and_computes_longest(mode: str) -> None:
    _, strength, extra, _ = next(g for g in GRAY if g[0] == mode)
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
    job, mine = culprit()[0], sick.simulation.topology
    ranks = np.array([n.startswith(f"{job}/") for n in mine.rank_names])
    nodes = np.array([mine.gpu_names[g].split("/")[0] for g in mine.rank_gpu[ranks]])
    wait = np.nanmean(sick.column("rank", "collective_wait_seconds")[late][:, ranks], axis=0)
    assert nodes[wait.argmin()] == node  # who throttles most is the one that the others wait for


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


@pytest.mark.parametrize(("mode", "strength", "extra"), CONTROLS)
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
