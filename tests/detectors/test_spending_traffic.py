"""Spending: errors come with what was moved; as many for as much are no news, and more for less are, however many ticks they fall in."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from grayscope import assembly, plugins
from grayscope.catalogue import Catalogue
from grayscope.evidence import Finding
from grayscope.horizons import threshold
from grayscope.incident import Incident
from grayscope.roster import Roster, RosterRow
from grayscope.settings import Settings
from grayscope.stand import Stand
from grayscope.tick import Tick
from grayscope.traffic import FIELDS, carriers, grouped, weighed
from grayscope.weighing import MOST

Floats = NDArray[np.float64]
Draw = np.random.Generator
PERIOD, USUAL = 10_000_000, 1e9
REPLAYS, MOVED = "pcie_replays_total", 'pcie_transferred_bytes_total{direction="transmit"}'
NVLINK = {REPLAYS: "nvlink_replays_total", MOVED: 'nvlink_transferred_bytes_total{direction="transmit"}'}
LEVEL, BAD = threshold(1.0), 3


def one(times: float, parts: int = 32) -> Floats:
    """Return ones, but for the one that has so many `times` as much."""
    return np.where(np.arange(parts) == BAD, times, 1.0)


def view(parts: int, table: str = "pcie") -> Roster:
    return Roster([RosterRow(f"n{i // 8:02d}/gpu{i % 8}/{table}", table, keys={"sku": "H100"}) for i in range(parts)])


def said(errors: Callable[[int, Draw], Floats], moved: Callable[[int], Floats] | None, ticks: int, seed: int = 1, parts: int = 32) -> list[Finding]:
    """Return all that is told, strong enough for an incident, by subject first."""
    stand, detector, draw, found = Stand(Catalogue.load()), plugins.load("detectors", "spending")(), np.random.default_rng(seed), dict[str, Finding]()
    roster, names = view(parts).at(0), view(parts).at(0).tables["pcie"]
    metrics = (REPLAYS,) if moved is None else (REPLAYS, MOVED)
    for t in range(1, ticks + 1):
        rows = [errors(t, draw)] if moved is None else [errors(t, draw), moved(t) * USUAL * np.exp(0.05 * draw.standard_normal(parts))]
        tick = Tick("pcie", t * PERIOD, PERIOD, roster, names, metrics, np.stack(rows).astype(np.float32), np.zeros(parts, bool))
        for f in detector.step(tick, stand.step(tick)):
            if f.strength >= LEVEL:
                found.setdefault(f.subject, f)
    return list(found.values())


def poisson(mean: Floats) -> Callable[[int, Draw], Floats]:
    return lambda _, draw: draw.poisson(mean).astype(np.float64)


@pytest.mark.parametrize("rate", [0.01, 0.5, 2.0])
@pytest.mark.parametrize("parts", [8, 32])
def test_as_many_errors_for_what_is_moved_are_no_news_at_30_times_the_traffic(rate: float, parts: int) -> None:
    assert said(poisson(rate * one(30, parts)), lambda _: one(30, parts), 300, parts=parts) == []
    assert len(said(poisson(rate * one(30, parts)), None, 300, parts=parts)) == 1


@pytest.mark.parametrize(("rate", "ticks"), [(0.1, 250), (0.5, 100), (2.0, 100)])
def test_as_many_errors_for_a_thirtieth_of_the_traffic_are_told(rate: float, ticks: int) -> None:
    found = said(poisson(rate * one(1)), lambda _: one(1 / 30), ticks)
    assert [f.subject for f in found] == ["n00/gpu3/pcie"]
    assert "per TB moved, its peers" in found[0].why
    assert said(poisson(rate * one(1)), None, ticks) == []


def test_the_first_ticks_do_not_teach_that_errors_come_with_bytes() -> None:
    """Before its first error a group's rate is not half an error a tick: thousands of groups would miss thousands of errors for hours."""
    label = np.arange(1000, dtype=np.int32)
    first = grouped(label, np.ones(1000, bool), np.zeros(1000), np.zeros(1000))
    assert not first.trusted.any()
    later = grouped(label, np.ones(1000, bool), np.where(label < 10, 1.0, 0.0), np.ones(1000))
    assert later.rate[10:] == pytest.approx(np.full(990, 0.0105 / 1.021), rel=0.02)


def test_where_errors_come_with_time_who_is_idle_is_not_measured_by_what_others_move() -> None:
    idle = np.where(np.arange(32) < 12, 1e-6, 1.0)
    for seed in range(3):
        assert said(poisson(np.full(32, 0.05)), lambda _: idle, 600, seed=seed) == []
    label, errors, told = np.zeros(32, np.int32), np.full(32, 30.0), np.full(32, 600.0)
    a = {name: f.blank(2, 32) for name, f in FIELDS.items()}
    draw = np.random.default_rng(1)
    for _ in range(600):
        values = np.stack([draw.poisson(0.05, 32), idle * USUAL]).astype(np.float32)
        tick = Tick("pcie", PERIOD, PERIOD, view(32).at(0), (), (REPLAYS, MOVED), values, np.zeros(32, bool))
        weights = weighed(tick, a, 0, [1], grouped(label, np.ones(32, bool), errors, told))
    assert weights[:12].min() > 0.75 * weights[12:].mean() > 0.6


@pytest.mark.parametrize("rate", [0.01, 0.03, 0.1])
def test_a_busy_link_with_an_error_in_every_tick_is_told_if_it_has_30_times_as_many_for_what_it_moves(rate: float) -> None:
    found = said(poisson(rate * one(900)), lambda _: one(30), 100)
    assert [f.subject for f in found] == ["n00/gpu3/pcie"]


