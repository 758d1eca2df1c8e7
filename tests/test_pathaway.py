"""Pathaway: what an accused component explains of its paths accuses no other; what it does not explain still does."""

from __future__ import annotations

import random

import numpy as np
import pytest

from grayscope.evidence import Finding
from grayscope.pathaway import Away
from grayscope.pathblame import PathBlame
from grayscope.pathsolve import Incidence
from grayscope.roster import RosterRow, View
from grayscope.tick import Tick

PORTS, LEAVES, SPINES, METRIC = 24, 6, 4, "path_rtt_seconds"


def way(a: int, k: int) -> tuple[str, ...]:
    """Return what a port's path to the port `k` further crosses: of leaf0's, two of three cross spine0, of its port p6 one of three."""
    b = (a + k) % PORTS
    spine = (a + k + a // LEAVES) % SPINES
    if 0 in (a % LEAVES, b % LEAVES):
        spine = 0 if k < (2 if 6 in (a, b) else 3) else 1 + (a + a // LEAVES) % (SPINES - 1)
    return f"p{a}", f"leaf{a % LEAVES}", f"spine{spine}", f"leaf{b % LEAVES}", f"p{b}"


WAYS = [way(a, k) for a in range(PORTS) for k in (1, 2, 3)]
ROWS = {f"{w[0]}>{w[-1]}": RosterRow(f"{w[0]}>{w[-1]}", "path", keys={"source": w[0], "target": w[-1]}, crosses=w) for w in WAYS}
VIEW, NAMES = View(1, ROWS), tuple(sorted(ROWS))
TICK = Tick("path", 0, 1_000_000, VIEW, NAMES, (METRIC,), np.ones((1, len(NAMES)), np.float32), np.zeros(len(NAMES), bool))
PORT = Finding(0, "p0", "service", "mesh", 9.0, "slow_path", metric=METRIC, value=1.4, expected=1.0, why="receiving")
SPINE, LEAF = PORT._replace(subject="spine0", strength=20.0), PORT._replace(subject="leaf0", strength=8.0)


def excess(**sizes: float) -> np.ndarray:
    """Return by how many spreads each path is worse where some components add so much to theirs."""
    noise = np.random.default_rng(5).normal(0, 0.05, len(NAMES))
    return (noise + [sum(size for c, size in sizes.items() if c in VIEW.crosses(s)) for s in NAMES])[None].astype(np.float32)


def step(blame: PathBlame, now: int, left: np.ndarray, *findings: Finding, told: tuple[str, ...] = ()) -> list[str]:
    return [f.subject for f in blame.step(list(findings), TICK, now, frozenset({"service"}), left, dict.fromkeys(told, 0), False)]


def test_a_leaf_does_not_stand_in_for_the_accused_spine_behind_it() -> None:
    bad, blame = excess(spine0=5.0), PathBlame(6.9)
    assert step(blame, 1, bad, PORT, told=("spine0",)) == ["spine0"]
    assert step(PathBlame(6.9), 1, bad, PORT) == ["leaf0"]  # nothing else is known: all paths cross it, and others are as bad


def test_neither_does_it_in_the_tick_in_which_the_spine_is_accused_in_whatever_order() -> None:
    for found in ((PORT, SPINE), (SPINE, PORT)):
        assert step(PathBlame(6.9), 1, excess(spine0=5.0), *found) == ["spine0", "spine0"]


def test_a_leaf_accused_before_its_spine_is_accused_no_longer() -> None:
    blame, bad = PathBlame(6.9), excess(spine0=5.0)
    step(blame, 1, bad, PORT)
    assert set(blame.ends["path"]) == {"leaf0"}
    assert step(blame, 2, bad, PORT, SPINE) == ["spine0", "spine0"]
    assert set(blame.ends["path"]) == {"spine0"}


def test_two_accused_spines_explain_a_port_together() -> None:
    bad = excess(spine0=5.0, spine1=5.0, spine2=5.0)
    assert step(PathBlame(6.9), 1, bad, PORT, told=("spine0", "spine1", "spine2"))[0].startswith("spine")


@pytest.mark.parametrize("port", ["p0", "p6"])
def test_what_the_accused_spine_does_not_explain_is_the_ports_or_the_leafs(port: str) -> None:
    for bad in (port, "leaf0"):
        assert step(PathBlame(6.9), 1, excess(**{"spine0": 5.0, bad: 6.0}), PORT._replace(subject=port), told=("spine0",)) == [bad]


def test_a_leaf_as_bad_as_the_accused_spine_is_found_by_its_other_paths() -> None:
    assert step(PathBlame(6.9), 1, excess(spine0=4.0, leaf0=5.0), LEAF, told=("spine0",)) == ["leaf0"]
    assert step(PathBlame(6.9), 1, excess(spine0=5.0), LEAF, told=("spine0",)) == ["spine0"]


def test_a_slow_sender_is_not_explained_by_a_worse_end_that_is_on_two_of_its_paths() -> None:
    names = [f"n{i}" for i in range(10)]
    rows = {f"{a}>{b}": RosterRow(f"{a}>{b}", "path", keys={"source": a, "target": b}, crosses=(a, b)) for a in names for b in names if a != b}
    tick = Tick("path", 0, 1_000_000, View(1, rows), tuple(rows), (METRIC,), np.ones((1, len(rows)), np.float32), np.zeros(len(rows), bool))
    left = np.array([[6.0 * ("n9" in r.crosses) + 1.5 * (r.keys["source"] == "n3") for r in rows.values()]], np.float32)
    sender = PORT._replace(subject="n3", why="sending over its paths")
    (found,) = PathBlame(6.9).step([sender], tick, 1, frozenset({"service"}), left, {"n9": 0}, False)
    assert (found.subject, found.why) == ("n3", "sending over its paths")


def test_what_explains_nothing_takes_nothing_from_others() -> None:
    assert step(PathBlame(6.9), 1, excess(leaf0=5.0), PORT, told=("spine0", "p1")) == ["leaf0"]
    assert step(PathBlame(6.9), 1, excess(leaf0=5.0), SPINE, told=("leaf0",)) == ["leaf0"]


def test_the_weight_of_a_component_is_what_nearly_all_of_its_paths_have_in_common() -> None:
    away = Away(TICK, Incidence([VIEW.crosses(s) for s in NAMES]), excess(spine0=5.0))
    assert away.weight(SPINE) > 50
    assert away.weight(LEAF) < 10
    assert away.weight(SPINE._replace(metric="unknown")) == away.weight(SPINE._replace(side="condition")) == 0


def test_each_accused_one_is_weighed_once_and_what_no_path_crosses_never(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, of = list[str](), Incidence.of

    def noted(self: Incidence, name: str) -> frozenset[int]:
        asked.append(name)
        return of(self, name)

    monkeypatch.setattr(Incidence, "of", noted)
    ports = [PORT._replace(subject=f"p{k}") for k in range(PORTS)]

    def asks(*told: str) -> int:
        asked.clear()
        step(PathBlame(6.9), 1, excess(spine0=5.0), *ports, told=("spine0", *told))
        return len(asked)

    alone = asks()
    assert asks(*(f"n{k}/gpu0" for k in range(1000))) == alone
    assert asks(*(f"p{k}" for k in range(PORTS))) < 60 * PORTS  # a few for each component on a port's paths, not for all that are accused


def test_the_order_in_which_components_are_accused_in_a_tick_says_nothing() -> None:
    components = sorted({c for w in WAYS for c in w})
    for seed in range(60):
        draw = random.Random(seed)
        bad = excess(**{c: draw.choice([2.0, 4.0, 6.0]) for c in draw.sample(components, 3)})
        found = [PORT._replace(subject=c, strength=draw.choice([8.0, 20.0])) for c in draw.sample(components, 7)]
        first, second = PathBlame(6.9), PathBlame(6.9)
        assert sorted(step(first, 1, bad, *found)) == sorted(step(second, 1, bad, *draw.sample(found, 7)))
        assert set(first.ends["path"]) == set(second.ends["path"])
