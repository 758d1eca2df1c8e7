"""Horizons: how much more than most a part moves from tick to tick."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from grayscope import running
from grayscope.restless import MOVES, STEP, restless
from grayscope.running import FAR
from grayscope.tails import CLOSE, JUMP, Tails

WIDTH = 40


def followed(noise: NDArray[np.float64], doubted: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
    """Return how restless each part of noise [T, S] is after it."""
    return counted(noise, doubted)[0]


def counted(noise: NDArray[np.float64], doubted: NDArray[np.bool_] | None = None) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return how restless each part of noise [T, S] is after it, and what was counted of jumps."""
    last, move, moves = np.zeros((1, WIDTH), np.float32), np.zeros((1, WIDTH), np.float32), np.zeros((1, WIDTH), np.int32)
    scale, nobody = np.full((1, WIDTH), 2.0, np.float32), np.zeros(WIDTH, bool)
    jumped, jumps = np.zeros((1, WIDTH), np.int32), np.zeros((1, 2))
    for row in (2.0 * noise).astype(np.float32):
        running.follow(row[None], scale, nobody if doubted is None else doubted, last, move, moves, STEP, JUMP, jumped, jumps)
    found: NDArray[np.float32] = restless(move, moves)[0]
    return found, jumps[0]


def drawn(ticks: int, rho: float = 0.0) -> NDArray[np.float64]:
    rng, noise = np.random.default_rng(1), np.zeros((ticks, WIDTH))
    for t in range(ticks):
        noise[t] = rho * noise[t - 1] + np.sqrt(1 - rho * rho) * rng.standard_normal(WIDTH)
    return noise


@pytest.mark.parametrize("rho", [0.0, 0.8])
def test_a_noisy_part_is_as_restless_as_it_is_noisy(rho: float) -> None:
    noise = drawn(1000, rho)
    noise[:, 3] *= 5
    found = followed(noise)
    assert 2.8 < found[3] < 5.2
    assert np.delete(found, 3).max() < 0.5


def test_what_lasts_makes_nobody_restless_nor_does_what_seldom_comes() -> None:
    noise = drawn(1000)
    noise[500:, 7] += 8.0
    noise[::20, 9] += 8.0
    assert followed(noise)[[7, 9]].max() < 0.5


def test_small_moves_of_offsets_and_what_is_young_or_doubted_tell_nothing() -> None:
    noise = drawn(400) * 0.02
    noise[:, 5] *= 6
    assert followed(noise).max() == 0.0
    noise = drawn(400)
    noise[:, 5] *= 6
    assert followed(noise[: MOVES - 1]).max() == 0.0
    assert followed(noise, np.arange(WIDTH) == 5)[5] == 0.0


def clip(noise: NDArray[np.float64]) -> float:
    """Return where the values of a metric with such noise are clipped."""
    tails = Tails((2.0,))
    tails.of("t", ("m",))
    tails.jumps["t"][0] = counted(noise)[1]
    return float(tails.clips("t")[0])


def test_single_values_are_clipped_lower_where_the_fleet_s_values_jump() -> None:
    calm, heavy = drawn(500), np.random.default_rng(2).standard_t(3, (500, WIDTH))
    assert (clip(calm), clip(heavy)) == (FAR, CLOSE)
    assert clip(heavy[:3]) == FAR


def test_one_part_that_flaps_and_one_that_stays_away_are_not_taken_for_the_way_of_all() -> None:
    flaps, stays = drawn(1000), drawn(1000)
    flaps[::4, 3] += 20
    stays[300:700, 3] += 20
    assert clip(flaps) == clip(stays) == FAR


def test_a_first_move_that_was_the_start_of_a_job_is_soon_forgotten() -> None:
    noise = drawn(MOVES + 4)
    noise[0, :15] -= 100.0  # a third of the parts was seen at rest before the others came
    assert followed(noise).max() < 1.0


def test_a_jump_counts_for_three_spreads_and_what_lasts_for_what_it_is() -> None:
    steps, clip, zeros = np.array([4, 16], np.float32), np.full(1, CLOSE, np.float32), np.zeros((1, 2), np.float32)
    mean, seen = np.zeros((2, 1, 2), np.float32), np.zeros((2, 1, 2), np.int16)
    block, filled, sign, unit = zeros.copy(), np.zeros((1, 2), np.int32), np.ones(1, np.int8), np.ones((1, 2), np.float32)
    highest = 0.0
    for t in range(96):
        values = np.array([[16.0, 16.0 if t % 12 == 11 else 0.0]], np.float32)
        running.accumulate(values, unit, zeros, sign, mean, seen, block, filled, 2, False, steps, clip)
        highest = max(highest, float(mean[0, 0, 1]))
    assert mean[1, 0, 0] > 0.9 * FAR
    assert highest < CLOSE / 3
