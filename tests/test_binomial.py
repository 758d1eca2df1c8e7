"""Binomial: the tail against sums written out, and far beyond the smallest number."""

from __future__ import annotations

import math

import pytest

from grayscope.binomial import log_tail


def plainly(n: int, mean: float, variance: float) -> float:
    """Return ln P(X >= n), all terms added."""
    if variance <= mean * 1.001:
        terms = [math.exp(x * math.log(mean) - mean - math.lgamma(x + 1)) for x in range(n, n + 2000)]
    else:
        size = mean * mean / (variance - mean)
        away = size * math.log(size / (size + mean))
        ratio = math.log(mean / (mean + size))
        terms = [math.exp(math.lgamma(x + size) - math.lgamma(size) - math.lgamma(x + 1) + away + x * ratio) for x in range(n, n + 20000)]
    return math.log(math.fsum(terms))


@pytest.mark.parametrize(("n", "mean", "variance"), [(1, 0.01, 0.0), (9, 2.0, 2.0), (9, 2.0, 8.0), (40, 5.0, 5.5), (300, 100.0, 4000.0)])
def test_the_tail_is_the_sum_of_its_terms(n: int, mean: float, variance: float) -> None:
    assert log_tail(n, mean, variance) == pytest.approx(plainly(n, mean, variance), abs=2e-4)


def test_nothing_is_unlikely_below_the_mean_and_nothing_underflows() -> None:
    assert log_tail(3, 3.0, 9.0) == 0.0
    assert log_tail(5000, 0.5, 0.5) < -30000
