from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from grayscope.errors import InputError
from grayscope.fleet.draw import draw, expected
from grayscope.fleet.hazards import hazards, parse
from grayscope.fleet.scenario import Scenario, load, names
from grayscope.fleet.schedule import schedule
from grayscope.fleet.simulation import under_one_leaf
from grayscope.fleet.topology import Topology
from grayscope.modes import Modes

FAULTS = tuple(m for m, h in hazards().items() if h.state != "benign")
CONTROLS = tuple(m for m, h in hazards().items() if h.state == "benign")


def years(scenario: Scenario) -> tuple[Counter[str], Topology]:
    """Count what is drawn for a fleet, without telemetry."""
    second = round(scenario.nodes * scenario.second)
    seats = schedule(scenario.nodes, second, scenario.busy, scenario.hours, scenario.seed)
    topology = Topology(scenario.nodes, scenario.gpus, scenario.seed, seats, second, under_one_leaf(scenario.nodes))
    return Counter(f.mode for f in draw(scenario, topology) if not f.by), topology


def test_base_rates_come_out_within_their_interval_over_fleet_years() -> None:
    counts, means = Counter[str](), Counter[str]()
    for seed in range(4):
        scenario = Scenario("rates", nodes=128, hours=24 * 365.0, seed=seed, faults=FAULTS, controls=CONTROLS)
        found, topology = years(scenario)
        counts += found
        for mode in (*FAULTS, *CONTROLS):
            means[mode] += expected(mode, scenario, topology)  # type: ignore[assignment]
    assert sum(means.values()) > 5000
    for mode, mean in means.items():
        # Four standard deviations; a few are left out because another of the same kind is still there.
        assert 0.93 * mean - 4 * np.sqrt(mean) <= counts[mode] <= mean + 4 * np.sqrt(mean), (mode, counts[mode], mean)


def test_acceleration_multiplies_faults_and_no_controls() -> None:
    slow = Scenario("a", nodes=64, hours=2000.0, acceleration=1.0, faults=("slow_rank",), controls=("user_bug",))
    _, topology = years(slow)
    quick = slow.but(acceleration=10.0)
    assert expected("slow_rank", quick, topology) == pytest.approx(10 * expected("slow_rank", slow, topology))
    assert expected("user_bug", quick, topology) == expected("user_bug", slow, topology)


def test_the_worst_tenth_of_the_nodes_has_about_four_tenths_of_the_events() -> None:
    scenario = Scenario("frail", nodes=400, hours=24 * 365.0, acceleration=20.0, faults=("slow_rank",))
    topology = Topology(400, 8, 1)
    nodes = Counter(f.subject.split("/")[0] for f in draw(scenario, topology))
    worst = sum(n for _, n in nodes.most_common(40))
    assert 0.3 < worst / nodes.total() < 0.55


def test_weak_faults_are_weak_and_strong_ones_are_not() -> None:
    topology = Topology(64, 8, 1)
    low, high = hazards()["slow_rank"].strength
    for weak, (a, b) in ((1.0, hazards()["slow_rank"].weak or (0, 0)), (0.0, (low, high))):
        found = draw(Scenario("w", nodes=64, hours=1000.0, acceleration=50.0, weak=weak, faults=("slow_rank",)), topology)
        assert len(found) > 20
        assert all(a <= f.strength <= b for f in found)


def test_a_bad_lot_names_its_parts_and_all_of_them_are_of_that_lot() -> None:
    topology = Topology(64, 8, 1)
    found = draw(Scenario("lot", nodes=64, hours=100.0, acceleration=3e3, faults=("batch_defect",)), topology)
    lots = [f for f in found if f.mode == "batch_defect"]
    rows = {f.subject for f in found if f.by == "batch_defect"}
    assert lots
    for lot in lots:
        assert set(lot.also) <= rows
        assert {f"batch:lot={topology.lot(topology.gpu_names.index(g))}" for g in lot.also} == {lot.subject}


def test_every_kind_is_in_some_scenario() -> None:
    assert {m for name in names() for m in (*load(name).faults, *load(name).controls)} == set(hazards())
    assert set(hazards()) <= Modes.load().modes.keys()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[slow_rnk]\npart = 'gpu'", "slow_rank"),
        ("[slow_rank]\npart = 'gpu'\nsource = 'x'\nstrenght = [1, 2]", "strength"),
        ("[slow_rank]\npart = 'gpu'\nstrength = [1, 2]\nrate = 1.0", "where the numbers come from"),
        ("[slow_rank]\npart = 'gpu'\nsource = 'x'\nstrength = [1, 2]\nrate = 1.0\nshare = 0.1", "exactly one"),
    ],
)
def test_a_wrong_hazard_is_named(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        parse(text)
