"""Pathblame: all paths of a port cross its switch: which of the two it is, the paths of the switch's other ports tell."""

from __future__ import annotations

import numpy as np
import pytest

from grayscope.evidence import Finding
from grayscope.pathblame import PathBlame
from grayscope.roster import RosterRow, View
from grayscope.tick import Tick

PORTS, LEAVES = 16, 4
PAIRS = [(a, b) for a in range(PORTS) for b in range(PORTS) if a % LEAVES != b % LEAVES]
ROWS = [
    RosterRow(f"p{a}>p{b}", "path", keys={"source": f"p{a}", "target": f"p{b}"}, crosses=(f"p{a}", f"leaf{a % LEAVES}", f"leaf{b % LEAVES}", f"p{b}"))
    for a, b in PAIRS
]  # fmt: skip
VIEW = View(1, {r.subject: r for r in ROWS})
NAMES, METRIC = tuple(sorted(VIEW.rows)), "path_rtt_seconds"
TICK = Tick("path", 0, 1_000_000, VIEW, NAMES, (METRIC,), np.ones((1, len(NAMES)), np.float32), np.zeros(len(NAMES), bool))
PORT = Finding(0, "p4", "service", "mesh", 9.0, "slow_path", metric=METRIC, value=1.4, expected=1.0, why="receiving")


def blamed(excess: dict[str, float], told: dict[str, int]) -> list[str]:
    """Return whom a finding about a port of leaf0 accuses, where paths across some components are worse than expected by so many spreads."""
    left = np.array([[sum(size for name, size in excess.items() if name in VIEW.crosses(s)) for s in NAMES]], np.float32)
    return [f.subject for f in PathBlame(6.9).step([PORT], TICK, 1, frozenset({"service"}), left, told, False)]


@pytest.mark.parametrize("told", [{}, {"leaf0": 0}])
def test_where_the_switchs_other_ports_are_as_bad_it_is_the_switch_accused_or_not(told: dict[str, int]) -> None:
    assert blamed({"leaf0": 3.0}, told) == ["leaf0"]


@pytest.mark.parametrize("told", [{}, {"leaf0": 0}])
def test_where_they_are_well_it_is_the_port(told: dict[str, int]) -> None:
    assert blamed({"p4": 3.0}, told) == ["p4"]


def test_a_port_far_worse_than_the_others_of_a_bad_switch_is_its_own_trouble() -> None:
    assert blamed({"leaf0": 1.0, "p4": 2.0}, {}) == ["p4"]


def test_what_is_left_in_long_means_when_all_are_well_is_nobodys_but_the_accuseds() -> None:
    assert blamed({"leaf0": -1.0}, {"leaf0": 0}) == []
    assert blamed({"leaf0": -1.0}, {}) == ["p4"]


@pytest.mark.parametrize(("told", "owner"), [({}, "leaf0"), ({"p4": 0}, "p4"), ({"p4": 0, "leaf0": 0}, "leaf0")])
def test_a_port_that_told_of_itself_keeps_its_path_from_a_switch_that_only_its_paths_accuse(told: dict[str, int], owner: str) -> None:
    blame, service = PathBlame(6.9), frozenset({"service"})
    left = np.zeros((1, len(NAMES)), np.float32)
    slow = PORT._replace(subject="p4>p5", detector="became")
    found = blame.step([PORT._replace(subject="leaf0"), slow], TICK, 1, service, left, told, False)
    assert [f.subject for f in found if f.detector == "became"] == [owner]


def mesh(excess: dict[str, float], told: str = "spine0") -> list[str]:
    """Return whom a finding about leaf0 accuses, whose paths cross two of four spines, and those between other leaves all of them; one part told of itself."""
    pairs = [(a, b) for a in range(18) for b in range(18) if a % 6 != b % 6]
    ways = {
        f"p{a}>p{b}": (f"p{a}", f"leaf{a % 6}", f"spine{(a // 6 + b // 6) % 2 if 0 in (a % 6, b % 6) else (a + b + a // 6) % 4}", f"leaf{b % 6}", f"p{b}")
        for a, b in pairs
    }
    rows = {name: RosterRow(name, "path", keys={"source": way[0], "target": way[-1]}, crosses=way) for name, way in ways.items()}
    names = tuple(sorted(rows))
    tick = Tick("path", 0, 1_000_000, View(1, rows), names, (METRIC,), np.ones((1, len(names)), np.float32), np.zeros(len(names), bool))
    left = np.array([[max((size for name, size in excess.items() if name in rows[s].crosses), default=0.0) for s in names]], np.float32)
    found = PathBlame(6.9).step([PORT._replace(subject="leaf0")], tick, 1, frozenset({"service"}), left, {told: 0}, False)
    return [f.subject for f in found]


def test_two_bad_spines_share_out_a_leafs_paths_and_the_accused_one_takes_it() -> None:
    assert mesh({"spine0": 5.0, "spine1": 5.0}) == ["spine0"]
    assert mesh({"leaf0": 5.0}) == ["leaf0"]
    assert mesh({"leaf0": 12.0, "spine0": 5.0, "spine1": 5.0}) == ["leaf0"]
    assert mesh({f"spine{k}": 5.0 for k in range(4)}) == ["leaf0"]  # all paths are bad: none tells
    assert mesh({"spine0": 5.0, "spine1": 5.0, "p7": 5.5}, "p7") == ["leaf0"]  # one port with a handful of paths is not behind most
