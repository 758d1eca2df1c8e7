"""Ecdf: similarity to the criterion, one-sided, at 0.95."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

Run = Callable[..., Any]
Accused = Callable[[Any], set[str]]
WINDOW = 60  # ticks of ten seconds


def samples(ticks: int = 2 * WINDOW, subjects: int = 12) -> np.ndarray[Any, Any]:
    return np.random.default_rng(7).normal(1.9e9, 1.9e7, (ticks, subjects))


def clocks(run: Run, values: np.ndarray[Any, Any], **settings: Any) -> Any:
    return run("ecdf", "gpu", {'gpu_clock_hertz{domain="sm"}': values}, **settings)


@pytest.mark.parametrize(("factor", "found"), [(0.97, False), (0.92, True), (1.15, False)])
def test_five_percent_on_the_worse_side_only(run: Run, accused: Accused, factor: float, found: bool) -> None:
    values = samples()
    values[:, 6] *= factor
    said = clocks(run, values)
    assert accused(said) == ({"n0/gpu6"} if found else set())
    assert not any(said[: WINDOW - 1])
    assert bool(said[WINDOW - 1]) == found


def test_the_criterion_is_learned_without_the_defective(run: Run, accused: Accused) -> None:
    values = samples()
    values[:, :4] *= 0.8
    assert accused(clocks(run, values)) == {f"n0/gpu{i}" for i in range(4)}


def test_it_is_the_distribution_that_counts_not_the_mean(run: Run, accused: Accused) -> None:
    values = samples()
    values[::2, 3] *= 0.8
    values[1::2, 3] *= 1.2
    said = clocks(run, values)
    assert accused(said) == {"n0/gpu3"}
    assert "similarity 0.9" in said[-1][0].why


def test_held_until_the_next_window(run: Run) -> None:
    values = samples(3 * WINDOW)
    values[:WINDOW, 5] *= 0.8
    said = clocks(run, values)
    assert [bool(f) for f in said] == [WINDOW - 1 <= t < 2 * WINDOW - 1 for t in range(3 * WINDOW)]


def test_half_of_the_samples_are_enough_less_are_not(run: Run, accused: Accused) -> None:
    values = samples()
    values[:, 2:4] *= 0.8
    values[:, 2][np.arange(2 * WINDOW) % 3 > 0] = np.nan
    values[:, 3][np.arange(2 * WINDOW) % 3 == 0] = np.nan
    assert accused(clocks(run, values)) == {"n0/gpu3"}


def test_three_are_no_crowd(run: Run) -> None:
    values = samples(subjects=3)
    values[:, 0] *= 0.5
    assert not any(clocks(run, values))
