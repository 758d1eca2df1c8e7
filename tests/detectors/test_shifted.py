"""Shifted: a group that left its own past is a notice on the group; most groups at once are the site."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from typing import Any

import numpy as np

from grayscope import plugins

JOBS, RANKS, TICKS, ONSET = 8, 8, 300, 150
NAMES = [f"job:{j}/r{r}" for j in range(JOBS) for r in range(RANKS)]
Run = Callable[..., Any]


def keys(subject: str) -> dict[str, str]:
    return {"job": subject[:5], "sku": "A", "role": "dp"}


def jobs(moved: int, size: float = 0.12) -> dict[str, np.ndarray[Any, Any]]:
    """Return step times of jobs each more restless than the one before, the first of which move."""
    rng, wander, rows = np.random.default_rng(3), np.zeros(JOBS), []
    for t in range(TICKS):
        wander = 0.9 * wander + 0.01 * rng.standard_normal(JOBS) * np.linspace(0.1, 0.6, JOBS)
        step = wander + size * (t >= ONSET) * (np.arange(JOBS) < moved)
        rows.append(np.exp(np.repeat(step, RANKS) + np.repeat(np.linspace(0.005, 0.05, JOBS), RANKS) * rng.standard_normal(JOBS * RANKS)))
    return {"compute_seconds": np.array(rows)}


def test_most_jobs_at_once_are_the_site_however_restless_they_are(run: Run, accused: Callable[..., set[str]]) -> None:
    assert accused(run("shifted", "rank", jobs(JOBS), subjects=NAMES, keys=keys)) == {"site"}


def test_everybody_s_heat_is_the_building_s_and_one_rack_s_is_the_rack_s(run: Run) -> None:
    warm = 22 + 0.3 * np.random.default_rng(5).standard_normal((TICKS, len(NAMES)))
    by_rack = lambda s: {"rack": f"rack{s[4]}"}  # noqa: E731
    for racks, mode, subjects in ((JOBS, "site_change", {"site"}), (1, "group_shift", {"rack0"})):
        values = warm + 6.0 * (np.arange(TICKS) >= ONSET)[:, None] * (np.arange(len(NAMES)) < racks * RANKS)
        said = run("shifted", "node", {"inlet_temperature_celsius": values}, subjects=NAMES, keys=by_rack)
        assert {f.mode for findings in said for f in findings} == {mode}
        assert {f.subject for findings in said for f in findings} == subjects
    slow = run("shifted", "rank", jobs(JOBS), subjects=NAMES, keys=keys)
    assert {f.mode for findings in slow for f in findings} == {"group_shift"}  # what everybody does is not the building


def test_a_few_jobs_are_themselves(run: Run, accused: Callable[..., set[str]]) -> None:
    assert accused(run("shifted", "rank", jobs(2), subjects=NAMES, keys=keys)) == {"job:0", "job:1"}
    assert accused(run("shifted", "rank", jobs(JOBS, 0.0), subjects=NAMES, keys=keys)) == set()


def test_what_was_the_site_stays_so_while_the_quiet_ones_are_far_and_through_a_pause(run: Run) -> None:
    values = jobs(JOBS)
    for restless in range(2, JOBS):  # all but the quietest two are back soon
        values["compute_seconds"][ONSET + 15 :, restless * RANKS : (restless + 1) * RANKS] /= np.exp(0.12)
    first, second = plugins.detector("shifted"), plugins.detector("shifted")
    said = run("shifted", "rank", {m: v[: ONSET + 60] for m, v in values.items()}, subjects=NAMES, keys=keys, detector=first)
    assert {f.subject for findings in said for f in findings} == {"site"} == {f.subject for f in said[-1]}
    second.restore(first.snapshot())
    assert json.loads(str(second.snapshot()["site"])) == {"rank|compute_seconds": ["job:0", "job:1"]}


def test_most_of_a_thousand_groups_are_the_site() -> None:
    shift = np.where(np.arange(1250) < 650, 3.0, 0.0).astype(np.float32)
    together = importlib.import_module(plugins.load("detectors", "shifted").__module__)._together
    assert together(shift)
    assert not together(np.roll(shift, 1)[::2][:120] * 0)
