"""Stepped: a small jump out of noise with a long memory, and what is no jump."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Run = Callable[..., list[list[object]]]
TICKS, WIDTH, ONSET = 1600, 64, 1400


def compute(seed: int) -> Floats:
    """Return compute times [T, S] that wander by 1 % within ten minutes and are noisy by half as much."""
    rng = np.random.default_rng(seed)
    keep, wander = np.exp(-1 / 60), np.zeros((TICKS, WIDTH))
    wander[0] = rng.normal(0, 0.01, WIDTH)
    for t in range(1, TICKS):
        wander[t] = keep * wander[t - 1] + rng.normal(0, 0.01 * np.sqrt(1 - keep**2), WIDTH)
    times: Floats = 2.0 * np.exp(rng.normal(0, 0.03, WIDTH) + wander + rng.normal(0, 0.005, (TICKS, WIDTH)))
    return times


def ranks(subject: str) -> dict[str, str]:
    return {"job": "job:1", "role": "stage0", "node": subject.partition("/")[0]}


def test_a_jump_is_found_at_once_that_means_over_minutes_do_not_show(run: Run, accused: Callable[..., set[str]]) -> None:
    values = compute(1)
    values[ONSET : ONSET + 60, 21] *= 1.05
    said = run("stepped", "rank", {"compute_seconds": values}, keys=ranks)
    assert accused(said) == {"n2/gpu5"}
    when = next(t for t, found in enumerate(said) if found)
    assert ONSET < when < ONSET + 20
    assert abs(said[when][0].value / said[when][0].expected - 1.05) < 0.015  # type: ignore[attr-defined]
    assert said[when][0].mode == "slow_rank"  # type: ignore[attr-defined]
    assert accused(run("became", "rank", {"compute_seconds": values}, keys=ranks)) == set()


def test_a_jump_is_seen_as_well_when_it_comes_in_the_middle_of_four_ticks(run: Run, accused: Callable[..., set[str]]) -> None:
    values, onset = compute(8), ONSET - 138
    values[onset : onset + 40, 21] *= 1.05  # with looks every fourth tick nobody is told of it: two of eight ticks are on the wrong side
    said = run("stepped", "rank", {"compute_seconds": values[: onset + 40]}, keys=ranks)
    assert accused(said) == {"n2/gpu5"}
    assert next(t for t, found in enumerate(said) if found) == onset + 7


def test_what_is_said_of_a_jump_is_not_taken_back_by_less(run: Run) -> None:
    values = compute(2)
    values[ONSET:, 21] *= 1.05
    said = run("stepped", "rank", {"compute_seconds": values}, keys=ranks)
    assert all(f.strength >= 6.9 for found in said for f in found)  # type: ignore[attr-defined]
    assert any(said)


def test_what_comes_back_from_better_than_usual_is_no_news(run: Run) -> None:
    values = compute(3)
    values[ONSET - 100 : ONSET, 21] *= 0.93
    assert not any(run("stepped", "rank", {"compute_seconds": values}, keys=ranks))


def test_one_strange_tick_and_what_wanders_are_no_jump(run: Run) -> None:
    values = compute(4)
    values[ONSET, 5] *= 2.0
    values[ONSET - 300 : ONSET + 100, 9] *= np.linspace(1.0, 1.06, 400)
    assert not any(run("stepped", "rank", {"compute_seconds": values}, keys=ranks))


def test_a_rank_that_always_jumps_must_jump_further(run: Run) -> None:
    values = compute(5)
    values[:, 30] *= np.where(np.arange(TICKS) // 24 % 2, 1.025, 0.975)
    assert not any(f.subject == "n3/gpu6" for found in run("stepped", "rank", {"compute_seconds": values}, keys=ranks)[700:] for f in found)  # type: ignore[attr-defined]


def test_health_counters_and_conditions_are_not_its_matter(run: Run) -> None:
    values = 60 + np.random.default_rng(6).normal(0, 0.5, (400, WIDTH))
    values[300:, 3] += 20
    names = [f"n{i // 8}/gpu{i % 8}" for i in range(WIDTH)]
    assert not any(run("stepped", "gpu", {'gpu_temperature_celsius{sensor="gpu"}': values}, subjects=names))


def test_what_others_wait_follows_from_what_one_computes_and_is_not_asked_again(run: Run) -> None:
    values = compute(7)
    values[ONSET : ONSET + 60, 21] *= 1.05
    waiting = values.max(axis=1, keepdims=True) - values + 0.2
    assert not any(run("stepped", "rank", {"collective_duration_seconds": waiting}, keys=ranks))
    assert any(run("stepped", "rank", {"compute_seconds": values, "collective_duration_seconds": waiting}, keys=ranks))
