"""What stands out of a group of few counts by what the group knows: by its members, not by who happens to report at the moment."""

from __future__ import annotations

import numpy as np
import pytest

from grayscope import horizons, plugins
from grayscope.catalogue import Catalogue
from grayscope.roster import Roster, RosterRow
from grayscope.stand import Stand
from grayscope.tick import Tick

PERIOD, GROUPS = 10_000_000, 8
CASES = [("slower", "compute_seconds", "rank"), ("became", "compute_seconds", "rank"), ("spending", 'nic_port_retransmits_total{cause="ack_timeout"}', "nic")]


def strengths(detector: str, metric: str, table: str, size: int, every: int = 1, looks: int = 160, groups: int = GROUPS) -> list[float]:
    """Return how strongly the first of each group is accused, at each look; it is 30 % slower or spends from half-way on, rows come every so many ticks."""
    n = groups * size
    names = tuple(f"n{i:03d}/{table}0" for i in range(n))
    view = Roster([RosterRow(name, table, keys={"job": f"job:{i // size}", "role": "a"}) for i, name in enumerate(names)]).at(0)
    stand, found, draw = Stand(Catalogue.load()), [], np.random.default_rng(3)
    one = plugins.load("detectors", detector)(false_pages=1000.0)
    for t in range(1, looks + 1):
        values = np.full((1, n), np.nan, np.float32)
        if t % every == 0:
            bad = np.zeros(n, bool)
            bad[0] = t > looks // 2
            late = 0.02 * draw.standard_normal(n) + (-0.3 if table == "node" else 0.3) * bad
            values[0] = np.where(bad, 1.0, draw.random(n) < 0.01) if table == "nic" else 1000 * np.exp(late)
        tick = Tick(table, t * PERIOD, PERIOD, view, names, (metric,), values, np.zeros(n, bool))
        found += [f.strength for f in one.step(tick, stand.step(tick)) if f.subject == names[0] and t > looks // 2]
    return found


@pytest.mark.parametrize(("detector", "metric", "table"), CASES)
def test_the_same_evidence_beside_three_peers_is_worth_three_sevenths(detector: str, metric: str, table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    few, many = strengths(detector, metric, table, 4), strengths(detector, metric, table, 8)
    monkeypatch.setattr(horizons, "ENOUGH", 1)
    assert many == strengths(detector, metric, table, 8)
    full = strengths(detector, metric, table, 4)
    assert max(few) == pytest.approx(max(full) * 3 / 7, rel=1e-3)
    assert max(full) > 5


@pytest.mark.parametrize(("detector", "metric", "table"), CASES)
def test_a_large_group_that_reports_every_second_tick_is_no_small_one(detector: str, metric: str, table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    now = strengths(detector, metric, table, 32, every=2, looks=320)
    monkeypatch.setattr(horizons, "ENOUGH", 1)
    assert now == strengths(detector, metric, table, 32, every=2, looks=320) != []


@pytest.mark.parametrize("size", [2, 3])
def test_one_of_two_or_three_that_spends_is_known_by_all_groups_that_spend_alike(size: int) -> None:
    case = ("spending", 'nic_port_retransmits_total{cause="ack_timeout"}', "nic")
    many, few = (max(strengths(*case, size, groups=groups), default=0.0) for groups in (32, GROUPS - 1))
    assert few < horizons.threshold(1.0) < many  # seven groups do not know how groups differ
    full = max(strengths(*case, 8, groups=32 * size // 8))
    assert many < full / 2  # no more than one of four


def test_where_groups_differ_widely_one_of_two_is_not_known_by_the_others() -> None:
    draw, n = np.random.default_rng(6), 64
    rate, names = np.repeat(draw.gamma(0.3, 0.3, n // 2).clip(0, 1), 2), tuple(f"n{i:03d}/nic0" for i in range(n))
    view = Roster([RosterRow(name, "nic", keys={"job": f"job:{i // 2}"}) for i, name in enumerate(names)]).at(0)
    stand, spending = Stand(Catalogue.load()), plugins.load("detectors", "spending")(false_pages=10.0)
    for t in range(1, 400):
        values = (draw.random((1, n)) < rate).astype(np.float32)
        tick = Tick("nic", t * PERIOD, PERIOD, view, names, ('nic_port_retransmits_total{cause="ack_timeout"}',), values, np.zeros(n, bool))
        assert not [f for f in spending.step(tick, stand.step(tick)) if f.strength >= horizons.threshold(10.0)]


def test_a_condition_is_heard_in_full_beside_three_peers_for_it_only_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    few = strengths("slower", "fan_speed_rpm", "node", 4)
    monkeypatch.setattr(horizons, "ENOUGH", 1)
    assert few == strengths("slower", "fan_speed_rpm", "node", 4)
    assert max(few) > 5
