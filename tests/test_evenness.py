"""Evenness: what one fleet shows of how regularly steps come makes the next part's interval hold in about four of five cases."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from grayscope.evenness import NOTHING, change, learned, spell, spread
from grayscope.exhaustion import Cohort, Forecast, foresee

HEALTHY = Cohort(1e-4, 1.0)
LEFT = 300
Gaps = Callable[[np.random.Generator, int], NDArray[np.float64]]


def bursts(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """Return gaps with a coefficient of variation of 2."""
    return rng.gamma(1 / 4, 4.0, n)


def chance(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """Return gaps with a coefficient of variation of 1."""
    return rng.exponential(1.0, n)


def clock(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """Return gaps with a coefficient of variation of a quarter."""
    return rng.gamma(16.0, 1 / 16, n)


def held(gaps: Gaps, parts: int, seen: int, seed: int) -> tuple[float, float]:
    """Return how often the interval after `seen` steps holds of who comes after so many parts of any rate, and its median width in powers of ten."""
    rng, inside, width = np.random.default_rng(seed), [], []
    for _ in range(120):
        told = [spell((10 ** rng.uniform(-1, 1) * np.cumsum(gaps(rng, 20))).tolist()) for _ in range(parts)]
        steps = 5 + 10 ** rng.uniform(-1, 1) * np.cumsum(gaps(rng, seen + LEFT))
        found = foresee(steps[:seen].tolist(), float(steps[seen - 1]), LEFT, HEALTHY, learned(told))
        inside.append(found.low <= steps[-1] - steps[seen - 1] <= found.high)
        width.append(math.log10(found.high / found.low))
    return float(np.mean(inside)), float(np.median(width))


@pytest.mark.parametrize("seen", [2, 3, 4, 12])
@pytest.mark.parametrize("gaps", [bursts, chance, clock])
def test_four_of_five_intervals_hold_in_a_fleet_that_is_known(gaps: Gaps, seen: int) -> None:
    share, _ = held(gaps, 6, seen, 7)
    assert 0.65 <= share <= 0.96


def test_a_fleet_like_a_clock_makes_the_first_interval_narrow_and_one_in_bursts_wide() -> None:
    (_, cold), (_, even), (_, odd) = held(chance, 0, 2, 1), held(clock, 6, 2, 1), held(bursts, 6, 2, 1)
    assert even < cold / 3
    assert odd > cold + 0.3


def test_a_fleet_of_which_nothing_is_known_begins_with_chance() -> None:
    found, gap = foresee([10.0, 12.0], 12.0, LEFT, None), 2.0
    assert spread(NOTHING) == pytest.approx(1.0, abs=0.01)
    assert (found.low / gap / LEFT, found.high / gap / LEFT) == pytest.approx((-1 / math.log(0.1), -1 / math.log(0.9)), rel=0.02)


def test_what_others_tell_does_not_depend_on_their_order_nor_on_their_rates() -> None:
    rng = np.random.default_rng(4)
    steps = [np.cumsum(clock(rng, 12)) for _ in range(9)]
    told = [spell(s.tolist()) for s in steps]
    assert learned(told[::-1]) == pytest.approx(learned(told), rel=1e-12)
    assert spell((1000 * steps[0]).tolist()) == pytest.approx(told[0], abs=1e-6)


def test_bursts_are_no_change_of_rate_in_a_fleet_of_bursts() -> None:
    rng = np.random.default_rng(9)
    wild = learned(spell(np.cumsum(bursts(rng, 20)).tolist()) for _ in range(8))
    draws = [np.cumsum(bursts(rng, 20)) for _ in range(100)]
    alone, among = (sum(change(s.tolist(), float(s[-1]), belief) > 0 for s in draws) for belief in (np.eye(len(NOTHING))[8], wild))
    assert among < alone / 2


def test_one_part_unlike_all_others_is_still_believed() -> None:
    clocks = [spell(list(range(20)))] * 8
    steps = [1.0, 1.1, 1.11, 9.0, 9.01, 9.02, 30.0, 30.01, 30.02]
    assert spread(learned(clocks)) < 0.2
    alone, among = (foresee(steps, 30.02, LEFT, None, belief) for belief in (NOTHING, learned(clocks)))
    assert isinstance(among, Forecast)
    assert math.log(among.high / among.low) > 0.5 * math.log(alone.high / alone.low)
