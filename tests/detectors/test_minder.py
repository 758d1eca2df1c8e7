"""Minder: the most distant machine, and only after four minutes on end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Run = Callable[..., Any]
Accused = Callable[[Any], set[str]]
FOUR_MINUTES = 24  # ticks of ten seconds


def power(ticks: int, subjects: int = 16) -> np.ndarray[Any, Any]:
    return np.random.default_rng(4).normal(600, 5, (ticks, subjects))


def test_four_minutes_as_the_most_distant(run: Run, accused: Accused) -> None:
    values = power(120)
    values[60:, 9] -= 80
    said = run("minder", "gpu", {"gpu_power_watts": values})
    assert accused(said) == {"n1/gpu1"}
    first = next(t for t, f in enumerate(said) if f)
    assert 60 + FOUR_MINUTES - 1 <= first <= 60 + FOUR_MINUTES + 2
    assert said[-1][0].side == "service"  # a load by the catalogue: to Minder a machine that is faulty


def test_shorter_than_four_minutes_is_silence(run: Run) -> None:
    values = power(120)
    values[60 : 60 + FOUR_MINUTES - 9, 9] -= 80  # with its window of eight it is distant for a tick less than needed
    assert not any(run("minder", "gpu", {"gpu_power_watts": values}))


def test_either_direction_counts_and_all_together_do_not(run: Run, accused: Accused) -> None:
    values = power(200)
    values[50:, 3] += 80
    values[120:] *= 0.5
    said = run("minder", "gpu", {"gpu_power_watts": values})
    assert accused(said) == {"n0/gpu3"}
    assert said[-1]


def test_the_first_metric_in_the_published_order_names_the_machine(run: Run) -> None:
    values, clock = power(120), 1.9e9 + 1e7 * power(120)
    values[:, 5] -= 80
    clock[:, 5] -= 5e9
    said = run("minder", "gpu", {"gpu_power_watts": values, 'gpu_clock_hertz{domain="sm"}': clock})
    assert {f.metric for findings in said for f in findings} == {"gpu_power_watts"}


def test_two_at_once_hide_the_lesser(run: Run, accused: Accused) -> None:
    values = power(150)
    values[:, 3] -= 300
    values[:, 4] -= 200
    assert accused(run("minder", "gpu", {"gpu_power_watts": values})) <= {"n0/gpu3"}


def test_three_are_no_crowd(run: Run) -> None:
    values = power(100, 3)
    values[:, 0] -= 300
    assert not any(run("minder", "gpu", {"gpu_power_watts": values}))


def test_an_idle_machine_is_no_member_of_the_job(run: Run) -> None:
    busy = np.random.default_rng(5).normal(0.3, 0.01, (120, 10))
    busy[:, 9] = 0.01
    said = run("minder", "node", {"host_cpu_busy_ratio": busy}, subjects=[f"n{i}" for i in range(10)], keys=lambda s: {"job": "j" if s < "n9" else ""})
    assert not any(said)
