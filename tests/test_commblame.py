"""Commblame: a slow ring points at the member that has something to tell, at its only machine, or at nobody."""

from __future__ import annotations

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest

from grayscope.blame import Blame
from grayscope.commblame import RECENT, Congestion, Waiting, congested, moved
from grayscope.evidence import Evidence, Finding
from grayscope.roster import Roster, RosterRow
from grayscope.tick import Tick

S = 1_000_000
RAIL, INSIDE = "comm:1-rail3", "comm:1-node0"
ROWS = [
    RosterRow(RAIL, "comm", keys={"job": "job:1"}, crosses=("n1/nic3", "n2/nic3", "leaf04")),
    RosterRow(INSIDE, "comm", keys={"job": "job:1", "node": "n1"}, crosses=("n1/gpu0", "n1/gpu1")),
    *(RosterRow(s, t, keys={"node": s.partition("/")[0]}) for s, t in (("n1/nic3", "nic"), ("n2/nic3", "nic"), ("n1/gpu0", "gpu"), ("n1/gpu1", "gpu"))),
    RosterRow("leaf04", "leaf"),
]
TICK = Tick("comm", 100 * S, 10 * S, Roster(ROWS).at(0), (INSIDE, RAIL), (), np.empty((0, 2), np.float32), np.zeros(2, bool))


