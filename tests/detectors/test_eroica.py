"""Eroica: only jobs that have become slower, and only workers unlike far more peers than usual."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from grayscope import plugins

Run = Callable[..., Any]
Accused = Callable[[Any], set[str]]


def steady(level: float, ticks: int = 80, subjects: int = 8) -> np.ndarray[Any, Any]:
    return level * np.random.default_rng(10).normal(1, 0.01, (ticks, subjects))


RANKS = [f"job:1/r{i}" for i in range(8)]


def job(run: Run, compute: np.ndarray[Any, Any], detector: Any = None, **more: Any) -> Any:
    """A synchronous job: everybody steps at the pace of the slowest, the others wait inside the collective."""
    step = np.repeat(compute.max(axis=1, keepdims=True) + 0.1, compute.shape[1], axis=1)
    values = {"compute_seconds": compute, "step_seconds": step, "collective_duration_seconds": step - compute}
    return run("eroica", "rank", values, subjects=RANKS, keys=lambda s: {"job": "job:1", "gpu": f"n0/gpu{s[-1]}"}, detector=detector, **more)


@pytest.mark.parametrize(("factor", "found"), [(2.0, True), (1.3, False), (1.03, False)])
def test_a_worker_that_computes_much_longer_is_found(run: Run, accused: Accused, factor: float, found: bool) -> None:
    compute = steady(1.0, 120)
    compute[60:, 6] *= factor
    said = job(run, compute)
    assert accused(said) == ({"n0/gpu6"} if found else set())  # a third longer is less unlike than 0.4
    assert not any(said[:60])


def test_a_nearer_pattern_is_found_with_a_smaller_distance(run: Run, accused: Accused) -> None:
    compute = steady(1.0, 120)
    compute[60:, 6] *= 1.3
    assert accused(job(run, compute, differ=0.15)) == {"n0/gpu6"}


def test_how_busy_the_gpus_are_adds_to_the_distance(run: Run, accused: Accused) -> None:
    detector = plugins.detector("eroica")
    compute = steady(1.0, 120)
    compute[60:, 6] *= 1.4
    busy = np.full((80, 8), 0.7)
    busy[:, 6] = 0.95
    run("eroica", "gpu", {"gpu_sm_active_ratio": busy}, detector=detector)
    assert accused(job(run, compute, detector)) == {"n0/gpu6"}
    assert not any(job(run, compute))


def test_slow_from_the_start_is_never_profiled(run: Run) -> None:
    compute = steady(1.0, 120)
    compute[:, 6] *= 3
    assert not any(job(run, compute))


def test_without_step_times_nothing_triggers(run: Run) -> None:
    compute = steady(1.0, 120)
    compute[60:, 6] *= 3
    assert not any(run("eroica", "rank", {"compute_seconds": compute}))


def test_the_table_of_jobs_triggers_as_well(run: Run, accused: Accused) -> None:
    detector = plugins.detector("eroica")
    step = np.ones((120, 1))
    step[60:] *= 2
    run("eroica", "job", {"job_step_seconds": step}, subjects=["job:1"], detector=detector)
    compute = steady(1.0, 10)
    compute[:, 6] = 1.9
    said = run("eroica", "rank", {"compute_seconds": compute}, subjects=RANKS, keys=lambda s: {"job": "job:1"}, detector=detector)
    assert accused(said) == {"job:1/r6"}
    assert not said[0]  # one sample is no profile
    other = run("eroica", "rank", {"compute_seconds": compute}, subjects=[r.replace("1/", "2/") for r in RANKS], detector=detector)
    assert not any(other)


def test_victims_that_differ_from_the_culprit_alone_are_left(run: Run) -> None:
    compute = np.tile(np.array([0.5, 0.5, 0.7, 0.7, 0.7, 0.7, 0.7, 1.0]), (120, 1))  # most differ from nobody: their median and MAD are zero
    compute[:60] = 0.5
    assert not any(job(run, compute))


def test_fifty_steps_are_as_many_samples_as_hold_them(run: Run) -> None:
    compute = steady(1.0, 60)
    compute[30:, 6] *= 2
    assert next(t for t, f in enumerate(job(run, compute)) if f) <= 34  # ten steps a sample


def test_a_stall_is_profiled_at_once(run: Run, accused: Accused) -> None:
    compute = steady(1.0, 60)
    compute[50:, 6] = 8
    said = job(run, compute)
    assert [bool(f) for f in said] == [t >= 50 for t in range(60)]
    assert accused(said) == {"n0/gpu6"}
