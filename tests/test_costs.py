"""Costs: who is known to spend its reserve is a page as soon as its job waits for it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from grayscope.costs import SUSPECT, Costs, Suspect
from grayscope.evidence import Evidence, Finding
from grayscope.quadrants import state_of
from grayscope.roster import Roster, RosterRow
from grayscope.tick import Tick
from tests.costing import Run, S, accused

RANKS = tuple(f"job:1/r{k}" for k in range(8))
RAILS = tuple(f"comm:1-rail{k}" for k in range(8))


def ranks(time: int, seconds: dict[int, float], job: str = "job:1") -> Tick:
    """Return one tick of eight ranks on one node; all take 2.0 s but those given."""
    names = tuple(n.replace("job:1", job) for n in RANKS)
    rows = [RosterRow(n, "rank", keys={"job": job, "role": "", "gpu": f"n1/gpu{k}"}) for k, n in enumerate(names)]
    rows += [RosterRow(f"n1/gpu{k}/pcie", "pcie", keys={"node": "n1"}) for k in range(8)]
    values = np.array([[seconds.get(k, 2.0) for k in range(8)]], np.float32)
    return Tick("rank", time, 10 * S, Roster(rows).at(0), names, ("compute_seconds",), values, np.zeros(8, bool))


def rails(time: int, seconds: dict[int, float]) -> Tick:
    """Return one tick of eight communicators, each over one rail of a node; all take 0.2 s but those given."""
    rows = [RosterRow(n, "comm", keys={"job": "job:1", "role": "rail"}, crosses=(f"n1/nic{k}", f"n2/nic{k}")) for k, n in enumerate(RAILS)]
    rows += [RosterRow(f"n1/nic{k}", "nic", keys={"node": "n1"}) for k in range(8)]
    values = np.array([[seconds.get(k, 0.2) for k in range(8)]], np.float32)
    return Tick("comm", time, 10 * S, Roster(rows).at(0), RAILS, ("collective_transfer_seconds",), values, np.zeros(8, bool))


def test_nobody_is_looked_at_whom_nothing_is_known_of() -> None:
    assert Run().play(ranks, {3: 2.4}, 60) == []


def test_a_narrow_link_whose_rank_all_wait_for_is_gray() -> None:
    run, said = Run(), accused("n1/gpu3/pcie", "pcie_width", "pcie_degrade")
    run.play(ranks, {}, 60)
    last = run.play(ranks, {3: 2.1}, 60, said)[-1]
    assert (last.subject, last.mode, last.side, last.mechanism) == ("n1/gpu3/pcie", "pcie_width", "service", "pcie_degrade")
    assert last.felt == pytest.approx(0.1 / 2.3, rel=0.1)
    assert state_of(last) == "gray"
    assert last.strength > 6.9


def test_it_is_masked_as_long_as_another_rank_is_as_late() -> None:
    run, said = Run(), accused("n1/gpu3/pcie", "pcie_width")
    run.play(ranks, {5: 2.2}, 60)
    last = run.play(ranks, {3: 2.15, 5: 2.2}, 60, said)[-1]
    assert last.felt == 0.0
    assert state_of(last) == "masked"


def test_what_is_usual_for_a_gpu_outlives_its_job() -> None:
    run, said = Run(), accused("n1/gpu3/pcie", "pcie_width")
    run.play(ranks, {3: 2.1}, 90)  # always a little late
    last = run.play(ranks, {3: 2.1}, 60, said, job="job:2")[-1]
    assert last.felt == pytest.approx(0.0, abs=2e-3)
    assert last.value / last.expected == pytest.approx(1.0, abs=5e-3)


def test_corrected_errors_of_a_port_are_no_reason_for_a_slow_rank() -> None:
    run = Run()
    run.play(ranks, {}, 60)
    assert run.play(ranks, {3: 2.4}, 60, accused("n1/nic3", "nic_errors", "rdma_retransmit")) == []


def test_a_lost_rail_is_felt_where_its_siblings_carry_its_bytes() -> None:
    run, said = Run(), accused("n1/nic5", "rail_failover", "rail_failover")
    run.play(rails, {}, 60)
    last = run.play(rails, {k: 0.25 for k in range(8) if k != 5}, 60, said)[-1]
    assert last.felt == pytest.approx(0.05 / 2.3, rel=0.1)
    assert last.subject == "n1/nic5"


def test_what_a_new_suspect_costs_is_known_within_the_minute() -> None:
    run, said = Run(), accused("n1/gpu3/pcie", "pcie_width", "pcie_degrade", time=610 * S)
    run.play(ranks, {}, 60)
    last = run.play(ranks, {3: 2.05}, 5, said)[-1]
    assert last.felt == pytest.approx(0.05 / 2.3, rel=0.1)  # a mean over five minutes has seen a third of it yet


def test_errors_come_in_spells_so_what_they_cost_is_a_mean_of_five_minutes() -> None:
    run, said = Run(), Evidence(f._replace(metric="pcie_replays_total") for f in accused("n1/gpu3/pcie", "pcie_errors", "pcie_replay", time=610 * S))
    run.play(ranks, {}, 60)
    assert run.play(ranks, {3: 2.05}, 5, said)[-1].felt < 0.5 * 0.05 / 2.3


def test_one_that_was_wrong_long_before_it_was_told_keeps_its_mean() -> None:
    run = Run()
    run.play(ranks, {}, 60)
    run.play(ranks, {3: 2.1}, 40)
    run.play(ranks, {}, 1, accused("n1/gpu3/pcie", "pcie_width", "pcie_degrade", time=610 * S))
    assert run.costs.new == set()
    assert float(run.costs.memory.tables["rank"].arrays["far"][0, 3]) > 0.03


def wires(time: int, seconds: dict[int, float]) -> Tick:
    """Return one tick of eight communicators, each inside a node: it crosses the node's GPUs."""
    names = tuple(f"comm:1-node{k}" for k in range(8))
    rows = [RosterRow(n, "comm", keys={"job": "job:1", "role": "node"}, crosses=tuple(f"n{k}/gpu{g}" for g in range(8))) for k, n in enumerate(names)]
    rows += [RosterRow(f"n{k}/gpu{g}", "gpu", keys={"node": f"n{k}"}) for k in range(8) for g in range(8)]
    values = np.array([[seconds.get(k, 0.2) for k in range(8)]], np.float32)
    return Tick("comm", time, 10 * S, Roster(rows).at(0), names, ("collective_transfer_seconds",), values, np.zeros(8, bool))


