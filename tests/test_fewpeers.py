"""Fewpeers: distances in groups of two come from the other one; a group of one has none, and larger groups keep what their median told.

Marks of congestion are heard in groups of two and three, too, once all their members have them.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from grayscope.catalogue import Catalogue
from grayscope.commblame import Congestion
from grayscope.fewpeers import distances, medians, of
from grayscope.kernels import COUNT, LINEAR
from grayscope.roster import Roster, RosterRow
from grayscope.stand import Stand
from grayscope.tick import Tick


def test_two_are_compared_with_each_other_one_with_nobody_and_more_with_their_median() -> None:
    jobs = ["pair"] * 2 + ["lone"] + ["many"] * 5
    names = tuple(f"comm:{i}" for i in range(len(jobs)))
    view = Roster([RosterRow(n, "comm", keys={"job": job, "role": "node"}) for n, job in zip(names, jobs, strict=True)]).at(0)
    values = np.array([[0.4, 0.5, 0.3, 0.2, 0.2, 0.2, 0.2, 0.3]], np.float32)
    tick = Tick("comm", 10_000_000, 10_000_000, view, names, ("collective_transfer_seconds",), values, np.zeros(len(names), bool))
    standing = Stand(Catalogue.load()).step(tick)
    far, few = distances(tick, standing, 0)
    assert few.tolist() == [True, True] + [False] * 6
    assert far[1] == pytest.approx(math.log(0.5 / 0.4), rel=1e-5)
    assert far[0] == -far[1]
    assert math.isnan(far[2])
    assert far[3:].tolist() == standing.residual[0, 3:].tolist()


MARKS = 'nic_port_congestion_total{event="ecn_marked"}'


def explained(jobs: list[str], marked: list[int], silent: int = -1) -> bool:
    """Return whether the network is known to be crowded after five minutes in which some ports have twenty times as many marks; `silent` does not report."""
    names = tuple(f"n{i}/nic0" for i in range(len(jobs)))
    view = Roster([RosterRow(n, "nic", keys={"job": job, "rail": "rail:0"}) for n, job in zip(names, jobs, strict=True)]).at(0)
    stand, congestion, draw = Stand(Catalogue.load()), Congestion(), np.random.default_rng(5)
    for t in range(1, 131):
        mean = np.full(len(jobs), 5.0)
        mean[marked] = 100.0 if t > 100 else 5.0
        values = draw.poisson(mean).astype(np.float32)[None]
        values[:, [silent] if silent >= 0 else []] = np.nan
        tick = Tick("nic", t * 10_000_000, 10_000_000, view, names, (MARKS,), values, np.zeros(len(jobs), bool))
        congestion.look(tick, stand.step(tick))
    return congestion.explains(tick)


@pytest.mark.parametrize("size", [2, 3, 4])
def test_marks_in_a_job_of_few_machines_tell_that_the_network_is_crowded(size: int) -> None:
    jobs = ["job:1"] * size + ["job:2"] * 8
    assert explained(jobs, list(range(size)))
    assert not explained(jobs, [])


@pytest.mark.parametrize("size", [2, 3])
def test_marks_of_a_single_port_do_not(size: int) -> None:
    jobs = ["job:1"] * size + ["job:2"] * 8
    assert not explained(jobs, [0])
    assert not explained(jobs, list(range(size)), silent=0)
    assert not explained(["job:1", *jobs[size:]], [0])


def test_a_job_whose_machines_differ_is_not_crowded_when_a_fourth_comes() -> None:
    """Of three the least marks are the measure, of four the median of theirs: that is more, but none of them has risen."""
    means, names = np.array([5.0, 60.0, 60.0, 60.0]), tuple(f"n{i}/nic0" for i in range(4))
    jobs = [["job:1"] * size + ["job:3"] * (4 - size) for size in (3, 4)]
    views = [Roster([RosterRow(n, "nic", keys={"job": job, "rail": "rail:0"}) for n, job in zip(names, of, strict=True)]).at(0) for of in jobs]
    stand, congestion, draw = Stand(Catalogue.load()), Congestion(), np.random.default_rng(1)
    for t in range(1, 141):
        values = draw.poisson(means).astype(np.float32)[None]
        tick = Tick("nic", t * 10_000_000, 10_000_000, views[t > 120], names, (MARKS,), values, np.zeros(4, bool))
        if t == 100:  # which kind a group is of must outlive a pause
            again = Stand(Catalogue.load())
            again.restore(stand.snapshot())
            stand = again
        congestion.look(tick, stand.step(tick))
        assert not congestion.explains(tick), t


def test_of_few_the_least_bad_is_the_median_if_all_are_there() -> None:
    label = np.array([0, 0, 1, 1, 1, 2, 2, 2, 2, 3], np.int32)
    values = np.array([[7, 3, 1, np.nan, 9, 4, 4, 4, 4, 50], [5, 6, 1, 2, 3, 4, 4, 4, 4, 50]], np.float32)
    known, count = np.full((2, 4), 9, np.float32), np.array([[2, 2, 4, 1], [2, 3, 4, 1]], np.int32)
    few = of(0, COUNT, 1, label), of(1, LINEAR, -1, label)
    middle, many = medians(values, known, count, few)
    assert middle[0].tolist() == [pytest.approx(2 * 3.375**0.5), 9, 9, 9]
    assert middle[1].tolist() == [6, 3, 9, 9]
    assert many.tolist() == [[4, 2, 4, 1], [4, 4, 4, 1]]
    assert medians(values, known, count, ()) == (known, count)  # nothing is copied where there are none
