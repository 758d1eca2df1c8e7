"""What moves together is one incident about what its members share, or else one notice about their group; what does not is accused one by one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from grayscope import assembly
from grayscope.evidence import Crowd, Finding
from grayscope.incident import Incident
from grayscope.roster import Roster, RosterRow, View
from grayscope.settings import Settings
from grayscope.tick import Tick
from grayscope.together import Together

PERIOD, GPUS, ONSET, TICKS = 10_000_000, 4, 100, 150
Moves = Callable[[int, int], float]


def fleet(nodes: int, rack: int, jobs: int) -> View:
    """Return machines in racks, each of them all one job's, the jobs dealt over all racks."""
    rows = []
    for n in range(nodes):
        keys = {"node": f"n{n:02}", "rack": f"rack{n // rack}", "job": f"job:{n % jobs}", "sku": "A", "role": "dp"}
        for g in range(GPUS):
            gpu = f"n{n:02}/gpu{g}"
            rows += [RosterRow(gpu, "gpu", keys=keys), RosterRow(f"job:{n % jobs}/r{n // jobs * GPUS + g:03}", "rank", keys={**keys, "gpu": gpu})]
    return Roster(rows).at(0)


def said(view: View, more: Moves, onset: int = ONSET, ticks: int = TICKS) -> set[tuple[str, str]]:
    """Return severity and subject of every incident while GPU g of node n takes `more(n, g)` longer from the onset on."""
    engine, rng, names = assembly.engine(Settings(), periods={"rank": PERIOD}), np.random.default_rng(1), view.tables["rank"]
    gpus = [view.key(s, "gpu") for s in names]
    size = np.array([more(int(gpu[1:3]), int(gpu[-1])) for gpu in gpus])
    found: dict[str, tuple[str, str]] = {}
    for t in range(1, ticks + 1):
        values: NDArray[np.float32] = np.exp(0.02 * rng.standard_normal((1, len(names))) + size * (t > onset)).astype(np.float32)
        tick = Tick("rank", t * PERIOD, PERIOD, view, names, ("compute_seconds",), values, np.zeros(len(names), bool))
        found |= {i.id: (i.severity, i.subject) for i in engine.judged(tick, engine.compared(tick)).incidents}
    assert len(found) == len(set(found.values()))
    return set(found.values())


@pytest.mark.parametrize("nodes", [8, 7])
def test_a_rack_through_four_jobs_is_one_page_on_the_rack(nodes: int) -> None:
    assert said(fleet(32, 8, 4), lambda n, g: 0.1 * (24 <= n < 24 + nodes)) == {("page", "rack3")}


@pytest.mark.parametrize("nodes", [4, 3])
def test_a_rack_within_one_job_is_one_page_on_the_rack(nodes: int) -> None:
    assert said(fleet(16, 4, 1), lambda n, g: 0.1 * (n >= 16 - nodes)) == {("page", "rack3")}


def test_a_rack_that_has_always_been_slow_is_named_by_two_jobs_but_not_by_one() -> None:
    assert said(fleet(16, 4, 1), lambda n, g: 0.1 * (n >= 12), 0, 60) == {("notice", "job:0")}
    assert said(fleet(32, 8, 4), lambda n, g: 0.1 * (n >= 24), 0, 60) == {("page", "rack3")}


@pytest.mark.parametrize("onset", [0, ONSET])
@pytest.mark.parametrize("share", [8, 5, 3])
def test_two_populations_all_over_the_place_are_one_notice(share: int, onset: int) -> None:
    assert said(fleet(16, 4, 1), lambda n, g: 0.15 * ((n * GPUS + g) * 7 % share == 0), onset) == {("notice", "job:0")}


def test_half_and_half_since_ever_is_one_notice() -> None:
    assert said(fleet(16, 4, 1), lambda n, g: 0.15 * (g % 2), 0, 60) == {("notice", "job:0")}


def test_stragglers_of_different_size_are_a_page_each() -> None:
    """Eight of 64 at one moment: not one of them hides in a crowd."""
    slow = {(2 * i, i % GPUS): 0.08 + 0.03 * i for i in range(8)}
    assert said(fleet(16, 4, 1), lambda n, g: slow.get((n, g), 0.0), ticks=200) == {("page", f"n{n:02}/gpu{g}") for n, g in slow}


def test_two_machines_and_three_gpus_at_once_are_pages() -> None:
    assert said(fleet(16, 4, 1), lambda n, g: 0.1 * (n in (3, 9))) == {("page", "n03"), ("page", "n09")}
    slow = {(3, 1), (7, 2), (14, 0)}
    assert said(fleet(16, 4, 1), lambda n, g: 0.1 * ((n, g) in slow)) == {("page", f"n{n:02}/gpu{g}") for n, g in slow}


def test_a_rack_whose_cooling_fails_is_named_though_one_of_it_is_hardly_hotter_and_surest() -> None:
    view = fleet(16, 4, 1)
    tick = Tick("gpu", 10, 10, view, view.tables["gpu"], (), np.empty((0, 64), np.float32), np.zeros(64, bool))
    hot = Finding(10, "job:0", "condition", "became", 8.0, "thermal_throttle", metric="gpu_temperature_celsius", value=75.0, expected=60.0)
    members = [hot._replace(subject=s) for s in view.tables["gpu"][:16]]
    members[0] = members[0]._replace(strength=13.0, value=61.8)
    said = Together().step([], tick, 1, [Crowd(hot._replace(mode="group_shift"), tuple(members))])
    assert [(f.subject, f.strength) for f in said] == [("rack0", 8.0)]


@pytest.mark.parametrize("more", [0.2, 0.4])
def test_who_belongs_to_a_crowd_is_accused_of_another_matter(more: float) -> None:
    view, rng = fleet(8, 8, 1), np.random.default_rng(4)
    engine, names = assembly.engine(Settings(), periods={"rank": PERIOD}), view.tables["rank"]
    slow, sick = np.array([view.key(s, "node") in {"n00", "n03", "n05"} for s in names]), np.array([view.key(s, "gpu") == "n03/gpu1" for s in names])
    found = dict[str, Incident]()
    for t in range(1, TICKS + 100):
        noise = 0.01 * rng.standard_normal((2, len(names)))
        values = np.exp(noise + np.stack([0.1 * slow * (t > ONSET), -more * sick * (t > TICKS)])).astype(np.float32)
        tick = Tick("rank", t * PERIOD, PERIOD, view, names, ("compute_seconds", "rank_performance_ratio"), values, np.zeros(len(names), bool))
        found |= {i.id: i for i in engine.judged(tick, engine.compared(tick)).incidents}
    assert {(i.severity, i.subject) for i in found.values()} == {("notice", "job:0"), ("page", "n03/gpu1")}


def test_half_a_job_on_two_machines_is_one_notice() -> None:
    assert said(fleet(5, 5, 1), lambda n, g: 0.1 * (n in (0, 3))) == {("notice", "job:0")}