def test_a_gpu_that_counts_errors_of_its_wires_is_felt_by_what_crosses_them_not_by_its_rank() -> None:
    run, said = Run(), accused("n1/gpu3", "nvlink_errors", "nvlink_replay")
    run.play(wires, {}, 60)
    last = run.play(wires, {1: 0.25}, 60, said)[-1]
    assert last.subject == "n1/gpu3"
    assert last.felt == pytest.approx(0.05 / 2.3, rel=0.1)
    run = Run()
    run.play(ranks, {}, 60)
    assert run.play(ranks, {3: 2.4}, 60, said) == []


def test_a_wire_that_counted_errors_before_does_not_take_what_another_gpu_costs() -> None:
    run = Run()
    old, late = accused("n1/gpu2/nvlink9", "nvlink_errors", "nvlink_replay", time=10 * S), accused("n1/gpu5", "nvlink_degrade", "nvlink_links", time=610 * S)
    run.play(wires, {}, 60, old)
    said = run.play(wires, {1: 0.25}, 60, Evidence([*old, *late]))
    assert {f.subject for f in said if f.felt > 0.01} == {"n1/gpu5"}
    assert said[-1].felt == pytest.approx(0.05 / 2.3, rel=0.1)


def test_weak_evidence_and_modes_that_no_job_feels_make_no_suspects() -> None:
    costs, tick = Costs(), ranks(10 * S, {})
    costs.hear(accused("n1/gpu3/pcie", "pcie_width", strength=3.0), tick)
    costs.hear(accused("n1/nvme1", "disk_redundancy"), tick)
    assert costs.suspects == {}


def test_a_lost_spare_supply_is_no_suspect_until_something_is_braked() -> None:
    costs, tick, spare = Costs(), ranks(10 * S, {}), accused("n1", "power_cap", "psu")
    costs.hear(spare, tick)
    assert costs.suspects == {}
    costs.hear(Evidence(f._replace(side="condition") for f in spare), tick)
    assert list(costs.suspects) == ["n1"]


