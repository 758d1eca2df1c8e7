"""Mates: of two drives in a machine the one that is slow for itself stands out, and a busy machine does not."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from grayscope import assembly
from grayscope.batch import Batch
from grayscope.catalogue import Catalogue
from grayscope.incident import Incident
from grayscope.mates import grouped
from grayscope.roster import Roster, RosterRow
from grayscope.settings import Settings
from grayscope.stand import Stand
from grayscope.tick import Tick

S = 1_000_000
METRICS = ("drive_throughput_bytes_per_second", "drive_latency_seconds")


def tick(latency: NDArray[np.float64], per_node: int = 2, time: int = 10 * S) -> Tick:
    names = tuple(f"n{n:02d}/nvme{d}" for n in range(len(latency) // per_node) for d in range(per_node))
    rows = [RosterRow(s, "drive", keys={"sku": "a", "slot": s[-1], "node": s[:3]}) for s in names]
    values = np.stack([np.full(len(names), 2e8), latency]).astype(np.float32)
    return Tick("drive", time, 10 * S, Roster(rows).at(0), names, METRICS, values, np.zeros(len(names), bool))


def residual(latency: NDArray[np.float64]) -> NDArray[np.float32]:
    stand = Stand(Catalogue.load())
    return np.asarray([stand.step(tick(latency, time=t * 10 * S)) for t in range(1, 4)][-1].residual[1])


def test_few_drives_are_compared_with_their_like_in_other_machines() -> None:
    latency = np.full(32, 1e-4)
    latency[7] *= 5
    found = residual(latency)
    assert found[7] > 1.0
    assert np.delete(found, 7).max() < 0.01  # the drive beside it is as much better, which is nobody's fault


def test_parts_that_differ_a_little_for_ever_have_the_spread_that_is_usual_among_them() -> None:
    """Had one of each pair stood at 0, half of all drives would have looked far off."""
    latency = 1e-4 * np.exp(np.random.default_rng(1).normal(0, 0.1, 32))
    found = residual(latency)
    assert np.count_nonzero(found < -0.01) >= 10
    assert np.count_nonzero(found > 0.01) >= 10


def test_a_machine_whose_drives_are_all_busier_accuses_none() -> None:
    latency = np.full(32, 1e-4)
    latency[6:8] *= 3
    assert np.abs(residual(latency)).max() < 0.01


def test_strangers_are_never_nearer_than_a_tenth() -> None:
    standing = Stand(Catalogue.load()).step(tick(np.full(32, 1e-4)))
    assert standing.scale[1].min() >= 0.1


def test_a_machine_with_a_crowd_of_drives_keeps_to_itself() -> None:
    _, few = grouped(tick(np.full(32, 1e-4)), ("node",))
    _, many = grouped(tick(np.full(32, 1e-4), per_node=8), ("node",))
    assert few == (("batch:sku=a,slot=0",), ("batch:sku=a,slot=1",))
    assert many == tuple((f"n{n:02d}",) for n in range(4))


def test_the_parts_of_a_pair_share_one_curve_of_load() -> None:
    """Were a slot to have its own curve, a pair at rest among busy ones would part whenever that curve is drawn anew."""
    stand = Stand(Catalogue.load())
    stand.step(tick(np.full(32, 1e-4)))
    assert "drive_latency_seconds" in stand.loads.tables["drive"].common
    stand.step(tick(np.full(32, 1e-4), per_node=8, time=20 * S))
    assert "drive_latency_seconds" not in stand.loads.tables["drive"].common


def test_when_the_slow_one_of_a_pair_is_well_again_the_other_is_not_accused() -> None:
    """Beside a slow drive the other seems fast; had that been learned as its past, it would have become slow on the recovery."""
    rng = np.random.default_rng(5)
    one = tick(np.full(32, 1e-4))
    engine = assembly.engine(Settings(detectors=("became",)), periods={"drive": 10 * S})
    engine.step(tuple(one.roster.rows.values()))
    said = list[Incident]()
    for t in range(1, 1500):
        latency = 1e-4 * np.exp(rng.normal(0, 0.04, 32))
        latency[7] *= 2.5 if 400 < t <= 1000 else 1.0
        values = np.stack([np.full(32, 2e8), latency]).astype(np.float32)[None]
        said += engine.step(Batch("drive", np.array([t * 10 * S]), one.subjects, METRICS, values)).incidents
    last = {i.id: i for i in said}.values()
    assert {i.subject for i in last} == {"n03/nvme1"}
    assert all(i.ended is not None for i in last)
