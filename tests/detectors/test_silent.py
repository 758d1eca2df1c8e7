"""Silent: who stopped, froze, reports half or at another pace; one notice for one thing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from grayscope import plugins
from grayscope.roster import Roster, RosterRow
from grayscope.tick import Tick

Run = Callable[..., Any]
CLOCK, HEAT, POWER = 'gpu_clock_hertz{domain="sm"}', 'gpu_temperature_celsius{sensor="gpu"}', "gpu_power_watts"
RNG = np.random.default_rng(4)


def live(ticks: int, width: int = 24, metrics: tuple[str, ...] = (CLOCK, HEAT, POWER)) -> dict[str, np.ndarray[Any, Any]]:
    return {m: RNG.normal(100, 5, (ticks, width)) for m in metrics}


def modes(said: Any) -> set[tuple[str, str]]:
    return {(f.subject, f.mode) for findings in said for f in findings}


def test_health_is_silence_about_silence(run: Run) -> None:
    assert modes(run("silent", "gpu", live(400))) == set()


def test_one_part_a_node_and_the_site(run: Run) -> None:
    values = live(300)
    for v in values.values():
        v[100:, 3] = np.nan
        v[150:, 8:16] = np.nan
    assert modes(run("silent", "gpu", values)) == {("n0/gpu3", "silent"), ("n1", "silent")}
    values = live(200)
    for v in values.values():
        v[100:120] = np.nan
    assert modes(run("silent", "gpu", values)) == {("site", "monitoring_gap")}


def test_a_rack_is_one_finding_and_most_of_a_rack_is_its_machines(run: Run) -> None:
    def keys(subject: str) -> dict[str, str]:
        return {"sku": "A", "rack": f"rack{int(subject[1]) // 2}"}

    values = live(120, 48)
    for v in values.values():
        v[100:, 16:32] = np.nan
    assert modes(run("silent", "gpu", values, keys=keys)) == {("rack1", "silent")}
    for v in values.values():
        v[100:, 31] = 100.0
    assert modes(run("silent", "gpu", values, keys=keys)) == {("n2", "silent")} | {(f"n3/gpu{g}", "silent") for g in range(7)}


def test_a_leaf_over_several_racks_is_one_finding(run: Run) -> None:
    values = live(120, 64)
    for v in values.values():
        v[100:, 32:64] = np.nan
    said = run("silent", "gpu", values, keys=lambda s: {"sku": "A", "rack": f"rack{int(s[1]) // 2}", "leaf": f"leaf{int(s[1]) // 4}"})
    assert modes(said) == {("leaf1", "silent")}


def test_each_silence_began_when_the_last_of_it_was_heard(run: Run) -> None:
    values = live(300)
    values[HEAT][:, 5] = np.nan  # never reported there
    for v in values.values():
        v[100:, 3] = np.nan
        v[200:, 5] = np.nan
    said = run("silent", "gpu", values)
    period = said[-1][0].time - said[-2][0].time
    assert {f.subject: (f.time - f.since) // period for f in said[-1]} == {"n0/gpu3": 200, "n0/gpu5": 100}


def test_a_lost_metric_of_a_part_a_node_and_the_site(run: Run) -> None:
    values = live(300, metrics=(CLOCK, HEAT, POWER, "gpu_active_ratio", "gpu_sm_active_ratio"))
    values[CLOCK][100:, 3] = np.nan
    values[HEAT][100:, 8:16] = np.nan
    values[POWER][100:, :] = np.nan
    said = run("silent", "gpu", values)
    assert {(f.subject, f.metric) for findings in said for f in findings} == {("n0/gpu3", CLOCK), ("n1", HEAT), ("site", POWER)}


def test_a_subject_that_reports_half_is_one_finding(run: Run) -> None:
    values = live(200)
    values[CLOCK][100:, 5] = values[HEAT][100:, 5] = np.nan
    said = run("silent", "gpu", values)
    assert {(f.subject, f.mode, f.metric) for findings in said for f in findings} == {("n0/gpu5", "coverage_hole", "")}
    assert said[-1][0].why == "2 of 3 metrics are no longer reported, the others are"


def test_a_frozen_part_and_a_frozen_node(run: Run) -> None:
    values = live(400)
    values[CLOCK][60:, 2] = values[CLOCK][60, 2]
    for v in values.values():
        v[60:, 16:24] = v[60, 16:24]
    said = run("silent", "gpu", values)
    assert {(f.subject, f.mode, f.metric) for findings in said for f in findings} == {
        ("n0/gpu2", "frozen", CLOCK), ("n2", "frozen", CLOCK), ("n2", "frozen", HEAT), ("n2", "frozen", POWER),
    }  # fmt: skip


def frozen_for(run: Run, values: dict[str, np.ndarray[Any, Any]], **more: Any) -> dict[str, int]:
    """Return who was called frozen, and after how many ticks."""
    said = run("silent", "gpu", values, **more)
    told = [(f.subject, (f.time - f.since) // 10_000_000) for findings in said for f in findings if f.mode == "frozen"]
    return {subject: min(n for s, n in told if s == subject) for subject in dict(told)}


def test_what_stands_still_for_longer_than_any_did_before_has_frozen_after_ten_minutes(run: Run) -> None:
    values = {CLOCK: RNG.normal(100, 5, (800, 24))}
    values[CLOCK][100:105, 9] = values[CLOCK][100:200, 7] = 100.0  # one may have frozen itself
    values[CLOCK][300:400, 2] = 100.0
    assert frozen_for(run, values) == {"n0/gpu2": 60}
    values[CLOCK][220:250, 9] = 100.0  # of two that moved again the shorter tells how long this metric stands still
    assert frozen_for(run, values) == {}
    values[CLOCK][300:450, 2] = 100.0
    assert frozen_for(run, values) == {"n0/gpu2": 4 * 29}


def test_who_rests_with_its_job_or_without_one_or_at_nought_has_not_frozen_yet(run: Run) -> None:
    def keys(subject: str) -> dict[str, str]:
        return {"sku": "A", "job": ("job:1", "", "job:2", "job:2")[int(subject[1])]}

    values = {CLOCK: RNG.normal(100, 5, (500, 32))}
    values[CLOCK][300:, :8] = values[CLOCK][300, :8]
    values[CLOCK][300:, 12] = values[CLOCK][300, 12]
    values[CLOCK][300:, 20] = 0.0
    assert frozen_for(run, values, keys=keys) == {}
    values[CLOCK][300:, 21] = 5.0
    assert frozen_for(run, values, keys=keys) == {"n2/gpu5": 60}


def test_a_machine_that_has_nothing_to_do_for_an_hour_has_not_frozen(run: Run) -> None:
    values = {"gpu_active_ratio": RNG.normal(0.9, 0.01, (700, 24)), HEAT: RNG.normal(50, 5, (700, 24))}
    values["gpu_active_ratio"][300:, :8] = values[HEAT][300:, 9] = 0.0
    assert frozen_for(run, values) == {"n1/gpu1": 240}  # no part is that cold
    values["gpu_active_ratio"][300:, 10] = 0.5
    assert set(frozen_for(run, values)) == {"n1/gpu1", "n1/gpu2"}


def test_what_stands_still_with_everybody_is_idle(run: Run) -> None:
    values = live(400)
    values[CLOCK][60:] = 345e6
    assert modes(run("silent", "gpu", values)) == set()


@pytest.mark.parametrize(("every", "lost"), [(3, 0.0), (1, 0.55)])
def test_rows_too_seldom_are_a_wrong_rate(run: Run, every: int, lost: float) -> None:
    """Every third tick only, or half of the rows lost on the way."""
    values, ticks = live(500), np.arange(500)
    gone = (ticks % every != 0) | (np.random.default_rng(1).random(500) < lost)
    for v in values.values():
        v[gone, 9] = np.nan
    assert ("n1/gpu1", "wrong_rate") in modes(run("silent", "gpu", values))
    assert {s for s, m in modes(run("silent", "gpu", values)) if m == "wrong_rate"} == {"n1/gpu1"}


def test_rows_too_often_and_a_node_with_a_rate_of_its_own(run: Run) -> None:
    values, ticks = live(900), np.arange(900)
    for v in values.values():
        v[ticks % 6 != 0, :16] = np.nan
    assert {s for s, m in modes(run("silent", "gpu", values)) if m == "wrong_rate"} == {"n2"}


def test_all_at_another_rate_is_nobody_s(run: Run) -> None:
    values, ticks = live(900), np.arange(900)
    for v in values.values():
        v[ticks % 3 != 0] = np.nan
    assert modes(run("silent", "gpu", values)) == set()


def test_who_does_a_task_now_and_then_has_no_rate(run: Run) -> None:
    """Rows as tasks come: each subject by chance, one a third as often as the others."""
    values, rng = live(3000), np.random.default_rng(1)
    idle = rng.random((3000, 24)) >= np.where(np.arange(24) == 9, 0.04, 0.12)
    for v in values.values():
        v[idle] = np.nan
    assert modes(run("silent", "gpu", values)) == set()


def test_a_long_silence_is_no_rate(run: Run) -> None:
    values = live(600)
    for v in values.values():
        v[100:160, 4] = np.nan
        v[300:340, 4] = np.nan
    assert modes(run("silent", "gpu", values)) == {("n0/gpu4", "silent")}


def ranks(t: int, gone: slice) -> Tick:
    names = tuple(sorted(f"job:{j}/r{r}" for j in "abc" for r in range(8)))
    view = Roster([RosterRow(n, "rank", keys={"job": n[4], "gpu": f"n{i // 8}/gpu{i % 8}"}) for i, n in enumerate(names)]).at(0)
    values = np.full((1, 24), 1.0 + t, np.float32)
    values[:, gone] = np.nan if t >= 100 else 1.0
    return Tick("rank", (t + 1) * 10_000_000, 10_000_000, view, names, ("step_seconds",), values, np.zeros(24, bool))


@pytest.mark.parametrize(
    ("gone", "told"),
    [
        (slice(0, 8), {("job:a", "silent")}),
        (slice(0, 16), {("job:a", "silent"), ("job:b", "silent")}),  # more than half of the table, but whole jobs
        (slice(0, 15), {("site", "monitoring_gap")}),
        (slice(0, 24), {("site", "monitoring_gap")}),
        (slice(3, 4), {("job:a/r3", "silent")}),
    ],
)
def test_the_end_of_a_job_is_one_notice(gone: slice, told: set[tuple[str, str]]) -> None:
    detector = plugins.detector("silent")
    standing: Any = type("S", (), {"metrics": (None,)})()
    assert modes([list(detector.step(ranks(t, gone), standing)) for t in range(150)]) == told


def test_jobs_step_at_their_own_pace(run: Run) -> None:
    """Two jobs make a step every tick, one every fourth; and one rank of that one tells of every step but every third."""
    detector = plugins.detector("silent")
    standing: Any = type("S", (), {"metrics": (None,)})()

    def said(lost: int) -> set[tuple[str, str]]:
        out = []
        for t in range(900):
            tick = ranks(t, slice(0, 0))
            tick.values[:, :8] = np.nan if t % 4 else tick.values[:, :8]
            tick.values[:, 3:4] = np.nan if t % lost else tick.values[:, 3:4]
            out.append(list(detector.step(tick, standing)))
        return modes(out)

    assert said(1) == set()
    assert said(12) == {("job:a/r3", "wrong_rate")}


@pytest.mark.parametrize("slow", [{1}, {4, 5, 6}])
def test_of_two_who_come_unlike_the_one_that_comes_more_seldom_is_wrong(slow: set[int]) -> None:
    """Of a job of two one rank, of a job of six half: that they come is no mistake."""
    names = [f"job:a/r{i}" for i in range(2)] + [f"job:b/r{i}" for i in range(2, 8)]
    view = Roster([RosterRow(n, "rank", keys={"job": n[:5], "gpu": f"n{i}/gpu0"}) for i, n in enumerate(names)]).at(0)
    detector, told = plugins.detector("silent"), []
    standing: Any = type("S", (), {"metrics": (None,)})()
    for t in range(400):
        values = np.array([[np.nan if t % 4 and i in slow else t + i for i in range(8)]], np.float32)
        told.append(list(detector.step(Tick("rank", t * 10_000_000, 10_000_000, view, tuple(names), ("m",), values, np.zeros(8, bool)), standing)))
    assert modes(told) == {(names[i], "wrong_rate") for i in slow}


def test_a_pause_in_the_middle_changes_nothing(run: Run) -> None:
    values, ticks = live(500), np.arange(500)
    for v in values.values():
        v[ticks % 3 != 0, 9] = np.nan
        v[200:, 3] = np.nan
    whole = run("silent", "gpu", values)
    first, second = plugins.detector("silent"), plugins.detector("silent")
    run("silent", "gpu", {m: v[:260] for m, v in values.items()}, detector=first)
    second.restore({k: v.copy() for k, v in first.snapshot().items()})
    rest = run("silent", "gpu", {m: v[260:] for m, v in values.items()}, detector=second, start=2600.0)
    assert [repr(f) for f in rest] == [repr(f) for f in whole[260:]]
    assert any(rest)


def test_a_job_that_pauses_is_one_notice_though_its_rows_fall_into_ticks_beside_each_other() -> None:
    """Five ticks without a row, of half of the ranks a tick later than of the others: at no tick have all been silent for so long."""
    detector = plugins.detector("silent")
    standing: Any = type("S", (), {"metrics": (None,)})()
    said = []
    for t in range(150):
        tick = ranks(t, slice(0, 0))
        for first, some in ((100, slice(0, 4)), (101, slice(4, 8))):
            tick.values[:, some] = np.nan if first <= t < first + 5 else tick.values[:, some]
        said.append(list(detector.step(tick, standing)))
    assert modes(said) == {("job:a", "silent")}
