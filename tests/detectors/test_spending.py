"""Spending: healthy parts that spend unevenly in groups of few are left alone, one that spends far more is not."""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from grayscope import plugins
from grayscope.catalogue import Catalogue
from grayscope.horizons import looks, threshold
from grayscope.roster import Roster, RosterRow
from grayscope.stand import Stand
from grayscope.tick import Tick
from grayscope.uneven import alike, between, within
from grayscope.unlikely import unlikely

LAW: Any = importlib.import_module(plugins.load("detectors", "spending").__module__)
PERIOD = 120_000_000
METRIC = 'nic_port_retransmits_total{cause="ack_timeout"}'


def without(events: NDArray[np.float64], ticks: NDArray[np.float64], label: NDArray[np.int32], trusted: NDArray[np.bool_], s: int) -> float:
    """Return by how much the others differ within their groups."""
    of = alike(events, ticks, label, trusted, int(label.max()) + 1)
    return within(of, float(events[s]), int(of.row[s]))


def rates(groups: int, seed: int) -> NDArray[np.float64]:
    """Return events per tick of healthy parts in groups of four: most hardly any, some one in thirty."""
    return np.asarray(np.minimum(np.random.default_rng(seed).gamma(0.5, 1.0, 4 * groups), 1.0) / 30)


def accused(rate: NDArray[np.float64], ticks: int, seed: int, much: dict[int, range] | None = None, size: int = 12) -> set[str]:
    """Return who is said to spend too much at 10 false pages per 1,000 weeks, if some have `size` events in each of those ticks, too."""
    names = tuple(f"n{i:03d}/nic0" for i in range(len(rate)))
    view = Roster([RosterRow(n, "nic", keys={"job": f"job:{i // 4}"}) for i, n in enumerate(names)]).at(0)
    stand, detector = Stand(Catalogue.load()), plugins.load("detectors", "spending")(false_pages=10.0)
    draw, found = np.random.default_rng(seed), set[str]()
    for t in range(1, ticks + 1):
        values = (draw.random((1, len(rate))) < rate).astype(np.float32)
        values[0, [i for i, when in (much or {}).items() if t in when]] = size
        tick = Tick("nic", t * PERIOD, PERIOD, view, names, (METRIC,), values, np.zeros(len(rate), bool))
        found |= {f.subject for f in detector.step(tick, stand.step(tick)) if f.strength >= threshold(10.0)}
    return found


@pytest.mark.parametrize("seed", [1, 2])
def test_uneven_healthy_parts_in_groups_of_four_are_left_alone(seed: int) -> None:
    assert accused(rates(64, seed), 300, seed) == set()


def test_one_that_spends_in_every_second_tick_is_found_among_them() -> None:
    rate = rates(64, 3)
    rate[17] = 0.5
    assert accused(rate, 100, 3) == {"n017/nic0"}


def test_it_tells_when_it_began_to_spend_and_forgets_what_it_spent_long_before() -> None:
    names = tuple(f"n{i:03d}/nic0" for i in range(64))
    view = Roster([RosterRow(n, "nic", keys={"job": f"job:{i // 4}"}) for i, n in enumerate(names)]).at(0)
    stand, detector, found = Stand(Catalogue.load()), plugins.load("detectors", "spending")(), set[tuple[str, int]]()
    for t in range(1, 560):
        values = np.zeros((1, 64), np.float32)
        values[0, 17] = t in (20, 90) or (t >= 500 and t % 5 == 0)
        tick = Tick("nic", t * PERIOD, PERIOD, view, names, (METRIC,), values, np.zeros(64, bool))
        found |= {(f.subject, f.since) for f in detector.step(tick, stand.step(tick))}
    assert found == {("n017/nic0", 499 * PERIOD)}


def test_many_events_in_row_after_row_are_found_beside_a_worn_part() -> None:
    """A row of two minutes is as full with one event as with twelve, and a peer that is worn has one in every other: beside it, rows alone say little."""
    rate = rates(64, 3)
    rate[16], rate[17] = 0.5, 0.1
    assert "n017/nic0" not in accused(rate, 260, 3, {17: range(230, 261)}, 1)
    assert "n017/nic0" in accused(rate, 260, 3, {17: range(230, 261)})


def test_a_burst_is_one_event_however_large() -> None:
    rate = rates(64, 3)
    assert accused(rate, 300, 3, {17: range(100, 300, 40)}, 10_000) == accused(rate, 300, 3, {17: range(100, 300, 40)}, 1)


