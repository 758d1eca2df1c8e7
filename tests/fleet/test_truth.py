"""The rule of truth by hand-typed paces: gray from 1 % over five minutes on, gaps under ten minutes bridged and nothing else; and the ledger's truth."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from grayscope.fleet import Fault
from grayscope.fleet.effects import Effects
from grayscope.fleet.fabric import Fabric
from grayscope.fleet.illsfabric import CLIFF
from grayscope.fleet.illsmemory import moments
from grayscope.fleet.lottery import Lottery
from grayscope.fleet.machines import wear
from grayscope.fleet.moment import START
from grayscope.fleet.noise import ticking
from grayscope.fleet.place import Place
from grayscope.fleet.spent import exhausted, mechanism
from grayscope.fleet.topology import Topology
from grayscope.fleet.truth import Meter
from tests.fleet.playing import END, LEAD, culprit, fault, healthy, ill, subject

TOPOLOGY = Topology(2, 1)
PLACE = Place(TOPOLOGY, Lottery.draw(TOPOLOGY, 1))


def told(changes: list[float], *, shows: list[bool] | None = None, began: float = 0.0, ended: float | None = None) -> list[tuple[str, float, float | None]]:
    """Return (state, began, ended in minutes) for a rank that is slower by such shares, five minutes each, told every minute.

    Both ranks of the only job compute 1 s in a step, so that a change of compute time by a share changes the step by 1 / 1.12 of it (the
    collective takes 0.12 of 1.6 s): the changes given are those of the step.
    """
    minutes = 5 * len(changes)
    planted = Fault("n001/gpu0", "slow_rank", "gray", began, ended)
    seconds = ticking(0, minutes, 60.0)
    meter = Meter(PLACE, (planted,), 60.0 * minutes)
    for part in np.array_split(np.arange(minutes), 3):  # cut where it does not fit the windows
        wrong = Effects(seconds[part], 60.0, 1, TOPOLOGY.sizes)
        step = 1.0 + 0.12 * TOPOLOGY.job_base[0]
        factor = 1.0 + step * np.repeat(changes, 5)[part]
        held = planted.held(seconds[part]) > 0
        wrong.touch("compute", 0, np.where(held, factor, 1.0))
        if shows is not None:
            wrong.touch("heat", 0, np.repeat(shows, 5)[part] * held * 1.0)
        meter.add(wrong, np.ones((len(part), 1, 2)), np.ones((len(part), 2)), np.ones((len(part), 2), bool))
    return [(r["state"], (r["began"] - START) / 6e7, None if r["ended"] is None else (r["ended"] - START) / 6e7) for r in meter.rows()]


def test_one_percent_over_five_minutes_is_gray_and_a_little_less_is_masked() -> None:
    assert told([0.01001, 0.01001]) == [("gray", 0, None)]
    assert told([0.00999, 0.00999]) == [("masked", 0, None)]


def test_a_gap_under_ten_minutes_is_bridged_and_one_of_ten_minutes_is_not() -> None:
    assert told([0.02, 0.0, 0.02, 0.02]) == [("gray", 0, None)]
    assert told([0.02, 0.005, 0.005, 0.02], shows=[True] * 4) == [("gray", 0, 5), ("masked", 5, 15), ("gray", 15, None)]


def test_a_lead_is_no_gap() -> None:
    assert told([0.005, 0.02, 0.02]) == [("masked", 0, 5), ("gray", 5, None)]
    assert told([0.0, 0.02, 0.02], shows=[True] * 3) == [("masked", 0, 5), ("gray", 5, None)]


def test_nor_is_a_tail_and_what_shows_nothing_at_first_has_no_row_until_it_does() -> None:
    assert told([0.02, 0.005]) == [("gray", 0, 5), ("masked", 5, None)]
    assert told([0.0, 0.0, 0.02]) == [("gray", 10, None)]
    assert told([0.0, 0.0, 0.0]) == []


def test_what_turns_twice_writes_three_rows() -> None:
    assert told([0.005, 0.02, 0.005, 0.005, 0.02]) == [("masked", 0, 5), ("gray", 5, 10), ("masked", 10, 20), ("gray", 20, None)]


def test_windows_begin_with_the_fault_and_the_last_one_is_diluted_by_what_follows() -> None:
    # From minute 7 on, for a minute: 6 % of one minute are 1.2 % of five, 4 % are 0.8 %.
    assert told([0.06] * 4, began=420.0, ended=480.0) == [("gray", 7, 8)]
    assert told([0.04] * 4, began=420.0, ended=480.0) == [("masked", 7, 8)]


def test_a_fault_hidden_behind_a_worse_one_is_gray_as_it_would_be_so_alone() -> None:
    seconds = ticking(0, 10, 60.0)
    faults = (Fault("n001/gpu0", "slow_rank", "gray", 0.0), Fault("n002/gpu0", "slow_rank", "gray", 0.0))
    meter = Meter(PLACE, faults, 600.0)
    wrong = Effects(seconds, 60.0, 1, TOPOLOGY.sizes)
    for number, factor in enumerate((1.05, 1.5)):
        wrong.fault = number
        wrong.touch("compute", number, factor)
    meter.add(wrong, np.ones((10, 1, 2)), np.ones((10, 2)), np.ones((10, 2), bool))
    assert [(r["subject"], r["state"]) for r in meter.rows()] == [("n001/gpu0", "gray"), ("n002/gpu0", "gray")]


# -- what is used up when -------------------------------------------------------------------------------------------

PLACE4 = Place(Topology(4, 2, second=1), Lottery.draw(Topology(4, 2, second=1), 1))


def end(mode: str, subject: str, strength: float = 1.0, form: str = "", ended: float | None = None) -> tuple[str | None, Any]:
    """Return the mechanism and when it is used up, in hours after the onset."""
    planted = Fault(subject, mode, "masked", 3600.0, ended, strength, form=form)
    found = exhausted(planted, PLACE4)
    return mechanism(planted, PLACE4), None if found is None else (found - 3600.0) / 3600.0


def test_rows_margins_and_spare_blocks_end_where_their_rate_leads() -> None:
    assert end("hbm_row_spares", "n001/gpu0", 8.0) == ("hbm_row_spares", 64.0)
    planted = Fault("n001/gpu0", "hbm_row_spares", "masked", 3600.0, None, 8.0, form="bank")
    assert exhausted(planted, PLACE4) == moments(planted, 1)[0][7]  # the eighth row is the bank's last spare
    margin = CLIFF - float(PLACE4.lottery.errors[PLACE4.nic("n002/nic1")])
    assert end("fec_margin", "n002/nic1", 0.5) == ("nic_fec", pytest.approx(margin / 0.5))
    left = 0.9 - float(wear(PLACE4.topology)[PLACE4.drive("n003/nvme1")])
    assert end("disk_redundancy", "n003/nvme1", 0.02, "wear") == ("disk_spares", pytest.approx(left / 0.02))


def test_the_only_spare_is_spent_at_once() -> None:
    assert end("power_cap", "n001", 0.0) == ("psu", 0.0)
    assert end("fan_degraded", "n001", 0.6) == ("cooling", 0.0)
    assert end("disk_redundancy", "n001") == ("disk_spares", 0.0)
    assert end("bond_degraded", "n001") == ("bond_member", 0.0)
    assert end("uncorrectable_memory", "n001/gpu0", 2.0) == ("hbm_row_spares", 0.0)


@pytest.mark.parametrize(
    ("mode", "subject", "spent"),
    [
        ("rail_failover", "n001/nic0", "rail_failover"), ("nvlink_degrade", "n001/gpu0", "nvlink_links"), ("nic_rate", "n001/nic0", "nic_rate"),
        ("pcie_width", "n001/gpu0/pcie", "pcie_degrade"), ("pcie_errors", "n001/gpu0/pcie", "pcie_replay"), ("switch_fault", "leaf01", "adaptive_routing"),
        ("nvlink_errors", "n001/gpu0/nvlink2", "nvlink_replay"), ("nvlink_errors", "n004/gpu0/nvlink2", "nvlink_plr"), ("ecc_burst", "n001/gpu0", "hbm_ecc"),
        ("nic_errors", "n001/nic0", "rdma_retransmit"), ("link_corruption", "n001/nic0", "rdma_retransmit"), ("link_flap", "n001/nic0", "link_retrain"),
        ("host_memory_errors", "n001", "dram_ecc"), ("thermal_throttle", "n001/gpu0", "clock_throttle"), ("slow_rank", "n001/gpu0", None),
        ("slow_silicon", "n001/gpu0", None), ("slow_drive", "n001/nvme0", None), ("hang", "n001/gpu0", None), ("lemon_node", "n001", None),
    ],
)  # fmt: skip
def test_what_is_lost_and_stays_so_or_has_no_budget_is_never_used_up(mode: str, subject: str, spent: str | None) -> None:
    assert end(mode, subject) == (spent, None)


def test_what_ends_before_stops_spending_and_a_slower_fan_has_not_lost_one() -> None:
    assert end("hbm_row_spares", "n001/gpu0", 8.0, ended=7200.0) == ("hbm_row_spares", None)
    assert end("fan_degraded", "n001", 0.3) == (None, None)


def test_a_drive_wears_at_its_rate() -> None:
    sick, name = ill(fault("disk_redundancy", 0.05, 0.0, "wear", ended=None)), subject("disk_redundancy", "wear")
    spare = sick.one("drive", "drive_spare_ratio", name)
    assert spare[0] - spare[-1] == pytest.approx(0.05 * (5400 - LEAD) / 3600, abs=0.011)
    assert {r["state"] for r in sick.truth} == {"masked"}
    assert sick.truth[0]["exhausted_at"] > START + END * 1e6


def test_a_spine_loses_uplinks_of_every_leaf() -> None:
    sick = ill(fault("switch_fault", 0.5, 0.0, "spine"))
    up = sick.column("leaf", "leaf_uplinks_active")
    assert (up[:180] == 16).all()
    assert (up[181:440] == 14).all()
    assert subject("switch_fault", "spine") in Fabric(healthy().simulation.topology).names
    assert {r["subject"] for r in sick.truth} == {subject("switch_fault", "spine")}
    assert culprit()[0] in healthy().simulation.place.fabric.wide


@pytest.mark.parametrize(("form", "active"), [("", 1.0), ("churn", 2.0)])
def test_a_bond_loses_a_member_or_only_its_aggregate(form: str, active: float) -> None:
    sick, name = ill(fault("bond_degraded", 1.0, 0.03, form)), subject("bond_degraded")
    found = [sick.one("node", f"bond_members_{what}", name)[300] for what in ("expected", "active", "aggregated")]
    assert found == [2.0, active, 1.0]
    assert {r["state"] for r in sick.truth} == {"gray"}  # half the way to storage costs 3 % here
    assert bool(sick.said) == (form == "")
