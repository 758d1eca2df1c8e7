"""Recurrence: exposure corrects for large jobs, the prior for few data, and memory fades."""

from __future__ import annotations

import math

import numpy as np
import pytest

from grayscope.recurrence import FADES, Recurrence, gamma_below


def fleet(n: int = 40) -> Recurrence:
    r = Recurrence()
    r.add_hours(r.places([f"n{i}" for i in range(n)]), np.zeros(n, np.intp), 100.0)
    return r


def test_large_jobs_fail_for_anyone() -> None:
    r = fleet()
    large = r.places([f"big{i}" for i in range(40)])
    r.add_hours(large, np.full(40, 5, np.intp), 100.0)
    for at in large[1:]:
        for _ in range(4):
            r.add_episode(int(at), 5, 1.0)
    for _ in range(4):
        r.add_episode(0, 0, 1.0)
    small, usual = r.judge(0), r.judge(int(large[3]))
    assert small[0] == usual[0] == 4
    assert small[1] < 0.5 < 3.5 < usual[1]
    assert small[2] < 1e-3 < 0.3 < usual[2]


def test_memory_fades_and_what_is_gone_is_forgotten() -> None:
    r = fleet(3)
    r.add_episode(1, 0, 1.0)
    r.fade(FADES)
    assert r.episodes[0, 1] == pytest.approx(math.exp(-1))
    r.fade(20 * FADES)
    assert r.faded() == ["n0", "n1", "n2"]
    r.forget(["n0", "n2"])
    assert (r.names, r.hours.shape) == ({"n1": 0}, (10, 1))


def test_a_pause_changes_nothing() -> None:
    first, second = fleet(), Recurrence()
    first.add_episode(7, 0, 1.0)
    second.restore(first.snapshot())
    assert second.judge(7) == first.judge(7)
    assert second.places(["n7", "new"]).tolist() == [7, 40]


def test_gamma_is_the_poissons_tail() -> None:
    assert gamma_below(3.0, 1.5) == pytest.approx(1 - math.exp(-1.5) * (1 + 1.5 + 1.5**2 / 2))
    assert gamma_below(4.0, 0.0) == 0.0
    assert gamma_below(2.0, 60.0) == pytest.approx(1.0)


def test_who_alone_ran_jobs_of_some_size_is_compared_with_nobody_there() -> None:
    r = fleet()
    r.add_hours(np.array([7]), np.array([2]), 50.0)
    for _ in range(6):
        r.add_episode(7, 2, 1.0)
    observed, _, doubt = r.judge(7)
    assert (observed, doubt) == (0.0, 1.0)
