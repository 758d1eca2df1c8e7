"""Ownreason: two machines that lost a supply each are two faults; what nothing explains stays a population."""

from __future__ import annotations

import time

import numpy as np
import pytest

from grayscope.blame import TOLD, Blame
from grayscope.evidence import Crowd, Evidence, Finding
from grayscope.ownreason import Reasons
from grayscope.roster import RosterRow, View
from grayscope.tick import Tick

NODES, GPUS = 7, 8
ROWS = [RosterRow(f"n{n}", "node", keys={"node": f"n{n}"}) for n in range(NODES)]
ROWS += [RosterRow(f"n{n}/gpu{g}", "gpu", keys={"node": f"n{n}", "job": "job:1"}) for n in range(NODES) for g in range(GPUS)]
VIEW = View(1, {r.subject: r for r in ROWS})


def tick(table: str, time: int = 10) -> Tick:
    names = VIEW.tables[table]
    return Tick(table, time, 10, VIEW, names, (), np.empty((0, len(names)), np.float32), np.zeros(len(names), bool))


def braked(node: int, side: str = "condition", mode: str = "power_cap") -> list[Finding]:
    return [Finding(10, f"n{node}/gpu{g}", side, "slower", 60.0, mode, "clock_throttle", "m", 9.0, 0.0, NODES * GPUS - 1, why="braked") for g in range(GPUS)]


def lost(node: int, mode: str = "power_cap") -> Finding:
    return Finding(10, f"n{node}", "redundancy", "ledger", 50.0, mode, "psu", why="a supply is gone")


def crowd(members: list[Finding]) -> Crowd:
    return Crowd(Finding(10, "job:1", members[0].side, "slower", 60.0, "group_shift", metric="m", why="two populations"), tuple(members))


def said(members: list[Finding], *reasons: Finding, later: int = 0) -> tuple[list[str], list[int]]:
    """Return who is accused, and how many are left in crowds."""
    known, some = Reasons(), crowd(members)
    known.hear(reasons, 10, 6.9, TOLD)
    known.hear([], 10 + later, 6.9, TOLD)
    found, crowds = known.split([some.finding], [some], tick("gpu"))
    return sorted({f.subject.partition("/")[0] for f in found}), [len(c.members) for c in crowds]


def test_two_machines_that_each_lost_a_supply_are_two_faults() -> None:
    assert said([*braked(1), *braked(4)], lost(1), lost(4)) == (["n1", "n4"], [])


def test_one_that_lost_a_supply_leaves_the_other_alone_and_no_crowd() -> None:
    assert said([*braked(1), *braked(4)], lost(1)) == (["n1", "n4"], [])


def test_those_without_a_reason_may_still_be_a_crowd() -> None:
    assert said([*braked(1), *braked(4), *braked(5)], lost(1)) == (["job:1", "n1"], [2 * GPUS])


@pytest.mark.parametrize(
    ("members", "reasons", "later"),
    [
        ([*braked(1), *braked(4)], [], 0),
        ([*braked(1), *braked(4)], [lost(2), lost(3)], 0),
        ([*braked(1), *braked(4)], [lost(1, "disk_redundancy"), lost(4, "disk_redundancy")], 0),
        ([*braked(1), *braked(4)], [lost(1)._replace(strength=2.0), lost(4)._replace(side="condition")], 0),
        ([*braked(1), *braked(4)], [lost(1), lost(4)], TOLD + 1),
        ([*braked(1, "service", "slow_rank"), *braked(4, "service", "slow_rank")], [lost(1), lost(4)], 0),  # that only a spare is lost slows nobody
    ],
)  # fmt: skip
def test_what_nothing_explains_stays_a_population(members: list[Finding], reasons: list[Finding], later: int) -> None:
    assert said(members, *reasons, later=later) == (["job:1"], [2 * GPUS])


