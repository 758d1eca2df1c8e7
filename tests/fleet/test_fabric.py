from __future__ import annotations

import numpy as np
import pytest

from grayscope.fleet import Fault
from grayscope.fleet.fabric import PATHS, Fabric
from grayscope.fleet.moment import START
from grayscope.fleet.register import Register
from grayscope.fleet.scenario import Scenario, load
from grayscope.fleet.seats import Seat
from grayscope.fleet.simulation import Simulation
from grayscope.fleet.topology import SPINES, Topology
from tests.fleet.playing import LEAD, Floats, Played, culprit, fault, healthy, ill, subject

RTT, WIDE = "path_rtt_seconds", "path_bandwidth_bytes_per_second"
#: Samples of paths, once a minute, while the fault is there; and before.
HELD, QUIET = slice(32, 74), slice(0, 29)


def change(sick: Played, metric: str) -> Floats:
    """Return by which factor each path's mean differs from the same fleet without the fault, shape [P]."""
    mean = [np.nanmean(p.column("path", metric)[HELD], axis=0) for p in (sick, healthy())]
    return np.asarray(mean[0] / mean[1])


def crossing(component: str) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    fabric = healthy().simulation.place.fabric
    return np.array([component in fabric.crosses(p) for p in fabric.paths])


# -- who crosses what -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nodes", [2, 8, 33, 128, 600])
def test_paths_are_bounded_join_one_rail_and_cross_a_spine(nodes: int) -> None:
    fabric = Fabric(Topology(nodes, 8, per_leaf=min(max(nodes // 4, 1), 32)))
    top = fabric.topology
    assert 0 < len(fabric.paths) <= PATHS
    assert len(set(fabric.path_names)) == len(fabric.paths)
    assert {p.spine for p in fabric.paths} == set(range(SPINES))
    for p in fabric.paths:
        assert top.slot[p.source] == top.slot[p.target]
        assert top.leaf_of_gpu[p.source] != top.leaf_of_gpu[p.target]
    if nodes <= 48:  # every NIC is an end of some path
        assert {p.source for p in fabric.paths} == set(range(nodes * 8))


def test_one_leaf_has_no_paths_and_one_node_no_traffic_over_spines() -> None:
    assert Fabric(Topology(4, 8)).paths == ()
    fabric = Fabric(Topology(8, 2, seats=(Seat("job:1", 0, 0), Seat("job:2", 0, 1), Seat("job:2", 1, 5)), per_leaf=2))
    assert fabric.wide == ("job:2",)
    assert sorted({s.job for k in range(SPINES) for s, _ in fabric.over(k)}) == ["job:2"]
    ports = np.sort(np.concatenate([p for k in range(SPINES) for _, p in fabric.over(k)]))
    assert ports.tolist() == [2, 3, 10, 11]  # each port's traffic is hashed to one spine
    assert [p.tolist() for _, p in fabric.up(5)] == [[11]]


def test_the_roster_names_the_ends_of_a_path_and_all_it_crosses() -> None:
    rows = {r.subject: r for r in healthy().simulation.register().rows() if r.table in ("path", "spine")}
    row = rows["n001/nic0>n003/nic0"]
    assert (row.keys["source"], row.keys["target"], row.keys["rail"]) == ("n001/nic0", "n003/nic0", "rail:0")
    assert row.crosses[:2] == ("n001/nic0", "leaf01")
    assert row.crosses[2] == row.keys["spine"]
    assert row.crosses[3:] == ("leaf05", "n003/nic0")
    assert {f"spine0{k}" for k in range(1, 5)} <= rows.keys()


def test_ranks_and_communicators_of_wide_jobs_cross_their_spine() -> None:
    simulation, (job, gpu) = healthy().simulation, culprit()
    rows = {r.subject: r for r in simulation.register().rows() if r.table in ("rank", "comm")}
    fabric, slot, number = simulation.place.fabric, int(gpu.rpartition("gpu")[2]), job.partition(":")[2]
    spine = fabric.names[fabric.spine_of(job, slot)]
    rail = rows[f"comm:{number}-rail{slot}"].crosses
    assert rail[-1] == spine
    under = {r.keys["leaf"] for r in rows.values() if r.keys.get("rail") == f"rail:{slot}" and r.subject.startswith(f"{job}/")}
    assert {c for c in rail if c.startswith("leaf")} == under
    assert {r.crosses[-1] for r in rows.values() if r.keys.get("gpu") == gpu and r.keys.get("job") == job} == {spine}
    narrow = Topology(4, 2, seats=(Seat("job:1", 0, 0),), per_leaf=2)
    ranks = [r for r in Register(narrow, complete=True, fabric=Fabric(narrow)).rows() if r.table == "rank"]
    assert [r.crosses[-1] for r in ranks] == ["leaf01", "leaf02"]


# -- what probes see ------------------------------------------------------------------------------------------------


def test_healthy_paths_differ_a_little_for_ever() -> None:
    early, late = (np.nanmean(healthy().column("path", RTT)[part], axis=0) for part in (slice(0, 30), slice(60, 90)))
    assert np.corrcoef(early, late)[0, 1] > 0.7
    assert 0.01 < early.std() / early.mean() < 0.06


def test_small_probes_do_not_see_corruption_and_large_ones_do() -> None:
    sick = ill(fault("link_corruption", 1e-4, 0.15))
    hit = crossing(subject("link_corruption"))
    assert 1 <= hit.sum() <= 4
    assert np.allclose(change(sick, RTT), 1.0)
    assert np.allclose(change(sick, WIDE)[hit], 0.85)
    assert np.allclose(change(sick, WIDE)[~hit], 1.0)


@pytest.mark.parametrize("form", ["", "uplink", "spine"])
def test_a_sick_switch_is_seen_by_the_paths_that_cross_it_and_by_no_others(form: str) -> None:
    sick = ill(fault("switch_fault", 0.5, 0.0, form))
    hit = crossing(subject("switch_fault", form))
    assert hit.any()
    assert not hit.all()
    assert (change(sick, RTT)[hit] > 2).all()
    assert np.allclose(change(sick, RTT)[~hit], 1.0)


def test_a_dead_port_gives_no_answer() -> None:
    sick = ill(fault("rail_failover", 0.1))
    hit = crossing(subject("rail_failover"))
    assert np.isnan(sick.column("path", RTT)[HELD][:, hit]).all()
    assert np.isfinite(sick.column("path", RTT)[HELD][:, ~hit]).all()


# -- congestion -----------------------------------------------------------------------------------------------------

#: Three jobs under several leaves and one under a single one.
SEATS = tuple(Seat(f"job:{j}", k, n) for j, nodes in ((1, (0, 2, 4)), (2, (1, 6)), (3, (3, 5)), (4, (7,))) for k, n in enumerate(nodes))


def crowded(strength: float) -> tuple[Fabric, dict[str, float]]:
    """Return by which factor congestion of the first spine makes each job's steps longer."""
    steps = {}
    for faults in ((), (Fault("spine01", "fabric_congestion", "benign", 0.0, None, strength),)):
        simulation = Simulation(Scenario("crowd", nodes=8, gpus=8, hours=0.5, seed=3), faults, SEATS)
        sheets = [s for h in simulation.hours() for s in h.sheets if s.table == "job"]
        steps[bool(faults)] = np.nanmean(np.concatenate([s.values[:, s.metrics.index("job_step_seconds")] for s in sheets]), axis=0)
    return simulation.place.fabric, dict(zip(simulation.topology.jobs, (steps[True] / steps[False]).tolist(), strict=True))


def test_congestion_strikes_all_jobs_that_share_a_spine_and_only_them() -> None:
    fabric, longer = crowded(0.8)
    share = {s.job for s, _ in fabric.over(0)}
    assert len(share) >= 2
    assert "job:4" not in share
    assert all(longer[job] > 1.03 for job in share)
    assert all(longer[job] == pytest.approx(1.0) for job in longer.keys() - share)


def test_congestion_follows_the_load_and_marks_ports() -> None:
    sick, (job, _) = ill(fault("fabric_congestion", 0.6, ended=None)), culprit()
    step = sick.one("job", "job_step_seconds", job) / healthy().one("job", "job_step_seconds", job)
    handled = 'nic_port_congestion_total{event="cnp_handled"}'
    marks = np.diff(sick.column("nic", handled).sum(axis=1))
    held = slice(int(LEAD / 10) + 1, 500)
    assert step[: int(LEAD / 10)].max() == pytest.approx(1.0)
    assert np.corrcoef(step[1:][held], marks[held])[0, 1] > 0.9
    (row,) = sick.truth
    assert (row["state"], row["subject"], row["began"]) == ("benign", subject("fabric_congestion"), START + 1_800_000_000)


def test_every_scenario_but_a_single_node_has_paths() -> None:
    for name in ("null", "mixed", "links", "scale"):
        assert Simulation(load(name), ()).place.fabric.paths