def test_how_parts_differ_is_measured_alike_in_small_and_large_groups() -> None:
    draw = np.random.default_rng(4)
    n = 4096
    events = draw.poisson(draw.gamma(1.0, 2.0, n)).astype(np.float64)  # a squared coefficient of variation of one
    ticks, trusted = np.full(n, 256.0), np.ones(n, bool)
    for size in (4, 16, 1024):
        label = (np.arange(n) // size).astype(np.int32)
        assert without(events, ticks, label, trusted, 0) == pytest.approx(1.0, abs=0.15)


def test_groups_alike_lend_each_other_more_than_groups_that_differ() -> None:
    draw = np.random.default_rng(5)
    ticks, trusted, label = np.full(256, 256.0), np.ones(256, bool), (np.arange(256) // 4).astype(np.int32)
    same, apart = draw.poisson(2.0, 256).astype(np.float64), draw.poisson(np.repeat(draw.gamma(0.5, 4.0, 64), 4)).astype(np.float64)
    (known, over), (less, _) = (between(alike(events, ticks, label, trusted, 64), 0.0, float(events[0]), 0) for events in (same, apart))
    assert known / over == pytest.approx(2.0 / 256, rel=0.2)
    assert known > 10 * less
    assert between(alike(same[:16], ticks[:16], label[:16], trusted[:16], 4), 0.0, float(same[0]), 0) == (0.5, 0.0)  # four groups tell nothing about groups


@pytest.mark.parametrize("seed", range(8))
def test_to_take_one_from_those_who_are_alike_is_to_ask_those_that_are_left(seed: int) -> None:
    draw = np.random.default_rng(seed)
    n, groups = 60, int(draw.integers(1, 20))
    events, ticks = draw.poisson(3.0, n).astype(np.float64), draw.choice([4.0, 200.5, 256.0], n)
    label, trusted = draw.integers(0, groups, n).astype(np.int32), draw.random(n) < 0.9
    of = alike(events, ticks, label, trusted, groups)
    for s in np.flatnonzero(trusted).tolist():
        others = trusted.copy()
        others[s] = False
        left, mine = alike(events, ticks, label, others, groups), (float(events[s]), int(of.row[s]))
        assert within(of, *mine) == pytest.approx(within(left), rel=1e-9)
        assert between(of, 0.1, *mine) == pytest.approx(between(left, 0.1), rel=1e-9)
    assert len(of.ticks) <= 3 * groups


def test_events_so_sparse_that_no_two_members_share_them_make_no_one_suspicious() -> None:
    events, ticks, trusted = np.zeros(256), np.full(256, 256.0), np.ones(256, bool)
    label = (np.arange(256) // 8).astype(np.int32)
    events[np.arange(0, 104, 8)] = 5.0  # in thirteen of thirty-two groups one member
    assert without(events, ticks, label, trusted, 0) < 30
    assert min(tail for _, tail, *_ in unlikely(np.flatnonzero(events >= LAW.LEAST), events, ticks, label, trusted, 14.0)) > -7
    events[0] = 60.0
    assert [s for s, tail, *_ in unlikely(np.flatnonzero(events >= LAW.LEAST), events, ticks, label, trusted, 5.0) if tail < -5.0] == [0]


@pytest.mark.parametrize("seed", range(20))
def test_the_cheap_look_leaves_out_nobody_that_the_law_finds_unlikely(seed: int) -> None:
    draw = np.random.default_rng(seed)
    groups = int(draw.integers(1, 40))
    ticks, label = draw.integers(1, 4096, 4 * groups).astype(np.float64), (np.arange(4 * groups) // 4).astype(np.int32)
    events = np.minimum(draw.poisson(draw.gamma(0.3, 0.02, 4 * groups) * ticks).astype(np.float64), ticks)
    trusted = draw.random(4 * groups) < 0.9
    needed = 8.0
    found = {s for s, tail, *_ in unlikely(np.flatnonzero(events >= LAW.LEAST), events, ticks, label, trusted, needed) if -tail >= needed}
    every = {s for s, tail, *_ in unlikely(np.flatnonzero(events >= LAW.LEAST), events, ticks, label, trusted, -1e300) if -tail >= needed}
    assert found == every


def test_what_was_found_usual_is_looked_at_again_once_it_has_spent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[list[int]] = []

    def seen(suspects: NDArray[np.intp], *_: object) -> Iterator[tuple[int, float, float, float]]:
        looked.append(suspects.tolist())
        yield from ((s, -1e3, 1.0, 0.0) for s in suspects if s == 5)

    monkeypatch.setattr(LAW, "unlikely", seen)
    monkeypatch.setattr(LAW, "LEAST", 1.5)
    names = tuple(f"n{i}/nic0" for i in range(8))
    view = Roster([RosterRow(name, "nic", keys={"job": "job:1"}) for name in names]).at(0)
    stand, detector, spent = Stand(Catalogue.load()), plugins.load("detectors", "spending")(), {1: [2, 5], 2: [2, 5], 17: [2]}
    for t in range(1, 25):
        values = np.zeros((1, 8), np.float32)
        values[0, spent.get(t, [])] = 1
        tick = Tick("nic", t * PERIOD, PERIOD, view, names, (METRIC,), values, np.zeros(8, bool))
        detector.step(tick, stand.step(tick))
    assert looked[::3] == [[2, 5], [5], [5], [5], [2, 5], [5]]  # of three pasts the first, every fourth tick; what was unlikely is looked at each time


def test_a_handful_of_events_of_one_part_is_no_trouble_while_hardly_any_other_had_one() -> None:
    """Corrected errors: nine parts in ten have none, a healthy one may have five a day; from few events how parts differ cannot be known."""
    events, ticks, trusted = np.zeros(128), np.full(128, 4096.0), np.ones(128, bool)
    label, level = np.zeros(128, np.int32), threshold(1.0) + math.log(40 * looks(4096, 10_000_000))
    events[[3, 60, 90]] = 1.0

    def tail(count: float) -> float:
        events[17] = count
        return -max((t for _, t, *_ in unlikely(np.array([17]), events, ticks, label, trusted, 7.0)), default=0.0)

    assert tail(5.0) < level < tail(12.0)
    events[:] = 0.0
    events[::4] = 3.0  # who has seen more knows better
    assert without(events, ticks, label, trusted, 17) == pytest.approx(1.67, abs=0.2)  # (sum of squares - sum) over the sum of squares of what is usual