def slow(subject: str, **more: str) -> Finding:
    return Finding(100 * S, subject, more.pop("side", "service"), "became", 9.0, metric="collective_transfer_seconds", why="slow", **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("place", ["n2/nic3", "leaf04"])
def test_the_member_that_told_something_is_it(place: str) -> None:
    found = moved(slow(RAIL), TICK, {place: 90 * S, "n7/nic3": 95 * S}, {})
    assert (found.subject, found.rivals) == (place, "")
    assert f"felt by {RAIL}" in found.why


def test_a_part_of_a_member_counts_and_several_share_the_suspicion() -> None:
    found = moved(slow(INSIDE), TICK, {"n1/gpu1/nvlink7": 90 * S, "n1/gpu0": 40 * S}, {})
    assert found.subject == "n1/gpu1/nvlink7"  # the latest first
    assert json.loads(found.rivals) == [["n1/gpu0", 0.5]]


def test_who_spends_a_reserve_comes_before_who_shows_a_symptom() -> None:
    told = {"n1/gpu1/nvlink7": 80 * S, "n1/gpu0": 90 * S}
    assert moved(slow(INSIDE), TICK, told, {}).subject == "n1/gpu0"
    found = moved(slow(INSIDE), TICK, told, {"n1/gpu1/nvlink7": 80 * S})
    assert (found.subject, json.loads(found.rivals)) == ("n1/gpu1/nvlink7", [["n1/gpu0", 0.5]])
    late = dataclasses.replace(TICK, time=100 * S + RECENT)
    assert moved(slow(INSIDE), late, told, {"n1/gpu1/nvlink7": 80 * S}).subject == "n1/gpu0"  # that was too long ago


def test_without_a_word_it_is_the_only_machine_or_stays() -> None:
    assert moved(slow(INSIDE), TICK, {}, {}).subject == "n1"
    assert moved(slow(RAIL), TICK, {"n7/nic3": 90 * S}, {}).subject == RAIL


def test_what_accuses_nobody_is_not_moved() -> None:
    assert moved(slow(RAIL, mode="group_shift"), TICK, {"n2/nic3": 90 * S}, {}).subject == RAIL
    assert moved(slow(RAIL, side="coverage"), TICK, {"n2/nic3": 90 * S}, {}).subject == RAIL


def test_congestion_explains_shared_network_but_no_part_that_told_something() -> None:
    assert congested(slow("leaf04"), TICK, {}).mode == "fabric_congestion"
    assert congested(slow(RAIL), TICK, {}).mode == "fabric_congestion"
    assert congested(slow("leaf04"), TICK, {"leaf04": 90 * S}).mode == ""
    assert congested(slow("n1/gpu0"), TICK, {}).mode == ""


def test_congestion_is_remembered_for_a_while() -> None:
    state = Congestion()

    def at(time: int) -> Tick:
        return dataclasses.replace(TICK, time=time)

    assert not state.explains(at(100 * S))
    state.hear([slow("n1/nic3")._replace(metric="marks")], {"marks": "fabric_congestion"}, 100 * S)
    assert state.explains(at(100 * S + RECENT))
    assert not state.explains(at(101 * S + RECENT))


def paths(minute: int) -> Tick:
    return dataclasses.replace(TICK, table="path", time=minute * 60 * S, period=60 * S)


def crowded(state: Congestion, minute: int, value: float = 3.0, strength: float = 20.0) -> str:
    """Return what the slowness of a switch's paths is called at a minute."""
    found = slow("leaf04")._replace(metric="path_rtt_seconds", value=value, expected=2.0, strength=strength)
    return state.called([found], paths(minute), {}, 7.0)[0].mode


def test_what_became_slow_under_congestion_is_congestion_as_long_as_it_goes_on() -> None:
    state = Congestion()
    state.hear([slow("n1/nic3")._replace(metric="marks")], {"marks": "fabric_congestion"}, 60 * S)
    assert {crowded(state, minute) for minute in range(1, 300, 20)} == {"fabric_congestion"}  # the marks were seen but once
    assert crowded(state, 290, value=5.0) == ""  # far more than it was under congestion
    assert crowded(state, 400) == ""  # another time


def over_it(state: Congestion, minute: int, value: float, since: int) -> str:
    """Return what the slowness of a path over the crowded switch is called at a minute, if it began in another."""
    found = slow(RAIL)._replace(metric="path_rtt_seconds", value=value, expected=2.0, since=since * 60 * S)
    return state.called([found], paths(minute), {}, 7.0)[0].mode


def test_what_a_path_keeps_of_its_crowded_switch_is_no_matter_of_its_own() -> None:
    state = Congestion()
    assert over_it(state, 1, 3.0, since=1) == ""  # slow before marks were seen
    state.hear([slow("n1/nic3")._replace(metric="marks")], {"marks": "fabric_congestion"}, 60 * S)
    assert crowded(state, 5) == "fabric_congestion"
    assert over_it(state, 36, 3.0, since=3) == "fabric_congestion"  # the marks have gone, its long mean has not
    assert over_it(state, 40, 9.0, since=3) == ""  # far more than the switch was
    fresh = Congestion()
    fresh.hear([slow("n1/nic3")._replace(metric="marks")], {"marks": "fabric_congestion"}, 60 * S)
    assert crowded(fresh, 5) == "fabric_congestion"
    assert over_it(fresh, 36, 2.5, since=30) == ""  # began when the switch was well again


@pytest.mark.parametrize(("shift", "mode", "heard"), [(5.0, "fabric_congestion", True), (3.0, "fabric_congestion", False), (50.0, "", False)])
def test_marks_that_rose_in_a_group_explain_before_they_are_worth_a_notice(shift: float, mode: str, heard: bool) -> None:
    state = Congestion()
    state.look(TICK, SimpleNamespace(metrics=(None, SimpleNamespace(mode=mode)), shift=np.array([[0.0, 0.0], [0.0, shift]])))  # type: ignore[arg-type]
    assert state.explains(TICK) is heard


def test_what_was_slow_before_the_congestion_is_not_congestion_for_long() -> None:
    state = Congestion()
    assert crowded(state, 1, strength=3.0) == ""  # too weak to say that it was slow
    assert crowded(state, 40) == ""
    state.hear([slow("n1/nic3")._replace(metric="marks")], {"marks": "fabric_congestion"}, 60 * 60 * S)
    assert [crowded(state, minute) for minute in (60, 90, 130)] == ["fabric_congestion"] * 2 + [""]


def test_a_communicator_waits_for_its_members_to_tell_something() -> None:
    waiting = Waiting()
    at = [dataclasses.replace(TICK, time=t * 10 * S) for t in range(1, 40)]
    said = [len(waiting.ready([slow(RAIL), slow("n1")], tick)) for tick in at]
    assert said == [1] * 9 + [2] * 30  # the machine at once, the communicator after a minute and a half
    assert Waiting().ready([slow(RAIL, side="coverage")], TICK)


def test_where_rows_are_rare_a_communicator_waits_for_a_few_looks() -> None:
    waiting = Waiting()
    at = [dataclasses.replace(TICK, time=t * 120 * S, period=120 * S) for t in range(1, 14)]
    assert [len(waiting.ready([slow(RAIL)], tick)) for tick in at] == [0] * 9 + [1] * 4


def comm_over(state: Congestion, minute: int, value: float, spine: str = "leaf04") -> tuple[bool, str]:
    """Return whether transfers along a rail, as much slower than 2 s, are its crowded switch's matter at a minute, and what they are called."""
    tick = dataclasses.replace(TICK, time=minute * 60 * S)
    found = slow(RAIL if spine == "leaf04" else INSIDE)._replace(value=value, expected=2.0)
    return state.crowded(found, tick), state.called([found], tick, {}, 7.0)[0].mode


def test_what_probes_tell_of_a_crowded_switch_explains_the_transfers_through_it() -> None:
    state = Congestion()
    assert comm_over(state, 4, 2.5) == (False, "")
    state.hear([slow("n1/nic3")._replace(metric="marks")], {"marks": "fabric_congestion"}, 60 * S)
    assert [crowded(state, minute) for minute in (5, 25)] == ["fabric_congestion"] * 2  # the marks have gone since
    assert comm_over(state, 40, 2.5) == (True, "fabric_congestion")
    assert comm_over(state, 40, 3.3) == (False, "")  # slower than the probes: a member that tells something is it
    assert comm_over(Congestion(), 40, 2.5) == (False, "")
    assert comm_over(state, 40, 2.5, "none")[0] is False  # does not cross it
    assert comm_over(state, 90, 2.5) == (False, "")  # the probes are well again


@pytest.mark.parametrize("restored", [False, True])
@pytest.mark.parametrize(("worn", "accused"), [(50, "n2/nic3"), (600, "n2/nic3"), (3000, RAIL)])
def test_a_member_whose_trouble_began_long_after_the_communicator_was_slow_is_not_it(worn: int, accused: str, restored: bool) -> None:
    blame, found = Blame(), list[str]()
    for time in range(100, 3600, 10):
        if restored and time % 500 == 0:
            state, blame = blame.snapshot(), Blame()
            blame.restore(state)
        here = dataclasses.replace(TICK, time=time * S)
        if time >= 3300:  # told at last, and since when
            blame.step(Evidence([slow("n2/nic3", side="redundancy")._replace(time=time * S, since=worn * S)]), dataclasses.replace(here, table="nic"))
        found += [f.subject for f in blame.step(Evidence([slow(RAIL)._replace(time=time * S)]), here)]
    assert (found[0], found[-1]) == (RAIL, accused)
