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


MACHINES = [f"n{i:02d}/gpu0" for i in range(16)]


def machines(run: Run, values: np.ndarray[Any, Any]) -> Any:
    return run("minder", "gpu", {"gpu_power_watts": values}, subjects=MACHINES[: values.shape[1]])


def test_four_minutes_as_the_most_distant(run: Run, accused: Accused) -> None:
    values = power(120)
    values[60:, 9] -= 80
    said = machines(run, values)
    assert accused(said) == {"n09"}
    first = next(t for t, f in enumerate(said) if f)
    assert 60 + FOUR_MINUTES - 1 <= first <= 60 + FOUR_MINUTES + 2
    assert said[-1][0].side == "service"  # a load by the catalogue: to Minder a machine that is faulty


def test_shorter_than_four_minutes_is_silence(run: Run) -> None:
    values = power(120)
    values[60 : 60 + FOUR_MINUTES - 9, 9] -= 80  # with its window of eight it is distant for a tick less than needed
    assert not any(machines(run, values))


def test_either_direction_counts_and_all_together_do_not(run: Run, accused: Accused) -> None:
    values = power(200)
    values[50:, 3] += 80
    values[120:] *= 0.5
    said = machines(run, values)
    assert accused(said) == {"n03"}
    assert said[-1]


def test_the_first_metric_in_the_published_order_ends_the_search(run: Run) -> None:
    values, tensor, clock = power(120), power(120) / 1000, 1.9e9 + 1e7 * power(120)
    values[:, 5] -= 80
    tensor[:, 7] -= 0.2
    clock[:, 9] -= 5e9
    metrics = {"gpu_power_watts": values, "gpu_tensor_active_ratio": tensor, 'gpu_clock_hertz{domain="sm"}': clock}
    said = run("minder", "gpu", metrics, subjects=MACHINES)
    assert {(f.subject, f.metric) for findings in said[60:] for f in findings} == {("n05", "gpu_power_watts")}


def test_clocks_and_step_times_are_none_of_its_seven(run: Run) -> None:
    values = power(120)
    values[:, 5] *= 2
    assert not any(run("minder", "gpu", {'gpu_clock_hertz{domain="sm"}': values}, subjects=MACHINES))
    assert not any(run("minder", "rank", {"compute_seconds": values}, subjects=MACHINES))


def test_a_machine_is_the_mean_of_its_parts(run: Run, accused: Accused) -> None:
    values = power(200, 64)
    values[:, 9] -= 200
    assert accused(run("minder", "gpu", {"gpu_power_watts": values})) == {"n1"}
    values[:, 8:16] += 200 / 8  # as much lost by one part as its seven siblings have gained: one machine like the others
    assert not any(run("minder", "gpu", {"gpu_power_watts": values}))


def test_two_at_once_hide_the_lesser(run: Run, accused: Accused) -> None:
    values = power(150)
    values[:, 3] -= 300
    values[:, 4] -= 200
    assert accused(machines(run, values)) <= {"n03"}


def test_three_are_no_crowd(run: Run) -> None:
    values = power(100, 3)
    values[:, 0] -= 300
    assert not any(machines(run, values))


def test_an_idle_machine_is_no_member_of_the_job(run: Run) -> None:
    busy = np.random.default_rng(5).normal(0.3, 0.01, (120, 10))
    busy[:, 9] = 0.01
    said = run("minder", "node", {"host_cpu_busy_ratio": busy}, subjects=[f"n{i}" for i in range(10)], keys=lambda s: {"job": "j" if s < "n9" else ""})
    assert not any(said)
