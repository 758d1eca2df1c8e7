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


WAITS = Metric("task_iowait_seconds", "host", unit="s", worse="higher", side="condition", peers=("job", "role"))
BOTH = Catalogue([METRIC, WAITS])


def waiting(values: np.ndarray[tuple[int, int], np.dtype[np.float64]], seed: int = 2) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Return what tasks usually wait for storage: next to nothing."""
    return np.where(np.isnan(values), np.nan, np.round(np.random.default_rng(seed).uniform(0, 0.1, values.shape), 1))


def said_of(run: Run, values: object, waits: object, side: str = "service") -> list[tuple[int, str]]:
    said = run(
        "seldom", "host", {"task_seconds": values, "task_iowait_seconds": waits}, subjects=HOSTS, keys=keys, catalogue=BOTH, period=30.0
    )  # fmt: skip
    return [(t, f.subject) for t, found in enumerate(said) for f in found if f.side == side]  # type: ignore[attr-defined]


def test_who_shows_the_cause_is_accused_and_who_is_late_with_it_is_not(run: Run) -> None:
    values = tasks()
    values[150] = np.nan
    values[150, [2, 4, 7]] = 130.0, 130.0, 41.0
    waits = waiting(values)
    waits[150, 4] = 85.0
    assert said_of(run, values, waits) == [(150, "h04")]
    assert said_of(run, values, waits, "condition") == [(150, "h02")]


def test_where_nobody_shows_a_cause_nobody_is_cleared(run: Run) -> None:
    values = tasks()
    values[150] = np.nan
    values[150, [2, 4]] = 130.0
    assert said_of(run, values, waiting(values)) == [(150, "h02"), (150, "h04")]


def test_a_task_that_comes_later_than_the_cause_lasted_is_its_own_matter(run: Run) -> None:
    values = tasks()
    values[150:] = np.nan
    values[150, 4] = values[156, 2] = values[165, 3] = 130.0
    waits = waiting(values)
    waits[150, 4] = 85.0
    assert said_of(run, values, waits) == [(150, "h04"), (165, "h03")]


def test_a_symptom_tells_what_unlike_work_hides(run: Run) -> None:
    """Tasks take 40 to 140 s by what they are about: one of 150 s is nothing, one that waited 60 s of them is."""
    values = tasks()
    values *= np.random.default_rng(3).choice([1.0, 1.5, 2.5, 3.5], values.shape)
    waits = waiting(values)
    values[150], values[150, 4] = np.nan, 150.0
    assert (150, "h04") not in said_of(run, values, waits)
    waits[150, 4] = 60.0
    assert (150, "h04") in said_of(run, values, waits)