def test_a_suspect_that_is_no_longer_accused_is_forgotten() -> None:
    run = Run()
    run.play(ranks, {}, 40, accused("n1/gpu3/pcie", "pcie_width"))
    assert list(run.costs.suspects) == ["n1/gpu3/pcie"]
    run.costs.hear(Evidence(), ranks(run.time + SUSPECT + 10 * S, {}))
    assert (run.costs.suspects, run.costs.saved) == ({}, {})


def test_a_pause_changes_nothing() -> None:
    one, other = Run(), Run()
    said = accused("n1/gpu3/pcie", "pcie_width")
    for run in (one, other):
        run.play(ranks, {}, 60)
        run.play(ranks, {3: 2.1}, 30, said)
    fresh = Costs()
    fresh.restore(other.costs.snapshot())
    other.costs = fresh
    assert one.play(ranks, {3: 2.12}, 30, said) == other.play(ranks, {3: 2.12}, 30, said)


def nodes(time: int, seconds: dict[int, float]) -> Tick:
    """Return one tick of 24 ranks on three nodes; all take 2.0 s but those given."""
    names = tuple(f"job:1/r{k:02}" for k in range(24))
    rows = [RosterRow(n, "rank", keys={"job": "job:1", "role": "", "gpu": f"n{1 + k // 8}/gpu{k % 8}", "node": f"n{1 + k // 8}"}) for k, n in enumerate(names)]
    values = np.array([[seconds.get(k, 2.0) for k in range(24)]], np.float32)
    return Tick("rank", time, 10 * S, Roster(rows).at(0), names, ("compute_seconds",), values, np.zeros(24, bool))


@pytest.mark.parametrize(("slow", "guilty"), [(range(8), "n1"), (range(3, 4), "n1/gpu3")], ids=["all ranks of the node", "one rank"])
def test_a_node_that_lost_a_bond_member_and_a_gpu_that_corrects_errors_are_told_apart_by_the_other_ranks(slow: range, guilty: str) -> None:
    said = Evidence([*accused("n1", "bond_degraded", "bond_member"), *accused("n1/gpu3", "ecc_burst", "hbm_ecc")])
    run = Run()
    run.play(nodes, {}, 60)
    found = run.play(nodes, dict.fromkeys(slow, 2.1), 60, said)
    felt = {f.subject for f in found[-4:] if state_of(f) == "gray"}
    assert felt == {guilty}


# -- drives -------------------------------------------------------------------------------------------------------------


def drive(time: int) -> Evidence:
    return Evidence([Finding(time, "n1/nvme0", "service", "became", 50.0, "slow_drive", "", "drive_latency_seconds", 3e-4, 1e-4, since=time)])


def reading(slow: dict[int, float]) -> list[Finding]:
    """Return what a slow drive costs ranks of which some are slow once it is known."""
    run = Run()
    rows = [RosterRow("n1/nvme0", "drive", keys={"node": "n1"})]

    def make(time: int, seconds: dict[int, float]) -> Tick:
        tick = ranks(time, seconds)
        keys = [{"job": "job:1", "role": "", "gpu": f"n{1 + k // 3}/gpu{k % 3}", "node": f"n{1 + k // 3}"} for k in range(8)]
        told = [RosterRow(n, "rank", keys=of) for n, of in zip(RANKS, keys, strict=True)]
        return replace(tick, roster=Roster(rows + told).at(0))

    run.play(make, {}, 60)
    found: list[Finding] = []
    for _ in range(60):
        seen = make(run.time, {})
        run.costs.hear(drive(run.time), replace(seen, table="drive"))
        found = run.play(make, slow, 1) or found
    return found


def test_a_slow_drive_is_gray_when_all_ranks_of_its_machine_are_late() -> None:
    last = reading(dict.fromkeys(range(3), 2.1))[-1]
    assert (last.subject, last.mode, state_of(last)) == ("n1/nvme0", "slow_drive", "gray")
    assert last.felt == pytest.approx(0.1 / 2.3, rel=0.1)