def test_a_fan_explains_the_heat_that_it_brings() -> None:
    hot = [*braked(1, mode="thermal_throttle"), *braked(4, mode="thermal_throttle")]
    assert said(hot, lost(1, "fan_degraded"), lost(4, "fan_degraded")) == (["n1", "n4"], [])


def test_of_what_is_slow_on_one_machine_its_heat_tells_that_it_is_that_one() -> None:
    slow, hot = braked(1, "service", "slow_rank"), braked(1, mode="thermal_throttle")
    assert said(slow, *hot) == (["n1"], [])
    assert said(slow, *hot, later=TOLD + 1) == (["job:1"], [GPUS])
    assert said(slow, *hot[:5]) == (["job:1"], [GPUS])
    assert said(slow, lost(1, "fan_degraded")) == (["job:1"], [GPUS])  # what is spare slows nobody
    assert said(slow, *braked(2, mode="thermal_throttle")) == (["job:1"], [GPUS])
    assert said([*slow, *braked(4, "service", "slow_rank")], *hot) == (["job:1"], [2 * GPUS])
    first, second = Blame(), Blame()
    first.step(Evidence(hot), tick("gpu"))
    second.restore(first.snapshot())
    for blame in (first, second):
        found = blame.step(Evidence([crowd(slow).finding], crowds=[crowd(slow)]), tick("gpu"))
        assert sorted((f.subject, f.mode) for f in found) == [("n1", "slow_rank")]


def test_blame_names_each_machine_also_after_a_pause() -> None:
    first, second = Blame(), Blame()
    first.step(Evidence([lost(1), lost(4)]), tick("node"))
    second.restore(first.snapshot())
    some = crowd([*braked(1), *braked(4)])
    for blame in (first, second):
        found = blame.step(Evidence([some.finding], crowds=[some]), tick("gpu"))
        assert sorted((f.subject, f.mode) for f in found) == [("n1", "power_cap"), ("n4", "power_cap")]


def test_what_was_said_of_the_crowd_goes_though_other_rows_of_the_tick_hold_numbers_of_numpy() -> None:
    blame, some = Blame(), crowd([*braked(1), *braked(4)])
    blame.step(Evidence([lost(1), lost(4)]), tick("node"))
    other = Finding(10, "n2/gpu0", "condition", "became", np.float64(5.0), metric="other")
    found = blame.step(Evidence([some.finding, other], crowds=[some]), tick("gpu"))  # all rows are written anew
    assert sorted(f.subject for f in found) == ["n1", "n2/gpu0", "n4"]


@pytest.mark.parametrize("machines", [(1, 4), (1, 4, 5)])
def test_members_of_a_crowd_that_is_not_sure_are_accused_once(machines: tuple[int, ...]) -> None:
    known, members = Reasons(), [f for n in machines for f in braked(n)]
    known.hear([lost(1)], 10, 6.9, TOLD)
    found, _ = known.split(members, [crowd(members)._replace(sure=False)], tick("gpu"))
    assert found == members


def test_what_stands_out_only_together_with_those_that_have_a_reason_is_not_accused_by_itself() -> None:
    known, weak = Reasons(), frozenset(f.subject for n in (1, 4) for f in braked(n))
    known.hear([lost(1)], 10, 6.9, TOLD)
    some = crowd([*braked(1), *braked(4)])._replace(weak=weak)
    assert known.split([some.finding], [some], tick("gpu")) == (braked(1), [])


def test_a_crowd_of_thousands_is_gone_through_once() -> None:
    known, members = Reasons(), [f._replace(subject=f"{f.subject}-{n}") for n in range(1000) for f in (*braked(1), *braked(4))]
    known.hear([lost(1)], 10, 6.9, TOLD)
    began = time.process_time()
    assert len(known.split([], [crowd(members)], tick("gpu"))[0]) == len(members)
    slow = [f._replace(subject=f"n1/gpu{n}") for n in range(16_000) for f in braked(1, "service", "slow_rank")[:1]]
    assert known.split([], [crowd(slow)], tick("gpu")) == ([], [crowd(slow)])
    assert time.process_time() - began < 1.5
