"""Tails: what is learned of a normal, a heavy and a troubled fleet, and that it follows the metrics and a pause."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from grayscope import running
from grayscope.taillaw import ENOUGH, MANY, MARKS, STEEPEST, huber, law
from grayscope.tails import Tails

F = np.float32
Floats = NDArray[np.float64]
N = 400


def counted(draw: Floats, doubted: NDArray[np.bool_] | None = None) -> Floats:
    """Return the counts [1 + 3 K] after looks [T, S] at robust sigmas."""
    tail, peak = np.zeros((1, 1 + 3 * len(MARKS))), np.zeros((1, draw.shape[1]), F)
    rows, cols, z = np.empty(draw.shape[1], np.int32), np.empty(draw.shape[1], np.int32), np.empty(draw.shape[1], F)
    seen, sign, cut, width = np.ones((1, draw.shape[1]), np.int16), np.ones(1, np.int8), np.full(1, 99, F), np.ones(1, F)
    doubt = np.zeros(draw.shape[1], bool) if doubted is None else doubted
    one = np.zeros((1, draw.shape[1]), np.int32)
    for look in draw:
        running.outstanding(look[None].astype(F), seen, sign, F(1), 1, F(1), cut, width, rows, cols, z, True, doubt, peak, MARKS, tail, one[0, :1], one)
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
