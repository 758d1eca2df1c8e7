"""What moves together is one incident about what its members share, or else one notice about their group; what does not is accused one by one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from grayscope import assembly
from grayscope.roster import Roster, RosterRow, View
from grayscope.settings import Settings
from grayscope.tick import Tick

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
