"""Exhaustion: four of five intervals hold, over seeded cases whose truth is drawn, for stocks and for margins."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from grayscope.betalaw import beta, prime_quantile
from grayscope.drifts import fit
from grayscope.evenness import change
from grayscope.exhaustion import Cohort, Forecast, excess, foresee

CASES = 300
RNG = np.random.default_rng(31)


def share(draw: Callable[[np.random.Generator], tuple[Forecast | tuple[float, float, float], float]], seed: int) -> float:
    """Return how often the interval held, among those that said anything."""
    rng, inside = np.random.default_rng(seed), []
    for _ in range(CASES):
        found, truth = draw(rng)
        low, at, high = (found.low, found.at, found.high) if isinstance(found, Forecast) else found
        if math.isfinite(at):
            assert low <= at <= high
            inside.append(low <= truth <= high)
    assert len(inside) >= 200
    return float(np.mean(inside))


@pytest.mark.parametrize("left", [6, 500])
def test_a_part_like_its_cohort(left: int) -> None:
    def draw(rng: np.random.Generator) -> tuple[Forecast, float]:
        cohort = Cohort(0.01, 0.5)
        rate, hours = rng.gamma(cohort.shape, cohort.rate / cohort.shape), rng.uniform(300, 3000)
        steps = np.sort(rng.uniform(0, hours, rng.poisson(rate * hours)))
        return foresee(steps.tolist(), hours, left, cohort), rng.gamma(left) / rate

    assert 0.7 <= share(draw, 1) <= 0.9


@pytest.mark.parametrize("left", [6, 500])
def test_a_part_that_left_its_cohort_at_a_moment_nobody_knows(left: int) -> None:
    def draw(rng: np.random.Generator) -> tuple[Forecast, float]:
        rate, onset = 10 ** rng.uniform(-1, 1), rng.uniform(1, 100)
        steps = onset + np.cumsum(rng.exponential(1 / rate, rng.integers(2, 25)))
        return foresee(steps.tolist(), float(steps[-1]), left, Cohort(1e-4, 1.0)), rng.gamma(left) / rate

    assert 0.7 <= share(draw, 2) <= 0.9


def test_steps_like_a_clock_make_a_narrower_interval_that_still_holds() -> None:
    def draw(rng: np.random.Generator) -> tuple[Forecast, float]:
        steps = 5 + np.cumsum(rng.gamma(6.0, 1 / 6.0, 530))
        n = int(rng.integers(8, 30))
        return foresee(steps[:n].tolist(), float(steps[n - 1]), 500, Cohort(1e-4, 1.0)), float(steps[n + 499] - steps[n - 1])

    assert 0.7 <= share(draw, 3) <= 0.97
    even, chance = np.arange(1.0, 21.0), np.cumsum(RNG.exponential(1.0, 20))
    widths = [(f.high - f.low) / f.at for f in (foresee(s.tolist(), float(s[-1]), 100, None) for s in (even, chance))]
    assert widths[0] < 0.6 * widths[1]


@pytest.mark.parametrize("louder", [1, 3])
@pytest.mark.parametrize("memory", [0.0, 0.5])
@pytest.mark.parametrize("onset", [0, 24, 42])
def test_a_margin_that_began_to_shrink(onset: int, memory: float, louder: int) -> None:
    def draw(rng: np.random.Generator) -> tuple[tuple[float, float, float], float]:
        hours, slope, noise = np.arange(48.0), 10 ** rng.uniform(-2, -1) * (4 if onset > 36 else 1), np.zeros(48)
        began = onset + rng.uniform()
        for i in range(48):
            noise[i] = memory * noise[i - 1] + rng.normal(0, 0.05) * (louder if i > began else 1)
        line = fit(hours, 20 - slope * np.maximum(hours - began, 0) + noise)
        assert line is not None
        return line.ends, 20 / slope + began - 47

    assert 0.65 <= share(draw, 4) <= 0.95


def test_what_a_margin_lost_is_what_went_since_it_began() -> None:
    hours, rng = np.arange(48.0), np.random.default_rng(8)
    line = fit(hours, 4 - 0.05 * np.maximum(hours - 42, 0) + rng.normal(0, 0.02, 48))
    assert line is not None
    assert line.since in (40, 41, 42, 43)
    assert line.lost == pytest.approx(0.25, abs=0.07)


def test_a_margin_told_in_steps_is_known_no_better() -> None:
    hours, inside = np.arange(12.0), []
    for first in np.arange(0.0, 0.01, 0.0005):
        told = np.round((0.8 + first - 0.007 * hours) / 0.01) * 0.01
        line, blind = fit(hours, told, None, 0.01), fit(hours, told)
        assert line is not None
        assert blind is not None
        assert line.ends[2] - line.ends[0] > blind.ends[2] - blind.ends[0]
        inside.append(line.ends[0] <= (0.8 + first) / 0.007 - 11 <= line.ends[2])
    assert np.mean(inside) >= 0.8


def test_what_says_nothing() -> None:
    cohort = Cohort(1e-5, 1.0)
    assert foresee([], 100.0, 10, cohort).at == math.inf
    assert foresee([3.0], 100.0, 10, cohort).at == math.inf  # unlike its cohort, and one step is no rate
    assert foresee([3.0], 100.0, 10, Cohort(1e-2, 1.0)).at < math.inf
    assert foresee([5.0, 5.0], 5.0, 10, None).at == math.inf
    assert foresee([5.0, 6.0], 6.0, 0.0, None)[1:4] == (0.0, 0.0, 0.0)
    assert fit(np.arange(5.0), np.arange(5.0)) is None
    grows = fit(np.arange(9.0), np.arange(9.0))
    assert grows is not None
    assert grows.ends == (math.inf,) * 3


def test_the_beta_law_against_its_integral() -> None:
    x = np.linspace(0, 1, 200_001)
    for a, b in ((1.5, 3.0), (4.0, 2.5), (30.0, 60.0)):
        density = np.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)) * np.maximum(x, 1e-12) ** (a - 1) * (1 - x) ** (b - 1)
        at = [20_000, 66_667, 140_000]
        assert [beta(a, b, float(x[i])) for i in at] == pytest.approx([float(np.trapezoid(density[: i + 1], x[: i + 1])) for i in at], abs=2e-3)
    assert beta(3.0, 5.0, prime_quantile(0.1, 3.0, 5.0) / (1 + prime_quantile(0.1, 3.0, 5.0))) == pytest.approx(0.1)


def test_an_excess_is_a_share_of_draws() -> None:
    rng, cohort = np.random.default_rng(2), Cohort(0.02, 0.5)
    n = rng.poisson(rng.gamma(cohort.shape, cohort.rate / cohort.shape, 20_000) * 100)
    assert excess(5, 100.0, cohort) == pytest.approx(float((n >= 5).mean()), abs=0.01)
    assert excess(0, 1.0, cohort) == 1.0


def test_a_rise_is_found_and_a_fall_is_none() -> None:
    slow, fast = [100.0 * i for i in range(1, 6)], [500.0 + i for i in range(1, 9)]
    assert change(slow + fast, 508.0) in (4, 5)
    assert change([1.0 * i for i in range(1, 9)] + [200.0, 400.0], 420.0) == 0
    spiked = fit(np.arange(9.0), np.array([0, 1, 2, 3, 99, 5, 6, 7, 8.0]))
    assert spiked is not None
    assert spiked.slope == pytest.approx(1.0, abs=0.1)
