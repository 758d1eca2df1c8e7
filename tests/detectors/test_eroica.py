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


@pytest.mark.parametrize(("factor", "found"), [(0.5, True), (0.7, False)])
def test_without_step_times_only_when_told_so(run: Run, accused: Accused, factor: float, found: bool) -> None:
    clock = steady(1.9e9)
    clock[:, 2] *= factor
    assert not any(run("eroica", "gpu", {'gpu_clock_hertz{domain="sm"}': clock}))
    said = run("eroica", "gpu", {'gpu_clock_hertz{domain="sm"}': clock}, always=True)
    assert accused(said) == ({"n0/gpu2"} if found else set())
    assert not said[0]  # one sample is no profile
    assert bool(said[1]) == found


def test_a_nearer_pattern_is_found_with_a_smaller_distance(run: Run, accused: Accused) -> None:
    clock = steady(1.9e9)
    clock[:, 2] *= 0.7
    assert accused(run("eroica", "gpu", {'gpu_clock_hertz{domain="sm"}': clock}, differ=0.2, always=True)) == {"n0/gpu2"}


def test_what_goes_up_and_down_differs_too(run: Run, accused: Accused) -> None:
    compute = steady(1.0)
    compute[::2, 5] *= 1.9
    compute[1::2, 5] *= 0.2
    assert accused(run("eroica", "rank", {"compute_seconds": compute}, always=True)) == {"n0/gpu5"}


def test_when_all_differ_nobody_is_abnormal(run: Run) -> None:
    clock = steady(1.9e9)
    clock[:, :4] *= 0.3
    assert not any(run("eroica", "gpu", {'gpu_clock_hertz{domain="sm"}': clock}, always=True))


@pytest.mark.parametrize(("slower", "found"), [(1.03, False), (1.12, True), (0.9, False)])
def test_only_a_job_that_has_become_slower_is_profiled(run: Run, accused: Accused, slower: float, found: bool) -> None:
    step, wait = np.ones((200, 8)), steady(0.5, 200)
    step[100:] *= slower
    wait[:, 6] = 0.01
    said = run("eroica", "rank", {"step_seconds": step, "collective_wait_seconds": wait})
    assert accused(said) == ({"n0/gpu6"} if found else set())
    assert not any(said[:100])


def test_a_slow_job_has_its_gpus_profiled_in_the_other_tables(run: Run, accused: Accused) -> None:
    detector = plugins.detector("eroica")
    step = np.ones((120, 8))
    step[60:] *= 1.2
    run("eroica", "rank", {"step_seconds": step}, keys=lambda s: {"job": "slow"}, detector=detector)
    clock = steady(1.9e9, 10, 16)
    clock[:, [3, 11]] *= 0.5
    said = run("eroica", "gpu", {'gpu_clock_hertz{domain="sm"}': clock}, keys=lambda s: {"job": "slow" if s < "n1" else "well"}, detector=detector)
    assert accused(said) == {"n0/gpu3"}


def test_a_stall_is_profiled_at_once(run: Run, accused: Accused) -> None:
    step, wait = np.ones((60, 8)), steady(0.3, 60)
    step[55:], wait[55:] = 8.0, 7.0
    wait[:, 6] = 0.01
    said = run("eroica", "rank", {"step_seconds": step, "collective_wait_seconds": wait})
    assert [bool(f) for f in said] == [t >= 55 for t in range(60)]
    assert accused(said) == {"n0/gpu6"}


def test_times_count_as_shares_of_the_step(run: Run, accused: Accused) -> None:
    step, wait = np.ones((200, 8)), steady(0.05, 200)
    step[100:] = 1.2
    wait[:, 6] = 0.001
    assert not any(run("eroica", "rank", {"step_seconds": step, "collective_wait_seconds": wait}))
    assert accused(run("eroica", "rank", {"step_seconds": step, "collective_wait_seconds": wait}, differ=0.03)) == {"n0/gpu6"}
