"""Nvrx: relative and individual score, both at 0.75, and the history of NVLink ports."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

Run = Callable[..., Any]
Accused = Callable[[Any], set[str]]
REPORT = 30  # ticks of ten seconds in five minutes


def times(ticks: int, subjects: int = 8) -> np.ndarray[Any, Any]:
    return np.random.default_rng(3).normal(1.0, 0.005, (ticks, subjects))


@pytest.mark.parametrize(("factor", "found"), [(1.25, False), (1.4, True)])
def test_a_quarter_of_the_speed_is_the_limit(run: Run, accused: Accused, factor: float, found: bool) -> None:
    values = times(2 * REPORT)
    values[:, 4] *= factor
    said = run("nvrx", "rank", {"compute_seconds": values})
    assert accused(said) == ({"n0/gpu4"} if found else set())
    assert not any(said[: REPORT - 1])  # the first report is after five minutes
    assert bool(said[REPORT - 1]) == found


def test_a_rate_counts_as_its_inverse(run: Run, accused: Accused) -> None:
    values = 1.9e9 * times(REPORT)
    values[:, 1] *= 0.7
    said = run("nvrx", "path", {"path_bandwidth_bytes_per_second": values}, subjects=[f"a>b{i}" for i in range(8)])
    assert accused(said) == {"a>b1"}
    f = said[-1][0]
    assert f.value == pytest.approx(1.33e9, rel=0.02)
    assert f.expected == pytest.approx(1.9e9, rel=0.02)
    assert "score 0.7" in f.why


def test_a_slow_clock_is_no_section(run: Run) -> None:
    values = 1.9e9 * times(REPORT)
    values[:, 1] *= 0.5
    assert not any(run("nvrx", "gpu", {'gpu_clock_hertz{domain="sm"}': values}))


def test_less_than_a_quarter_of_the_speed_is_silent(run: Run) -> None:
    values = times(3 * REPORT)
    values[REPORT:, 2] *= 1.25
    assert not any(run("nvrx", "rank", {"compute_seconds": values}))


def test_all_together_are_slower_than_their_own_best(run: Run, accused: Accused) -> None:
    values = times(3 * REPORT)
    values[REPORT:] *= 1.5
    said = run("nvrx", "rank", {"compute_seconds": values})
    assert not any(said[: 2 * REPORT - 1])
    assert len(said[2 * REPORT]) == 8
    assert "its own best" in said[2 * REPORT][0].why


def test_the_median_of_the_interval_forgives_spikes(run: Run) -> None:
    values = times(3 * REPORT)
    values[::5, 2] *= 10
    assert not any(run("nvrx", "rank", {"compute_seconds": values}))


def test_waiting_is_not_judged(run: Run) -> None:
    values = times(2 * REPORT)
    values[:, 0] = 0.1
    assert not any(run("nvrx", "rank", {"collective_wait_seconds": values}))


def test_a_rank_is_called_by_its_gpu(run: Run, accused: Accused) -> None:
    values = times(REPORT)
    values[:, 0] *= 2
    names = [f"job:7/r{i}" for i in range(8)]
    said = run("nvrx", "rank", {"compute_seconds": values}, subjects=names, keys=lambda s: {"job": "7", "gpu": f"n3/gpu{s[-1]}"})
    assert accused(said) == {"n3/gpu0"}


def test_more_than_fifteen_of_thirty_windows_with_errors(run: Run, accused: Accused) -> None:
    errors = np.zeros((30, 4))
    errors[:15, 0] = 3
    errors[:16, 1] = 1
    said = run("nvrx", "nvlink", {"nvlink_replays_total": errors}, period=60)
    assert accused(said) == {"n0/gpu1"}
    assert [bool(f) for f in said] == [t >= 15 for t in range(30)]
    more = run("nvrx", "nvlink", {"nvlink_replays_total": np.concatenate([errors, np.zeros((20, 4))])}, period=60)
    assert not more[-1]  # thirty windows later it is forgotten
