"""Stand: who is doubted teaches nothing, but nobody stays without a past."""

from __future__ import annotations

import numpy as np

from grayscope.catalogue import Catalogue
from grayscope.kernels import SETTLED
from grayscope.roster import Roster, RosterRow
from grayscope.stand import Stand
from grayscope.standing import Standing
from grayscope.tick import Tick

S = 1_000_000
NAMES = tuple(f"job:1/r{k}" for k in range(8))


def past(doubted: frozenset[str], slow: float = 2.2) -> float:
    """Return how far r3 is from its own past after `SETTLED` ticks at 2.0 s, when it takes `slow` for as long."""
    rows = [RosterRow(n, "rank", keys={"job": "job:1", "role": "", "gpu": f"n1/gpu{k}"}) for k, n in enumerate(NAMES)]
    stand, view = Stand(Catalogue.load()), Roster(rows).at(0)
    for t in range(1, 2 * SETTLED + 1):
        values = np.full((1, 8), 2.0, np.float32)
        values[0, 3] = slow if t > SETTLED else 2.0
        standing = stand.step(Tick("rank", t * 10 * S, 10 * S, view, NAMES, ("compute_seconds",), values, np.zeros(8, bool)), doubted)
    return float(standing.past[0, 3])


def test_a_doubted_part_has_a_past_all_the_same() -> None:
    assert past(frozenset({"n1/gpu3"})) > 0.05


def test_who_is_doubted_does_not_learn_its_own_slowness() -> None:
    own = [past(frozenset({"n1/gpu3"}), slow) / np.log(slow / 2.0) for slow in (2.01, 2.2)]  # the same share of each is left
    assert np.isclose(own[0], own[1], rtol=1e-5)


def test_what_only_spends_its_reserve_does_not_drag_its_parts_along() -> None:
    assert past(frozenset({"n1"})) == past(frozenset())
    assert past(frozenset({"n1/"})) == past(frozenset({"n1/gpu3"}))


CLOCK, ACTIVE = 'gpu_clock_hertz{domain="sm"}', "gpu_active_ratio"


def behind(active: float, names: tuple[str, ...] = (CLOCK, ACTIVE)) -> float:
    """Return how far the clock of the first of 16 equal GPUs is behind its peers', all of them at work for this share of the time."""
    gpus = tuple(f"n{k // 8}/gpu{k % 8}" for k in range(16))
    view = Roster([RosterRow(n, "gpu", keys={"sku": "a"}) for n in gpus]).at(0)
    values = np.full((2, 16), 345e6, np.float32)
    values[0, 0], values[1] = 345e6 * 0.94, active
    return float(Stand(Catalogue.load()).step(Tick("gpu", 10 * S, 10 * S, view, gpus, names, values, np.zeros(16, bool))).residual[0, 0])


def test_the_clock_of_a_part_at_rest_says_nothing_of_what_it_can_do() -> None:
    assert np.isnan(behind(0.0))
    assert np.isnan(behind(0.01))


def test_the_clock_of_a_part_at_work_does_and_so_where_nobody_says_whether_it_works() -> None:
    low = float(-np.log(np.float32(0.94)))
    assert np.isclose([behind(0.5), behind(1.0), behind(np.nan), behind(0.0, (CLOCK, "x"))], low, rtol=1e-4).all()


def test_who_has_just_left_a_job_is_no_measure_for_those_that_rest() -> None:
    names = tuple(f"n{k:02d}" for k in range(16))
    working, resting = ([RosterRow(n, "node", keys={"sku": "a", "job": "job:1" if k >= 4 and busy else ""}) for k, n in enumerate(names)] for busy in (1, 0))
    stand, views = Stand(Catalogue.load()), (Roster(working).at(0), Roster(resting).at(0))
    fans = np.full((1, 16), 9000.0, np.float32)
    fans[0, :4] = 7000.0, 7000.0, 7000.0, 6000.0
    for t in range(1, 80):  # the twelve that worked have just begun to cool down when they join the four
        tick = Tick("node", t * 10 * S, 10 * S, views[t == 79], names, ("fan_speed_rpm",), fans.copy(), np.zeros(16, bool))
        standing = stand.step(tick)
    assert standing.expected(0, 0) == 9000.0
    assert standing.residual[0].tolist() == [0.0, 0.0, 0.0, 1000.0, *[0.0] * 12]  # a slow fan among those that rest is one still


def test_of_peers_that_have_left_the_usual_median_is_told() -> None:
    names, stand = tuple(f"n{k}" for k in range(8)), Stand(Catalogue.load())
    views = [Roster([RosterRow(n, "node", keys={"sku": "a", "job": gone if k else ""}) for k, n in enumerate(names)]).at(0) for gone in ("", "job:1")]
    for t in range(1, 101):
        fans = np.full((1, 8), 7000.0, np.float32)
        standing = stand.step(Tick("node", t * 10 * S, 10 * S, views[t == 100], names, ("fan_speed_rpm",), fans, np.zeros(8, bool)))
    assert np.isnan(standing.residual[0, 0])
    assert (standing.expected(0, 0), standing.effect(0, 0, 500.0)) == (7000.0, 6500.0)


TWO = tuple(f"n{n}/gpu{k}" for n in (1, 2) for k in range(8))
LIMITED = 'gpu_clock_limit_seconds_total{reason="thermal_software"}'


def two_machines(before: int, hot: int, doubted: frozenset[str] = frozenset(), ticks: int = 50) -> Standing:
    """Return the last standing of a job on two machines: after `before` cool ticks the first `hot` of its GPUs are limited nine seconds of ten."""
    rows = [RosterRow(n, "gpu", keys={"job": "job:1", "sku": "a", "node": n[:2]}) for n in TWO]
    stand, view = Stand(Catalogue.load()), Roster(rows).at(0)
    for t in range(1, before + ticks + 1):
        values = np.zeros((1, 16), np.float32)
        values[0, :hot] = 9.0 if t > before else 0.0
        standing = stand.step(Tick("gpu", t * 10 * S, 10 * S, view, TWO, (LIMITED,), values, np.zeros(16, bool)), doubted)
    return standing


def test_one_of_two_machines_that_gets_hot_is_measured_by_the_other() -> None:
    standing = two_machines(200, 8)
    assert (standing.residual[0, :8] > 50 * standing.scale[0, :8]).all()
    assert (standing.residual[0, 8:] == 0).all()


def test_halves_that_came_together_as_such_are_measured_from_between_them() -> None:
    standing = two_machines(0, 8)
    assert (abs(standing.residual[0]) < 2 * standing.scale[0]).all()


def test_who_is_doubted_is_no_measure_for_others() -> None:
    hot = frozenset(TWO[:9])
    assert two_machines(200, 10).residual[0, 9] == 0  # ten of sixteen are the crowd
    assert two_machines(200, 10, hot).residual[0, 9] == 9
    assert two_machines(200, 13, frozenset(TWO[:13])).residual[0, 12] == 0  # the three that are left are no crowd
