"""Iaso: the score grows with the excess, falls off slowly, and only who stands alone with it is slow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Run = Callable[..., Any]
Accused = Callable[[Any], set[str]]


def latency(ticks: int, subjects: int = 8) -> np.ndarray[Any, Any]:
    return np.random.default_rng(5).normal(1e-3, 1e-5, (ticks, subjects))


DRIVES = [f"n0/nvme{i}" for i in range(8)]


def drives(run: Run, values: np.ndarray[Any, Any], **settings: Any) -> Any:
    return run("iaso", "drive", {"drive_latency_seconds": values}, subjects=DRIVES[: values.shape[1]], keys=lambda s: {"node": "n0"}, **settings)


def test_twice_the_median_is_found_within_minutes(run: Run, accused: Accused) -> None:
    values = latency(200)
    values[60:, 2] *= 2
    said = drives(run, values)
    assert accused(said) == {"n0/nvme2"}
    # The score doubles with every tick, but the 30th percentile of ten minutes needs seven of them.
    assert 60 + 40 <= next(t for t, f in enumerate(said) if f) <= 60 + 54


def test_a_spike_decays_and_is_forgotten(run: Run) -> None:
    values = latency(200)
    values[60:63, 2] *= 3
    assert not any(drives(run, values))


def test_two_alike_are_a_cluster_of_their_own(run: Run) -> None:
    values = latency(300)
    values[:, 2:4] *= 2
    assert not any(drives(run, values)[70:])


def test_a_small_excess_for_ever_ends_at_the_same_score(run: Run, accused: Accused) -> None:
    values = latency(400)
    values[:, 5] *= 1.1
    assert accused(drives(run, values)) == {"n0/nvme5"}
    assert not any(drives(run, values, excess=100.0))


def test_recovery_ends_the_alarm(run: Run) -> None:
    values = latency(400)
    values[20:120, 2] *= 2
    said = drives(run, values)
    assert any(said)
    assert not said[-1]


def test_three_are_no_crowd(run: Run) -> None:
    values = latency(200, 3)
    values[:, 0] *= 3
    assert not any(drives(run, values))
