"""Spending: parts that begin at once are no excuse for each other; a crowd of them is not half accused, and how parts have always differed is no trouble."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
from numpy.typing import NDArray

from grayscope import assembly, plugins
from grayscope.begun import Past, apart, begun
from grayscope.catalogue import Catalogue
from grayscope.horizons import threshold
from grayscope.incident import Incident
from grayscope.roster import Roster, RosterRow
from grayscope.settings import Settings
from grayscope.stand import Stand
from grayscope.tick import Tick

PERIOD = 10_000_000
METRIC = 'gpu_ecc_corrected_errors_total{location="dram",retention="volatile"}'
RETRANSMITS = 'nic_port_retransmits_total{cause="ack_timeout"}'
PARTS, LEVEL = 128, threshold(1.0)


def accused(rate: NDArray[np.float64], onset: dict[int, int], ticks: int, seed: int) -> set[int]:
    """Return who is said to spend too much, -1 for the site; those of `onset` do in nearly every tick from then on."""
    names = tuple(f"n{i // 8:03d}/gpu{i % 8}" for i in range(PARTS))
    view = Roster([RosterRow(n, "gpu", keys={"job": "job:1", "sku": "H100"}) for n in names]).at(0)
    stand, detector = Stand(Catalogue.load()), plugins.load("detectors", "spending")()
    draw, found = np.random.default_rng(seed), set[int]()
    for t in range(1, ticks + 1):
        values = (draw.random((1, PARTS)) < rate).astype(np.float32)
        for s, begin in onset.items():
            values[0, s] = t > begin and draw.random() < 0.99
        tick = Tick("gpu", t * PERIOD, PERIOD, view, names, (METRIC,), values, np.zeros(PARTS, bool))
        found |= {names.index(f.subject) if f.subject in names else -1 for f in detector.step(tick, stand.step(tick)) if f.strength >= LEVEL}
    return found


@pytest.mark.parametrize("rate", [0.0, 0.002, 0.02])
@pytest.mark.parametrize("bad", [(9, 77), (9, 77, 100, 120), (8, 9, 10, 11, 12, 13, 14, 15)])
def test_all_that_begin_at_once_are_found(rate: float, bad: tuple[int, ...]) -> None:
    assert accused(np.full(PARTS, rate), dict.fromkeys(bad, 300), 360, 1) == set(bad)


def test_a_quarter_of_the_parts_is_not_half_accused() -> None:
    assert accused(np.full(PARTS, 0.002), dict.fromkeys(range(32), 300), 500, 2) == {-1}


@pytest.mark.parametrize("seed", range(3))
def test_parts_that_have_always_differed_are_left_alone(seed: int) -> None:
    draw = np.random.default_rng(100 + seed)
    assert accused(np.minimum(draw.gamma(0.1, 0.2, PARTS), 0.9), {}, 500, seed) == set()
    assert accused(np.where(draw.random(PARTS) < 0.05, 0.05, 0.0), {}, 500, seed) == set()


def test_spells_that_others_had_before_are_no_news() -> None:
    stand, detector, names = Stand(Catalogue.load()), plugins.load("detectors", "spending")(), tuple(f"n{i // 8:03d}/gpu{i % 8}" for i in range(PARTS))
    view, draw, left, found = Roster([RosterRow(n, "gpu", keys={"sku": "H100"}) for n in names]).at(0), np.random.default_rng(4), np.zeros(PARTS), set[str]()
    for t in range(1, 3001):
        left = np.where(draw.random(PARTS) < 1 / 3000, 60.0, left - 1)  # each has one now and then
        values = ((left > 0) & (draw.random(PARTS) < 0.9)).astype(np.float32)[None]
        tick = Tick("gpu", t * PERIOD, PERIOD, view, names, (METRIC,), values, np.zeros(PARTS, bool))
        said = {f.subject for f in detector.step(tick, stand.step(tick)) if f.strength >= LEVEL}
        found |= said if t > 500 else set()
    assert found == set()


def test_one_that_has_recovered_long_ago_hides_nobody() -> None:
    old, bad = {50: 100}, (9, 77, 100, 120)
    stand, detector, names = Stand(Catalogue.load()), plugins.load("detectors", "spending")(), tuple(f"n{i // 8:03d}/gpu{i % 8}" for i in range(PARTS))
    view, draw, found = Roster([RosterRow(n, "gpu", keys={"sku": "H100"}) for n in names]).at(0), np.random.default_rng(6), set[int]()
    for t in range(1, 1241):
        values = np.zeros((1, PARTS), np.float32)
        values[0, list(old)] = 100 < t <= 300
        values[0, list(bad)] = (draw.random(len(bad)) < 0.99) * (t > 1200)
        tick = Tick("gpu", t * PERIOD, PERIOD, view, names, (METRIC,), values, np.zeros(PARTS, bool))
        found |= {names.index(f.subject) for f in detector.step(tick, stand.step(tick)) if f.strength >= LEVEL}
    assert found == {50, *bad}


def test_a_job_that_starts_brings_its_load() -> None:
    names = tuple(f"n{i // 8:03d}/gpu{i % 8}" for i in range(PARTS))
    rows = [RosterRow(n, "gpu", keys={"sku": "H100"}) for n in names]
    begins = [RosterRow(n, "gpu", since=300 * PERIOD, keys={"sku": "H100", "job": "job:7"}) for n in names[:8]]
    stand, detector, draw, found = Stand(Catalogue.load()), plugins.load("detectors", "spending")(), np.random.default_rng(5), set[str]()
    busy, roster = np.arange(PARTS) < 8, Roster([*rows, *begins])
    for t in range(1, 801):
        values = (busy & (t > 300) & (draw.random(PARTS) < 0.5)).astype(np.float32)[None]
        tick = Tick("gpu", t * PERIOD, PERIOD, roster.at(t * PERIOD), names, (METRIC,), values, np.zeros(PARTS, bool))
        found |= {f.subject for f in detector.step(tick, stand.step(tick)) if "own past" in f.why}
    assert found == set()


def test_what_all_others_do_more_often_is_expected() -> None:
    label, trusted, suspects = np.zeros(64, np.int32), np.ones(64, bool), np.array([3, 40])
    ticks, events, old, there = np.full(64, 256.0), np.full(64, 2.0), np.full(64, 14.0), np.full(64, 1800.0)
    events[suspects] += 40.0
    calmest = np.full(64, 3.0)
    calm = begun(suspects, events, ticks, Past(old, there, calmest), label, trusted)
    others = np.setdiff1d(np.arange(64), suspects)
    events[others] += 12.0
    busy = begun(suspects, events, ticks, Past(old, there, calmest), label, trusted)
    assert calm.subjects == busy.subjects == [3, 40]
    assert max(calm.tails) < 3 * min(busy.tails) < 0


def test_one_alone_and_many_without_a_gap_do_not_stand_out_together() -> None:
    far = np.zeros(64)
    far[5] = 4.0
    assert not len(apart(far))
    assert not len(apart(np.linspace(0.0, 9.0, 64)))


@pytest.mark.parametrize(("bad", "said"), [(range(12, 16), ("leaf3", "switch_fault", "ticket")), ((0, 5, 10, 15), ("site", "group_shift", "notice"))])
def test_a_crowd_is_what_it_shares_or_a_notice_and_stays_it_as_long_as_it_lasts(bad: Iterable[int], said: tuple[str, str, str]) -> None:
    keys = [{"node": f"n{n:02d}", "leaf": f"leaf{n // 4}", "job": "job:1", "sku": "CX7"} for n in range(16)]
    view = Roster([RosterRow(f"n{n:02d}/nic{g}", "nic", keys=keys[n]) for n in range(16) for g in range(4)]).at(0)
    engine, draw, last = assembly.engine(Settings(), periods={"nic": PERIOD}), np.random.default_rng(1), dict[str, Incident]()
    worse = np.isin(np.arange(64) // 4, list(bad))
    for t in range(1, 701):
        values = np.where(worse & (t > 200), draw.poisson(5, 64), draw.random(64) < 0.002).astype(np.float32)[None]
        tick = Tick("nic", t * PERIOD, PERIOD, view, view.tables["nic"], (RETRANSMITS,), values, np.zeros(64, bool))
        last |= {i.id: i for i in engine.judged(tick, engine.compared(tick)).incidents}
    assert [(i.subject, i.mode, i.severity, i.ended) for i in last.values()] == [(*said, None)]
