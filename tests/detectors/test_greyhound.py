"""Greyhound: a change of the iteration time by ten percent, then the suspects above 1.10 times the median."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from grayscope import plugins

Run = Callable[..., Any]
Accused = Callable[[Any], set[str]]


def times(ticks: int = 120, subjects: int = 8, noise: float = 0.01) -> np.ndarray[Any, Any]:
    return np.random.default_rng(8).lognormal(0, noise, (ticks, subjects))


def job(run: Run, compute: np.ndarray[Any, Any], **more: Any) -> Any:
    """A synchronous job: everybody steps at the pace of the slowest."""
    step = np.repeat(compute.max(axis=1, keepdims=True) * 1.1, compute.shape[1], axis=1)
    return run("greyhound", "rank", {"compute_seconds": compute, "step_seconds": step}, **more)


@pytest.mark.parametrize(("factor", "found"), [(1.2, True), (1.06, False)])
def test_ten_percent_within_a_few_iterations(run: Run, accused: Accused, factor: float, found: bool) -> None:
    compute = times()
    compute[80:, 3] *= factor
    said = job(run, compute)
    assert accused(said) == ({"n0/gpu3"} if found else set())
    if found:
        assert 80 < next(t for t, f in enumerate(said) if f) <= 84
        assert said[-1]  # as long as it lasts


def test_all_slower_together_has_no_suspect(run: Run) -> None:
    compute = times()
    compute[80:] *= 1.5
    assert not any(job(run, compute))


def test_a_slow_drift_is_missed(run: Run) -> None:
    compute = times(400)
    compute[:, 3] *= np.linspace(1.0, 1.3, 400)
    assert not any(job(run, compute))


def test_slow_from_the_start_is_no_change(run: Run) -> None:
    compute = times()
    compute[:, 3] *= 1.4
    assert not any(job(run, compute))


def test_the_alarm_ends_with_the_slowness(run: Run) -> None:
    compute = times(200)
    compute[80:120, 3] *= 1.3
    said = job(run, compute)
    assert said[115]
    assert not any(said[130:])


def test_without_step_times_each_series_is_its_own(run: Run, accused: Accused) -> None:
    bandwidth = 1e9 * times()
    bandwidth[80:, 5] *= 0.8
    said = run("greyhound", "path", {"path_bandwidth_bytes_per_second": bandwidth}, subjects=[f"a>b{i}" for i in range(8)])
    assert accused(said) == {"a>b5"}
    assert "25% slower iterations" in said[-1][0].why
    assert said[-1][0].value < said[-1][0].expected


def test_missing_samples_are_no_change(run: Run) -> None:
    compute = times(200)
    compute[np.random.default_rng(9).random(compute.shape) < 0.3] = np.nan
    assert not any(run("greyhound", "rank", {"compute_seconds": compute}))


def test_one_outlier_is_jitter(run: Run) -> None:
    compute = times()
    compute[80, 3] *= 2
    assert not any(job(run, compute))


def test_a_slow_job_has_its_communicators_profiled_and_no_other_job_has(run: Run, accused: Accused) -> None:
    detector = plugins.detector("greyhound")
    step = np.repeat(times(100, 2)[:, :1], 2, axis=1)
    step[60:, 0] *= 1.3
    run("greyhound", "job", {"job_step_seconds": step}, subjects=["job:1", "job:2"], detector=detector)
    transfer = 0.1 * times(10, 10)
    transfer[:, [3, 8]] *= 1.4
    names = [f"comm:{1 + i // 5}-rail{i % 5}" for i in range(10)]
    keys = {n: {"job": f"job:{n[5]}", "role": "rail"} for n in names}
    said = run("greyhound", "comm", {"collective_transfer_seconds": transfer}, subjects=names, keys=keys.__getitem__, detector=detector)
    assert accused(said) == {"comm:1-rail3"}


def test_waiting_is_no_slowness(run: Run) -> None:
    wait = times()
    wait[80:] *= 3
    wait[:, 3] *= 2
    step = 1 + wait
    assert not any(run("greyhound", "rank", {"collective_wait_seconds": wait, "step_seconds": step}))