def test_a_burst_of_a_busy_link_is_one_event_however_large() -> None:
    def bursts(t: int, _: Draw) -> Floats:
        return np.where((np.arange(32) == BAD) & (t % 80 == 0), 10_000.0, 0.0)

    assert said(bursts, lambda _: one(30), 300) == []


@pytest.mark.parametrize("at", [(310,), (310, 350, 390)])
@pytest.mark.parametrize("moves", [0.0, 1e-4, 0.1])
def test_one_error_or_three_of_an_idle_link_are_no_trouble(at: tuple[int, ...], moves: float) -> None:
    assert said(lambda t, _: np.where((np.arange(32) == BAD) & (t in at), 5.0, 0.0), lambda _: one(moves), 420) == []


@pytest.mark.parametrize("rate", [0.02, 0.3, 3.0])
@pytest.mark.parametrize("moves", [1 / 30, 30.0])
def test_where_errors_come_with_time_those_that_move_more_or_less_are_left_alone(rate: float, moves: float) -> None:
    assert said(poisson(np.full(32, rate)), lambda _: np.where(np.arange(32) % 8 == 0, moves, 1.0), 400) == []


def test_where_nobody_tells_what_was_moved_all_is_as_if_nobody_could() -> None:
    errors = poisson(0.01 * one(40))
    with_it, without = said(errors, lambda _: np.full(32, np.nan), 40), said(errors, lambda _: np.full(32, np.nan), 40)
    assert [f.why for f in with_it] == [f.why for f in without]
    assert "moved" not in with_it[0].why
    some = said(errors, lambda _: np.where(np.arange(32) == BAD, np.nan, 1.0), 40)
    assert [(f.subject, f.why) for f in some] == [(f.subject, f.why) for f in with_it]


def test_one_whose_traffic_falls_because_it_fails_is_neither_hidden_nor_suspected_twice() -> None:
    def errors(t: int, draw: Draw) -> Floats:
        return draw.poisson(0.02 * (one(15) if t > 200 else one(1))).astype(np.float64)

    def falls(t: int) -> Floats:
        return one(0.1 if t > 200 else 1.0)

    same, less = said(errors, lambda _: one(1), 300)[0], said(errors, falls, 300)[0]
    assert less.subject == same.subject
    assert less.expected == pytest.approx(same.expected, rel=0.25)


def test_more_errors_that_come_with_more_traffic_than_before_are_no_change() -> None:
    def traffic(t: int) -> Floats:
        return np.where(np.isin(np.arange(32), (3, 20)) & (t > 300), 30.0, 1.0)

    def errors(t: int, draw: Draw) -> Floats:
        return draw.poisson(0.02 * traffic(t)).astype(np.float64)

    assert said(errors, traffic, 450) == []
    assert {f.subject for f in said(errors, None, 450)} == {"n00/gpu3/pcie", "n02/gpu4/pcie"}


def test_a_tick_counts_for_what_was_moved_beside_the_group_and_no_jump_of_a_counter_decides_what_is_usual() -> None:
    a, label, trusted = {name: f.blank(2, 4) for name, f in FIELDS.items()}, np.zeros(4, np.int32), np.ones(4, bool)
    group = grouped(label, trusted, np.zeros(4), np.full(4, 100.0))
    roster = view(4).at(0)

    def large(*moved: float) -> list[float]:
        values = np.array([[0, 0, 0, 0], moved], np.float32)
        tick = Tick("pcie", PERIOD, PERIOD, roster, roster.tables["pcie"], (REPLAYS, MOVED), values, np.zeros(4, bool))
        return [round(float(x), 2) for x in weighed(tick, a, 0, [1], group)]

    assert large(2e9, 2e9, 2e9, np.nan) == [1.0, 1.0, 1.0, 1.0]
    for _ in range(50):
        large(2e9, 2e9, 2e9, 2e9)
    assert large(2e20, 2e9, 2e9, 0.0)[0] == MOST
    assert min(large(2e9, 2e9, 2e9, 2e9)[1:]) > 0.8


def test_what_a_counter_is_exposed_to_is_what_its_account_says() -> None:
    assert carriers("nvlink", (NVLINK[REPLAYS], NVLINK[MOVED])) == {0: [1]}
    assert carriers("pcie", (NVLINK[REPLAYS], NVLINK[MOVED])) == {}
    assert carriers("pcie", ("pcie_correctable_errors_total", MOVED)) == {}


@pytest.mark.parametrize("table", ["pcie", "nvlink"])
@pytest.mark.parametrize(("times", "traffic", "named"), [(30.0, 30.0, False), (1.0, 1 / 30, True)])
def test_from_ticks_to_incidents(table: str, times: float, traffic: float, named: bool) -> None:
    metrics = (REPLAYS, MOVED) if table == "pcie" else (NVLINK[REPLAYS], NVLINK[MOVED])
    roster, draw, last = view(32, table).at(0), np.random.default_rng(3), dict[str, Incident]()
    engine = assembly.engine(Settings(), periods={table: PERIOD})
    for t in range(1, 201):
        rate = 0.01 if times > 1 else 0.3
        values = np.stack([draw.poisson(rate * one(times)), USUAL * one(traffic)]).astype(np.float32)
        tick = Tick(table, t * PERIOD, PERIOD, roster, roster.tables[table], metrics, values, np.zeros(32, bool))
        last |= {i.id: i for i in engine.judged(tick, engine.compared(tick)).incidents}
    assert [(i.subject, i.severity) for i in last.values()] == ([(f"n00/gpu3/{table}", "ticket")] if named else [])
