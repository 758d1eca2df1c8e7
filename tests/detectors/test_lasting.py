"""Lasting: little slowness that stays, in noise with a memory, and what is none."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Run = Callable[..., list[list[object]]]
TICKS, WIDTH, ONSET, ILL = 2200, 64, 900, 21


def compute(seed: int, rho: float = 0.9) -> Floats:
    """Return compute times [T, S] with noise of 2 % that remembers itself from tick to tick."""
    rng = np.random.default_rng(seed)
    noise = np.empty((TICKS, WIDTH))
    noise[0] = rng.normal(0, 0.02, WIDTH)
    for t in range(1, TICKS):
        noise[t] = rho * noise[t - 1] + rng.normal(0, 0.02 * np.sqrt(1 - rho**2), WIDTH)
    times: Floats = 2.0 * np.exp(rng.normal(0, 0.05, WIDTH) + noise)
    return times


def ranks(subject: str) -> dict[str, str]:
    return {"job": "job:1", "role": "stage0", "node": subject.partition("/")[0]}


@pytest.mark.parametrize("seed", [3, 4, 5])
def test_three_per_cent_that_stay_are_found_where_means_over_minutes_show_nothing(run: Run, accused: Callable[..., set[str]], seed: int) -> None:
    values = compute(seed)
    values[ONSET:, ILL] *= 1.03
    said = run("lasting", "rank", {"compute_seconds": values}, keys=ranks, false_pages=10.0)
    assert accused(said) == {"n2/gpu5"}
    when = next(t for t, found in enumerate(said) if found)
    assert ONSET + 250 < when < ONSET + 1100
    assert said[when][0].mode == "slow_rank"  # type: ignore[attr-defined]
    assert "its own past beside the same peers, for long" in said[when][0].why  # type: ignore[attr-defined]
    others = run("became", "rank", {"compute_seconds": values}, keys=ranks, false_pages=10.0)
    assert max((f.strength for found in others for f in found), default=0.0) < 4.6  # type: ignore[attr-defined]


def test_slowness_that_is_over_and_better_times_are_no_news(run: Run) -> None:
    values = compute(4)
    values[ONSET : ONSET + 150, ILL] *= 1.06
    values[ONSET:, 5] *= 0.95
    said = run("lasting", "rank", {"compute_seconds": values}, keys=ranks)
    assert not any(f.subject == "n0/gpu5" for found in said for f in found)  # type: ignore[attr-defined]
    assert not any(said[ONSET + 400 :])


def test_who_is_noisier_must_be_slower_by_more(run: Run) -> None:
    values = compute(5)
    usual = np.median(values)
    values[:, 30] = usual * (values[:, 30] / usual) ** 4  # noise of 8 %
    values[ONSET:, 30] *= 1.03
    assert not any(run("lasting", "rank", {"compute_seconds": values}, keys=ranks, false_pages=10.0))


def test_the_first_hour_and_what_all_share_are_nobody_s_fault(run: Run) -> None:
    values = compute(6)
    values[300:, ILL] *= 1.5  # nothing is known of it yet
    assert not any(run("lasting", "rank", {"compute_seconds": values[:512]}, keys=ranks))
    values = compute(7)
    values[ONSET:] *= 1.2
    assert not any(run("lasting", "rank", {"compute_seconds": values}, keys=ranks))


def test_what_half_did_not_report_is_a_mean_of_fewer_and_less_is_none(run: Run, accused: Callable[..., set[str]]) -> None:
    values = compute(8, rho=0.5)
    values[ONSET:, ILL] *= 1.05
    few = values.copy()
    few[ONSET::2, ILL] = np.nan
    assert accused(run("lasting", "rank", {"compute_seconds": few}, keys=ranks)) == {"n2/gpu5"}
    few[ONSET + 60 :, ILL] = np.nan
    assert not any(run("lasting", "rank", {"compute_seconds": few}, keys=ranks))
