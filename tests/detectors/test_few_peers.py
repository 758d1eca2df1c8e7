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


def strengths(detector: str, metric: str, table: str, size: int, every: int = 1, looks: int = 160) -> list[float]:
    """Return how strongly the first of each group is accused, at each look; it is 30 % slower or spends from half-way on, rows come every so many ticks."""
    n = GROUPS * size
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


def test_a_condition_is_heard_in_full_beside_three_peers_for_it_only_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    few = strengths("slower", "fan_speed_rpm", "node", 4)
    monkeypatch.setattr(horizons, "ENOUGH", 1)
    assert few == strengths("slower", "fan_speed_rpm", "node", 4)
    assert max(few) > 5
