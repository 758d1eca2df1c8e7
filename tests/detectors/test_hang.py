"""Hang: everybody busy and nobody moving; phases, ends, stops and maintenance are none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from grayscope import assembly, plugins
from grayscope.event import Event
from grayscope.fleet.faults import Fault
from grayscope.fleet.fleet import Fleet
from grayscope.replaying import Collected
from grayscope.roster import Roster, RosterRow
from grayscope.settings import Settings
from grayscope.tick import Tick

SECOND = 1_000_000
PERIOD = 10 * SECOND
GPUS = tuple(f"n{n}/gpu{g}" for n in range(2) for g in range(8))
RANKS = tuple(f"job:a/r{r:02d}" for r in range(16))
METRICS = ("gpu_active_ratio", "gpu_power_watts", "gpu_sm_active_ratio", "gpu_tensor_active_ratio")
WORK, SPIN, REST, EVALUATE = (0.97, 650.0, 0.8, 0.5), (1.0, 160.0, 0.15, 0.0), (0.0, 90.0, 0.0, 0.0), (0.95, 420.0, 0.5, 0.2)
STANDING: Any = None
VIEW = Roster(
    [
        *(RosterRow(g, "gpu", keys={"job": "a" if g < "n1" else "b"}) for g in GPUS),
        *(RosterRow(r, "rank", keys={"job": "a", "gpu": g}) for r, g in zip(RANKS, GPUS, strict=True)),
    ]
).at(0)
BOTH = Roster(
    [*(RosterRow(g, "gpu", keys={"job": "a"}) for g in GPUS), *(RosterRow(r, "rank", keys={"job": "a", "gpu": g}) for r, g in zip(RANKS, GPUS, strict=True))]
).at(0)
Scene = Callable[[int, int], tuple[float, ...]]


def gpu_tick(t: int, scene: Scene, view: Any = BOTH, events: tuple[Event, ...] = ()) -> Tick:
    values = np.array([scene(t, s) for s in range(len(GPUS))], np.float32).T
    values = values * (1 + 0.01 * np.sin(np.arange(values.size).reshape(values.shape) * 7.0 + t)).astype(np.float32)
    return Tick("gpu", (t + 1) * PERIOD, PERIOD, view, GPUS, METRICS, np.ascontiguousarray(values), np.zeros(len(GPUS), bool), events)


def rank_tick(t: int, steps: Callable[[int, int], float]) -> Tick:
    values = np.array([[steps(t, s) for s in range(len(RANKS))]], np.float32)
    return Tick("rank", (t + 1) * PERIOD, PERIOD, BOTH, RANKS, ("collective_sequence",), values, np.zeros(len(RANKS), bool))


def said(scene: Scene, ticks: int = 160, view: Any = BOTH, steps: Callable[[int, int], float] | None = None) -> list[tuple[int, str, str]]:
    detector, found = plugins.detector("hang"), []
    for t in range(ticks):
        found += [(t, f.subject, f.side) for f in detector.step(gpu_tick(t, scene, view), STANDING)]
        found += [(t, f.subject, f.side) for f in detector.step(rank_tick(t, steps), STANDING)] if steps else []
    return found


def test_the_one_that_does_not_spin_did_not_enter() -> None:
    found = said(lambda t, s: WORK if t < 100 else REST if s == 5 else SPIN)
    assert {(s, side) for _, s, side in found} == {("n0/gpu5", "service")}
    assert found[0][0] == 117  # three minutes from tick 99 on


def test_who_drops_out_later_is_not_the_first() -> None:
    def scene(t: int, s: int) -> tuple[float, ...]:
        return WORK if t < 100 else REST if s == 5 or (t > 110 and s >= 13) else SPIN

    assert {s for _, s, _ in said(scene)} == {"n0/gpu5"}


def test_one_that_computes_for_ever_did_not_enter_either() -> None:
    assert {s for _, s, _ in said(lambda t, s: WORK if t < 100 or s == 9 else SPIN)} == {"n1/gpu1"}


def test_the_first_to_fall_silent_where_all_spin_alike() -> None:
    found = said(lambda t, s: WORK if t < 100 else SPIN, steps=lambda t, s: 40.0 if t < (96 if s == 3 else 100) else 0.0)
    assert {(s, side) for _, s, side in found} == {("n0/gpu3", "service")}


def test_nobody_is_accused_where_none_can_be_told_apart() -> None:
    assert {(s, side) for _, s, side in said(lambda t, s: WORK if t < 100 else SPIN)} == {("job:a", "coverage")}


def test_all_jobs_at_once_are_the_site_s() -> None:
    assert {s for _, s, _ in said(lambda t, s: WORK if t < 100 else SPIN, view=VIEW)} == {"site"}


@pytest.mark.parametrize(
    "scene",
    [
        lambda t, s: WORK,
        lambda t, s: WORK if t < 100 else REST,  # the job ends, or everything is stopped
        lambda t, s: WORK if t < 100 else EVALUATE,  # another phase
        lambda t, s: WORK if t < 100 else REST if s < 8 else SPIN,  # half is down: maintenance, nobody's hang
        lambda t, s: WORK if t < 100 or s % 2 else SPIN,  # half of it waits: a pipeline
        lambda t, s: SPIN,  # it never did anything else
        lambda t, s: WORK if t % 30 < 15 else SPIN,  # checkpoints of two and a half minutes
        lambda t, s: (np.nan,) * 4 if t >= 100 else WORK,  # monitoring is gone
    ],
)
def test_what_looks_like_it_and_is_none(scene: Scene) -> None:
    assert said(scene) == []


def test_a_job_that_moves_does_not_hang_however_idle_it_looks() -> None:
    assert said(lambda t, s: WORK if t < 100 else SPIN, steps=lambda t, s: 40.0 if t < 100 else float(t % 9 == 0)) == []


def test_a_job_that_is_used_to_long_pauses_gets_more_time() -> None:
    """Pauses of 170 s end by themselves; the one after them is a hang only after twice that."""
    found = said(lambda t, s: SPIN if t >= 160 or (t > 80 and t % 40 < 17) else WORK, ticks=220)
    assert 30 < found[0][0] - 160 < 40


def test_dumps_name_the_rank_and_a_job_that_moves_on_takes_it_back() -> None:
    event = Event(5 * SECOND, "job:a/r09", "nccl", "never_entered", "rank 9 never entered all_reduce 7\nof group 0")
    detector = plugins.detector("hang")
    ticks = [rank_tick(t, lambda t, s: float(t > 60)) for t in range(120)]
    named = Tick("rank", ticks[1].time, PERIOD, BOTH, RANKS, ticks[1].metrics, ticks[1].values, ticks[1].fresh, (event,))
    found = [list(detector.step(t, STANDING)) for t in [ticks[0], named, *ticks[2:]]]
    (first,) = found[1]
    assert (first.subject, first.side, first.mode) == ("job:a/r09", "service", "hang")
    assert "\n" not in first.why
    assert any(found[40:60])
    assert not any(found[100:])


def test_a_pause_in_the_middle_changes_nothing() -> None:
    def scene(t: int, s: int) -> tuple[float, ...]:
        return WORK if t < 100 else REST if s == 5 else SPIN

    def steps(t: int, s: int) -> float:
        return 40.0 if t < 100 else 0.0

    event = Event(900 * SECOND, "job:a/r09", "nccl", "never_entered", "x")
    ticks = [f for t in range(150) for f in (gpu_tick(t, scene, events=(event,) if t == 93 else ()), rank_tick(t, steps))]
    whole, first, second = (plugins.detector("hang") for _ in range(3))
    before = [repr(list(whole.step(t, STANDING))) for t in ticks]
    for t in ticks[:220]:
        first.step(t, STANDING)
    second.restore({k: v.copy() for k, v in first.snapshot().items()})
    assert [repr(list(second.step(t, STANDING))) for t in ticks[220:]] == before[220:]
    assert any("gpu5" in b for b in before[220:])
    assert any("job:a/r09" in b for b in before[220:])


def test_a_simulated_hang_is_one_page_with_the_culprit() -> None:
    fleet = Fleet(nodes=4, hours=1.0, seed=3, faults=[Fault("n002/gpu3", "hang", "gray", 1800.0, 3000.0)])
    engine, outputs = assembly.engine(Settings(), periods=fleet.periods), Collected()
    for message in fleet.messages():
        outputs.add(engine.step(message))
    outputs.add(engine.flush())
    pages = [(i.subject, i.state, i.mode) for i in outputs.latest() if i.severity == "page"]
    assert pages == [("n002/gpu3", "gray", "hang")]
