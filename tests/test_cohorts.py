"""Cohorts: what the others show, asked for thousands at once, is what asking each by itself gives."""

from __future__ import annotations

import math

import numpy as np
import pytest

from grayscope.cohorts import HEALTHY, Cohorts


def alone(count: np.ndarray, hours: np.ndarray, label: np.ndarray, s: int) -> tuple[float, float]:
    """Return the mean rate of the others and how much healthy ones differ, from the definition."""
    others = (label == label[s]) & (hours > 0)
    others[s] = False
    n, h = count[others], hours[others]
    healthy = np.argsort(n / h, kind="stable")[: math.ceil(HEALTHY * len(n))]
    n, h = n[healthy], h[healthy]
    rate = (n.sum() + 0.5) / h.sum()
    return rate, max((np.square(n - rate * h) - rate * h).sum() / np.square(rate * h).sum(), 0.5)


@pytest.mark.parametrize("seed", range(6))
def test_each_ones_cohort_is_all_others_of_its_kind(seed: int) -> None:
    draw = np.random.default_rng(seed)
    parts = 50
    count, hours = draw.poisson(draw.gamma(0.5, 6.0, parts)).astype(np.float64), draw.choice([0.0, 3.25, 90.0], parts, p=[0.1, 0.2, 0.7])
    label = draw.integers(0, 3, parts).astype(np.int32)
    of = Cohorts(count, hours, label)
    for s in range(parts):
        found = of.without(s)
        assert found is not None
        assert tuple(found) == pytest.approx(alone(count, hours, label, s), rel=1e-9)


def test_who_has_three_like_it_has_no_cohort() -> None:
    of = Cohorts(np.ones(9), np.ones(9), np.array([0, 0, 0, 0, 1, 1, 1, 1, 1], np.int32))
    assert of.without(3) is None
    assert of.without(8) is not None
