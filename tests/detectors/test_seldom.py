"""Seldom: one slow task among like tasks of other hosts and times; what is common to all is nobody's."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from grayscope.catalogue import Catalogue, Metric

Run = Callable[..., list[list[object]]]
HOSTS = [f"h{k:02d}" for k in range(12)]
METRIC = Metric("task_seconds", "host", unit="s", worse="higher", side="service", peers=("job", "role"))
BOOK = Catalogue([METRIC])


def tasks(ticks: int = 200, each: int = 3, seed: int = 1) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Return durations [T, S] of tasks of about 40 s; three hosts have one in each tick."""
    rng = np.random.default_rng(seed)
    values = np.full((ticks, len(HOSTS)), np.nan)
    for t in range(ticks):
        values[t, rng.choice(len(HOSTS), each, replace=False)] = np.round(40 * np.exp(rng.normal(0, 0.04, each)))
    return values


def keys(subject: str) -> dict[str, str]:
    return {"job": "run", "role": "imaging", "node": subject}


def test_one_slow_task_is_found_in_its_own_tick(run: Run) -> None:
    values = tasks()
    values[150], values[150, 4] = np.nan, 130.0
    said = run("seldom", "host", {"task_seconds": values}, subjects=HOSTS, keys=keys, catalogue=BOOK, period=30.0)
    assert [(t, f.subject) for t, found in enumerate(said) for f in found] == [(150, "h04")]  # type: ignore[attr-defined]
    (finding,) = said[150]
    assert finding.strength > 6.9  # type: ignore[attr-defined]
    assert "above like rows of others (40 s" in finding.why  # type: ignore[attr-defined]


def test_a_kind_that_is_new_or_known_to_few_is_not_judged(run: Run, accused: Callable[..., set[str]]) -> None:
    values = tasks(60)
    values[5], values[5, 4] = np.nan, 130.0
    assert accused(run("seldom", "host", {"task_seconds": values}, subjects=HOSTS, keys=keys, catalogue=BOOK, period=30.0)) == set()
    few = tasks(200)
    few[:, 3:] = np.nan
    few[150], few[150, 1] = np.nan, 130.0
    assert accused(run("seldom", "host", {"task_seconds": few}, subjects=HOSTS, keys=keys, catalogue=BOOK, period=30.0)) == set()


def test_tables_that_report_together_are_others_matter(run: Run, accused: Callable[..., set[str]]) -> None:
    values = tasks(200, each=12)
    values[150:, 4] = 130.0
    assert accused(run("seldom", "host", {"task_seconds": values}, subjects=HOSTS, keys=keys, catalogue=BOOK, period=30.0)) == set()


def test_faults_of_half_the_hosts_do_not_become_the_usual(run: Run) -> None:
    values = tasks(400)
    values[150:, :6] *= 5
    said = run("seldom", "host", {"task_seconds": values}, subjects=HOSTS, keys=keys, catalogue=BOOK, period=30.0)
    late = [f.subject for found in said[350:] for f in found]  # type: ignore[attr-defined]
    assert set(late) == set(HOSTS[:6])


def test_work_that_has_changed_for_all_is_learned(run: Run) -> None:
    values = tasks(500)
    values[150:] *= 5
    said = run("seldom", "host", {"task_seconds": values}, subjects=HOSTS, keys=keys, catalogue=BOOK, period=30.0)
    assert any(said[150:170])
    assert not any(said[400:])