def test_a_slow_drive_beside_one_late_rank_is_felt_by_nobody() -> None:
    assert max(f.felt for f in reading({2: 2.3})) < 0.01


def pair(time: int, seconds: dict[int, float]) -> Tick:
    """Return one tick of the communicators inside the two nodes of a job; each takes 0.48 s but those given."""
    names = ("comm:1-node0", "comm:1-node1")
    rows = [RosterRow(n, "comm", keys={"job": "job:1", "role": "node"}, crosses=(f"n{k}/gpu0",)) for k, n in enumerate(names)]
    rows += [RosterRow(f"n{k}/gpu0/nvlink0", "nvlink", keys={"node": f"n{k}"}) for k in range(2)]
    values = np.array([[seconds.get(k, 0.48) for k in range(2)]], np.float32)
    return Tick("comm", time, 10 * S, Roster(rows).at(0), names, ("collective_transfer_seconds",), values, np.zeros(2, bool))


def test_in_a_job_of_two_machines_a_suspect_is_compared_with_the_other_one() -> None:
    run, said = Run(), accused("n1/gpu0/nvlink0", "nvlink_errors", "nvlink_replay")
    run.play(pair, {0: 0.49}, 120)
    both = run.play(pair, {0: 0.539, 1: 0.528}, 60, said)[-1]  # a tenth longer, both of them
    assert state_of(both) == "masked" or both.strength < 6.9
    last = run.play(pair, {0: 0.49, 1: 0.54}, 60, said)[-1]
    assert (last.subject, state_of(last)) == ("n1/gpu0/nvlink0", "gray")
    assert last.felt == pytest.approx((0.54 - 0.49) / 2.3, rel=0.1)
    assert last.strength > 6.9


def test_of_a_pair_of_which_nothing_was_known_before_nothing_is_said() -> None:
    said = accused("n1/gpu0/nvlink0", "nvlink_errors", "nvlink_replay")
    assert not any(f.strength > 6.9 for f in Run().play(pair, {1: 0.54}, 60, said))


def test_of_a_new_suspect_in_many_ranks_the_mean_of_five_minutes_counts_for_the_worst_of_many_short_ones_is_far() -> None:
    run, said = Run(), accused("n1", "bond_degraded", "bond_member", time=610 * S)
    run.play(nodes, {}, 60)
    assert run.play(nodes, {3: 2.05}, 5, said)[-1].felt < 0.5 * 0.05 / 2.3


@pytest.mark.parametrize("known", [0, 1, 30], ids=["what is lost is told first", "errors are told first", "errors were told long before"])
def test_who_counts_errors_begins_anew_when_something_is_lost(known: int) -> None:
    errors = Evidence(f._replace(metric="pcie_replays_total") for f in accused("n1/gpu3/pcie", "pcie_errors", "pcie_replay", time=610 * S))
    run = Run()
    run.play(ranks, {}, 60)
    run.play(ranks, {}, known and known - 1, errors)
    lost = accused("n1/gpu3/pcie", "pcie_width", "pcie_degrade", time=run.time + 10 * S)
    last = run.play(ranks, {3: 2.05}, 5, Evidence([*errors, *lost] if known else [*lost, *errors]))[-1]
    assert last.felt == pytest.approx(0.05 / 2.3, rel=0.15)
    fresh = Costs()
    fresh.restore(run.costs.snapshot())
    assert fresh.suspects["n1/gpu3/pcie"].lost


def test_of_thousands_of_suspects_in_one_communicator_the_latest_has_it() -> None:
    ports = tuple(f"n{k}/nic0" for k in range(3000))
    rows = [RosterRow("comm:1", "comm", keys={"job": "job:1", "role": "dp"}, crosses=ports), *(RosterRow(p, "nic") for p in ports)]
    tick = Tick("comm", 10 * S, 10 * S, Roster(rows).at(0), ("comm:1",), ("collective_transfer_seconds",), np.ones((1, 1), np.float32), np.zeros(1, bool))
    costs = Costs()
    costs.suspects = {p: Suspect(k, 10 * S, "nic_errors", "link_retrain", "") for k, p in enumerate(ports)}
    assert costs._places(tick, np.zeros(1, np.float32)) == {"n2999/nic0": [0]}
