"""Machinewide: what a braked machine costs its job is told apart from what its parts and other machines cost."""

from __future__ import annotations

import numpy as np
import pytest

from grayscope.evidence import Evidence, Finding
from grayscope.roster import Roster, RosterRow
from grayscope.tick import Tick
from tests.costing import Run, S, accused


def machines(time: int, seconds: dict[int, float]) -> Tick:
    """Return one tick of 40 ranks on five machines; all take 2.0 s but those given."""
    names = tuple(f"job:1/r{k:02}" for k in range(40))
    rows = [RosterRow(n, "rank", keys={"job": "job:1", "role": "", "gpu": f"n{1 + k // 8}/gpu{k % 8}", "node": f"n{1 + k // 8}"}) for k, n in enumerate(names)]
    rows += [RosterRow(f"n{n}", "node", keys={"node": f"n{n}"}) for n in range(1, 6)]
    values = np.array([[seconds.get(k, 2.0) for k in range(40)]], np.float32)
    return Tick("rank", time, 10 * S, Roster(rows).at(0), names, ("compute_seconds",), values, np.zeros(40, bool))


def braked(*nodes: str) -> list[Finding]:
    return [Finding(0, n, "condition", "slower", 50.0, "power_cap", "clock_throttle", 'gpu_clock_limit_seconds_total{reason="power_brake"}') for n in nodes]


def felt(slow: dict[int, float], *said: Finding) -> dict[str, float]:
    """Return what each suspect costs the job after ten minutes."""
    run = Run()
    run.play(machines, {}, 60)
    return {f.subject: f.felt for f in run.play(machines, slow, 60, Evidence(said))}


def test_of_two_braked_machines_none_hides_behind_the_other() -> None:
    told = felt({k: 2.1 + 0.01 * (k < 8) for k in range(16)}, *braked("n1", "n2"))
    assert told == {"n1": pytest.approx(0.11 / 2.3, rel=0.1), "n2": pytest.approx(0.1 / 2.3, rel=0.1)}


def test_what_a_machine_does_to_all_its_ranks_is_told_apart_from_what_a_part_does_besides() -> None:
    lanes = next(iter(accused("n1/gpu3/pcie", "pcie_width", "pcie_degrade")))
    told = felt({k: 2.1 + 0.2 * (k == 3) for k in range(8)}, *braked("n1"), lanes)
    assert told == {"n1": pytest.approx(0.1 / 2.3, rel=0.1), "n1/gpu3/pcie": pytest.approx(0.2 / 2.3, rel=0.15)}


@pytest.mark.parametrize("gpu", [0, 3, 7])
def test_a_gpu_with_a_fault_of_its_own_costs_what_that_does_wherever_it_sits_in_a_braked_machine(gpu: int) -> None:
    run, lanes = Run(), next(iter(accused(f"n1/gpu{gpu}/pcie", "pcie_width", "pcie_degrade")))
    run.play(machines, {}, 60)
    run.play(machines, {k: 2.1 + 0.2 * (k == gpu) for k in range(8)}, 60, Evidence([*braked("n1"), lanes]))
    assert run.costs.share(f"n1/gpu{gpu}") == pytest.approx(0.2 / 2.3, rel=0.15)


def test_one_late_rank_of_a_braked_machine_is_not_what_the_brake_costs() -> None:
    assert felt({3: 2.3}, *braked("n1"))["n1"] < 0.01


def test_a_lost_bond_member_is_felt_by_the_rank_that_suffers_most() -> None:
    bond = next(iter(accused("n1", "bond_degraded", "bond_member")))
    assert felt({3: 2.3}, bond) == {"n1": pytest.approx(0.3 / 2.3, rel=0.1)}
