"""Medians and logarithms: the compiled loops against numpy, bit for bit where that is promised."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from grayscope import medians

F = np.float32
FINITE = st.floats(width=32, allow_nan=False, allow_infinity=False, min_value=-(2.0**99), max_value=2.0**99).map(lambda v: v + 0.0)


def median(x: NDArray[np.float32]) -> np.float32:
    """The midpoint median in float32, from a full sort."""
    s = np.sort(x)
    low, high = s[(len(s) - 1) // 2], s[len(s) // 2]
    return low if low is high or len(s) % 2 else F(F(low + high) * F(0.5))


def near(x: NDArray[np.float32], guess: float = 0.0, width: float = 0.0) -> np.float32:
    kept = x.copy()
    found = medians.median_near(kept, len(x), F(guess), F(width), np.empty(len(x) + 1, F))
    assert kept.tobytes() == x.tobytes()
    return F(found)


# -- median -------------------------------------------------------------------------------------------------------------


@given(
    st.lists(st.one_of(FINITE, st.sampled_from([0.0, 1.0, 2.0])), min_size=1, max_size=120), FINITE, st.one_of(st.just(0.0), st.floats(0, 2.0**99, width=32))
)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_the_median_is_exact_for_any_guess(values: list[float], guess: float, width: float) -> None:
    x = np.array(values, F)
    assert near(x, guess, width).tobytes() == median(x).tobytes()


@pytest.mark.parametrize("n", [1, 2, 3, 4, 24, 25, 26, 101, 1000, 4097])
def test_the_median_is_numpys_bit_for_bit(n: int) -> None:
    rng = np.random.default_rng(n)
    for x in (rng.normal(50, 3, n), rng.integers(0, 5, n), np.full(n, 7.0), np.arange(n), np.arange(n)[::-1], rng.exponential(size=n)):
        single = x.astype(F)
        truth = np.median(single)
        for guess, width in ((0, 0), (float(truth), 1), (float(truth), 1e-7), (float(truth) + 5, 2), (1e30, 1.0), (-1e30, 1e31)):
            assert near(single, guess, width) == truth


# -- logarithm ----------------------------------------------------------------------------------------------------------


def test_the_logarithm_over_the_whole_range_of_float32() -> None:
    rng = np.random.default_rng(0)
    x = np.concatenate([np.exp(rng.uniform(-69, 88, 20_000)), 1 + rng.normal(0, 1e-3, 5000), 2.0 ** np.arange(-99, 127), [1.4142135, 1.4142137]]).astype(F)
    ours = np.array([medians.logarithm(b) for b in x.view(np.int32)], F)
    theirs = np.log(x.astype(np.float64))
    assert np.max(np.abs(ours - theirs) / np.maximum(1.0, np.abs(theirs))) < 2e-6
    # Near one, where ratios between peers live, the error is small beside half a percent.
    assert np.max(np.abs(ours - theirs)[np.abs(theirs) < 1]) < 1e-6


def test_the_logarithm_never_falls() -> None:
    x = np.sort(np.exp(np.random.default_rng(1).uniform(-3, 3, 50_000)).astype(F))
    ours = np.array([medians.logarithm(b) for b in x.view(np.int32)], F)
    assert np.diff(ours).min() >= -3e-7
