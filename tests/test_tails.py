"""Tails: what is learned of a normal, a heavy and a troubled fleet, and that it follows the metrics and a pause."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from grayscope import running
from grayscope.better import LADDER, contradicts, fair
from grayscope.taillaw import ENOUGH, MANY, MARKS, STEEPEST, huber, law
from grayscope.tails import SIDE, Tails

F = np.float32
Floats = NDArray[np.float64]
N = 400


def counted(draw: Floats, doubted: NDArray[np.bool_] | None = None) -> Floats:
    """Return the counts [1 + 3 K] after looks [T, S] at robust sigmas."""
    return both(draw, draw, doubted)[:SIDE]


def both(draw: Floats, residual: Floats, doubted: NDArray[np.bool_] | None = None) -> Floats:
    """Return the counts [1 + 3 K + L], those of the better side too, of parts that are so far from their peers."""
    tail, peak = np.zeros((1, SIDE + len(LADDER))), np.zeros((1, draw.shape[1]), F)
    rows, cols, z = np.empty(draw.shape[1], np.int32), np.empty(draw.shape[1], np.int32), np.empty(draw.shape[1], F)
    seen, sign, cut, width = np.ones((1, draw.shape[1]), np.int16), np.ones(1, np.int8), np.full(1, 99, F), np.ones(1, F)
    doubt = np.zeros(draw.shape[1], bool) if doubted is None else doubted
    one = np.zeros((1, draw.shape[1]), np.int32)
    for look, beside in zip(draw.astype(F), residual.astype(F), strict=True):
        running.outstanding(
            look[None], seen, sign, F(1), 1, F(1), cut, width, rows, cols, z, True, doubt, peak, MARKS, LADDER, tail, one[0, :1], one, look[None], beside[None]
        )
    counts: Floats = tail[0]
    return counts


def test_a_light_tail_is_believed() -> None:
    rng = np.random.default_rng(1)
    light = law(counted(rng.normal(0, 1, (800, N))), 2.0)
    assert 2.8 < light.rate <= STEEPEST
    assert light.surprise(8.0) > huber(2.0).surprise(8.0) + 5  # the point of it
    assert abs(light.surprise(4.0) - -math.log(3.2e-5)) < 1.5  # and what a normal law says


def test_noise_that_strays_more_often_than_the_law_before_allows_is_taken_as_it_is() -> None:
    draw = np.random.default_rng(5).standard_t(3, (3000, N))
    heavy = law(counted(draw), 2.0)
    assert heavy.rate < 2.0
    assert heavy.shape > 0
    own = 1.4826 * np.median(np.abs(draw)) * (1 + 14 / N)
    for z in (6.0, 8.0, 10.0):  # far beyond the marks too it is near what was drawn, where Huber's law is wrong by a factor of thousands
        assert abs(heavy.surprise(z) - -math.log(np.mean(draw > z * own))) < 1.0
    assert heavy.needed(heavy.surprise(9.0)) == pytest.approx(9.0)
    assert huber(2.0).surprise(10.0) > heavy.surprise(10.0) + 8


def test_a_few_troubles_do_not_make_a_fleet_noisy() -> None:
    draw = np.random.default_rng(6).normal(0, 1, (800, N))
    calm = law(counted(draw), 2.0)
    draw[200:220, 3 : 3 + int(MANY)] = 9.0
    ill = law(counted(draw), 2.0)
    assert ill.surprise(8.0) >= huber(2.0).surprise(8.0)
    assert calm.surprise(8.0) >= ill.surprise(8.0)


def test_a_lasting_fault_teaches_nothing_and_a_passed_one_counts_once() -> None:
    rng = np.random.default_rng(2)
    calm = rng.normal(0, 1, (300, N))
    ill = calm.copy()
    ill[100:, 7] = 9.0
    assert counted(ill)[2] <= counted(calm)[2] + 1
    ill[200:, 7] = 0.0
    assert counted(ill)[-3] == pytest.approx(counted(calm)[-3], abs=2)
    known = np.arange(N) == 7
    assert counted(ill, known)[-3] == pytest.approx(counted(calm, known)[-3], abs=1)


def test_few_excursions_leave_the_law_as_it_was() -> None:
    row = np.zeros(1 + 3 * len(MARKS))
    row[0], row[1] = 1e6, ENOUGH - 1
    assert law(row, 2.5) == huber(2.5)


def test_counts_follow_metrics_and_survive_a_pause() -> None:
    tails = Tails((2.0, 3.0))
    tails.of("gpu", ("a", "b"))[0, 1, 0] = 5.0
    assert tails.of("gpu", ("b", "c"))[0, :, 0].tolist() == [5.0, 0.0]
    again = Tails((2.0, 3.0))
    again.restore(tails.snapshot())
    assert again.names == tails.names
    assert np.array_equal(again.seen["gpu"], tails.seen["gpu"])


def test_excursions_to_the_better_side_count_at_once_and_each_once_by_its_farthest_point() -> None:
    draw = np.zeros((9, N)) + np.linspace(-1, 1, N)
    width = 1.4826 / 2 * (1 + 14 / N)
    draw[2:5, 7] = np.array([-3.5, -7.0, -4.5]) * width
    draw[7:, 9] = -5.0 * width  # lasts
    assert both(draw, draw)[SIDE:].tolist() == [2.0, 2.0, 1.0, 0.0, 0.0]
    assert both(draw, draw, np.arange(N) == 7)[SIDE:].tolist() == [1.0, 1.0, 0.0, 0.0, 0.0]
    assert both(draw, np.zeros_like(draw))[SIDE:].tolist() == [0.0] * 5  # they left a bad past to be where their peers are


def test_the_better_side_tells_heavy_noise_before_the_worse_side_may() -> None:
    rng = np.random.default_rng(6)
    few = both(draw := rng.standard_t(3, (5, N)), draw)
    known = law(few[:SIDE], 2.0)
    passed, further = contradicts(few[SIDE:], few[0], known)
    heavy = fair(few[SIDE:], few[0], known, passed, further)
    for z in (8.0, 16.0):
        chance = -math.log(np.mean(rng.standard_t(3, (20000, N)) > z * 1.4826 * 0.7649))
        assert known.surprise(z) > chance + 3  # what has been seen so far does not yet say so on the worse side
        assert chance - 3.0 < heavy.surprise(z) < chance + 1.0
    many = both(draw := rng.normal(0, 1, (800, N)), draw)
    assert contradicts(many[SIDE:], many[0], law(many[:SIDE], 2.0)) == (0.0, 0.0)


def test_what_one_horizon_knows_of_the_tail_holds_at_all_of_them() -> None:
    tails = Tails((2.0, 3.0))
    rows = tails.of("rank", ("a", "b"))
    rows[0, 0, SIDE:], rows[0, 0, 0] = (100.0, 35.0, 12.0, 4.0, 1.0), 1e4
    rows[1, :, 0] = 100.0
    for horizon in range(2):
        tails.learned("rank", horizon, True)
    assert tails.laws("rank", 1)[1] == huber(3.0)
    assert tails.laws("rank", 1)[0].surprise(12.0) < huber(3.0).surprise(12.0) / 2
    again = Tails((2.0, 3.0))
    again.restore(tails.snapshot())
    assert again.laws("rank", 1) == tails.laws("rank", 1)
    rows[0, 0, SIDE:] = 0.0
    tails.learned("rank", 0, False)
    assert tails.laws("rank", 1)[0] == huber(3.0)
