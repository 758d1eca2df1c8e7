"""Through the whole line: what a rail's ports, a lot's GPUs, a whole site or all ranks of a job do together is one incident, and nobody's alone."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.lined import brief, roster, told

ONSET = 150
RETRANSMITS = 'nic_port_retransmits_total{cause="ack_timeout"}'
ECC = 'gpu_ecc_corrected_errors_total{location="dram",retention="volatile"}'


def spent(bad: NDArray[np.bool_], rate: float, t: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return counts of one tick: hardly any, and `rate` for the bad from the onset on."""
    return np.where(bad & (t > ONSET), rng.poisson(rate, len(bad)), rng.random(len(bad)) < 0.002).astype(float)


def test_the_ports_of_a_rail_that_get_worse_together_are_one_incident_on_the_rail() -> None:
    keys = {f"n{n:02}/nic{r}": {"node": f"n{n:02}", "rail": f"rail:{r}", "leaf": f"leaf{n // 8}", "job": f"job:{n // 8}"} for n in range(16) for r in range(4)}
    rng, bad = np.random.default_rng(1), np.array([key["rail"] == "rail:2" for key in keys.values()])
    found = told(roster("nic", keys), {RETRANSMITS: lambda t: spent(bad, 5.0, t, rng)}, ONSET + 100)
    assert brief(found) == [("ticket", "rail:2", "switch_fault")]
    assert "16 of its 16 nodes stood out alike" in found[0].summary


def test_the_gpus_of_a_lot_that_get_worse_together_are_one_incident_on_the_lot() -> None:
    rng = np.random.default_rng(2)
    lots = rng.integers(0, 6, 128)
    keys = {f"n{i // 8:02}/gpu{i % 8}": {"node": f"n{i // 8:02}", "sku": "H100", "job": "job:1", "lot": f"lot{lots[i]}"} for i in range(128)}
    found = told(roster("gpu", keys), {ECC: lambda t: spent(lots == 3, 3.0, t, rng)}, ONSET + 100)
    assert brief(found) == [("ticket", "batch:lot=lot3", "batch_defect")]


@pytest.mark.parametrize("metric", ["inlet_temperature_celsius", "gpu_temperature_celsius"])
def test_a_change_of_one_metric_all_over_the_site_is_one_notice(metric: str) -> None:
    """Eight jobs and racks; each of them alone would be a notice of its own."""
    rng, table = np.random.default_rng(3), metric.partition("_")[0].replace("inlet", "node")
    names = [f"n{n:02}" for n in range(64)] if table == "node" else [f"n{n:02}/gpu0" for n in range(64)]
    keys = {s: {"node": s[:3], "rack": f"rack{n // 8}", "job": f"job:{n // 8}", "sku": "A"} for n, s in enumerate(names)}
    found = told(roster(table, keys), {metric: lambda t: 30 + 0.3 * rng.standard_normal(64) + 5 * (t > ONSET)}, ONSET + 100)
    assert brief(found) == [("notice", "site", "site_change")]
    alone = told(roster(table, keys), {metric: lambda t: 30 + 0.3 * rng.standard_normal(64) + 5 * ((t > ONSET) & (np.arange(64) < 8))}, ONSET + 100)
    assert [(i.severity, i.mode) for i in alone] == [("notice", "group_shift")]
    assert alone[0].subject != "site"


@pytest.mark.parametrize("more", [0.5, -0.3])
def test_a_phase_that_all_ranks_of_a_large_job_share_is_nobody_s_fault(more: float) -> None:
    """Of two jobs of 128 ranks one is in another phase for 15 minutes, and then in its first again."""
    keys = {f"job:{j}/r{i:03}": {"gpu": f"n{j}{i // 8:02}/gpu{i % 8}", "node": f"n{j}{i // 8:02}", "job": f"job:{j}"} for j in range(2) for i in range(128)}
    rng = np.random.default_rng(4)
    usual, first = np.exp(0.03 * rng.standard_normal(256)), np.arange(256) < 128
    values = {"compute_seconds": lambda t: usual * np.exp(0.01 * rng.standard_normal(256) + np.log1p(more) * (first & (ONSET < t <= ONSET + 90)))}
    assert brief(told(roster("rank", keys), values, ONSET + 180)) in ([], [("notice", "job:0", "group_shift")])
