"""Together: members of a leaf, a rail or a lot are one matter when more of them stand out than chance would bring."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from grayscope.evidence import Crowd, Finding
from grayscope.fisher import log_tail
from grayscope.roster import RosterRow, View
from grayscope.tick import Tick
from grayscope.together import PATIENCE, VALID, Together, members

#: 32 nodes with 4 NICs each: rail by slot, a leaf for each rail and block of 8 nodes, two lots dealt over all.
NICS = [
    RosterRow(f"n{n:02}/nic{s}", "nic", keys={"leaf": f"leaf{n // 8 * 4 + s}", "rail": f"{s}", "lot": f"lot{(2 * n + s) % 5}"})
    for n in range(32) for s in range(4)
]  # fmt: skip
VIEW = View(1, {r.subject: r for r in NICS})
SUBJECTS = tuple(sorted(VIEW.rows))


def tick(time: int = 10) -> Tick:
    return Tick("nic", time, 10, VIEW, SUBJECTS, (), np.empty((0, len(SUBJECTS)), np.float32), np.zeros(len(SUBJECTS), bool))


def finding(subject: str, side: str = "service", mode: str = "slow_component", strength: float = 8.0) -> Finding:
    return Finding(10, subject, side, "slower", strength, mode, metric="m", why=f"{subject} is slow")


def told(together: Together, subjects: list[str], now: int = 1, side: str = "service", mode: str = "slow_component") -> list[Finding]:
    return list(together.step([finding(s, side, mode) for s in subjects], tick(), now))


def test_five_of_the_eight_under_one_leaf_are_the_leafs_matter() -> None:
    found = told(Together(), [f"n{n:02d}/nic2" for n in (8, 9, 11, 12, 15)] + ["n30/nic0"])
    assert sorted(f.subject for f in found) == ["leaf6", "n30/nic0"]
    leaf = next(f for f in found if f.subject == "leaf6")
    assert leaf.mode == "switch_fault"
    assert leaf.why.startswith("5 of its 8 nodes stood out alike, first n08/nic2")


def test_a_rail_over_all_leaves_is_the_rail() -> None:
    assert [f.subject for f in told(Together(), [f"n{n:02d}/nic1" for n in range(0, 32, 3)])] == ["rail:1"]


def test_a_lot_that_fails_by_its_counters_is_a_batch() -> None:
    lot = [r.subject for r in NICS if r.keys["lot"] == "lot3"][::2]
    found = told(Together(), lot, side="redundancy", mode="nic_errors")
    assert [(f.subject, f.mode) for f in found] == [("batch:lot=lot3", "batch_defect")]


@pytest.mark.parametrize("seed", range(10))
def test_scattered_members_and_all_nics_of_two_nodes_stay_their_own(seed: int) -> None:
    some = sorted(np.random.default_rng(seed).choice(SUBJECTS, 10, replace=False).tolist())
    assert [f.subject for f in told(Together(), some)] == some
    nodes = [f"n{n:02d}/nic{s}" for n in (3, 20) for s in range(4)]
    assert [f.subject for f in told(Together(), nodes)] == nodes


def test_members_count_for_a_while_and_then_no_more() -> None:
    one_by_one = [f"n{n:02d}/nic2" for n in (8, 9, 10, 11, 12)]
    together = Together()
    assert [[f.subject for f in told(together, [s], now)] for now, s in enumerate(one_by_one)][-1] == ["leaf6"]
    assert [f.subject for f in told(together, ["n13/nic2"], 10 + VALID)] == ["n13/nic2"]
    assert list(together.seen.values()) == [{"n13/nic2": 10 + VALID}]


def test_look_alikes_and_coverage_are_not_gathered() -> None:
    leaf = [f"n{n:02d}/nic2" for n in range(8, 16)]
    assert [f.subject for f in told(Together(), leaf, mode="fabric_congestion")] == leaf
    assert [f.subject for f in told(Together(), leaf, side="coverage")] == leaf


def test_how_healthy_parts_differ_makes_no_group_of_the_one_that_is_ill() -> None:
    lot = [r.subject for r in NICS if r.keys["lot"] == "lot3"][::2]
    low = [finding(s, "condition")._replace(value=0.97 if i else 0.78, expected=1.0) for i, s in enumerate(lot)]
    assert [f.subject for f in Together().step(low, tick(), 1)] == lot
    assert [f.subject for f in Together().step([f._replace(value=0.78) for f in low], tick(), 1)] == ["batch:lot=lot3"]


def test_a_pause_changes_nothing() -> None:
    first, second = Together(), Together()
    told(first, [f"n{n:02d}/nic2" for n in (8, 9, 10, 11)], 1)
    second.restore(first.snapshot())
    assert [f.subject for f in told(second, ["n12/nic2"], 2)] == ["leaf6"]


def crowd(subjects: list[str], sure: bool = True) -> Crowd:
    return Crowd(finding("batch:sku=A", mode="group_shift")._replace(detector="became"), tuple(finding(s) for s in subjects), sure)


def heard(together: Together, some: Crowd, now: int, more: tuple[Finding, ...] = (), congested: bool = False) -> list[str]:
    told = [some.finding, *more] if some.sure else list(more)
    return [f.subject for f in together.step(told, tick(), now, [some], congested)]


def test_a_crowd_under_one_leaf_is_the_leafs_unless_the_network_is_overloaded() -> None:
    leaf = crowd([f"n{n:02d}/nic2" for n in range(8, 12)])
    assert heard(Together(), leaf, 1) == ["leaf6"]
    assert heard(Together(), leaf._replace(sure=False), 1) == ["leaf6"]
    assert heard(Together(), leaf, 1, congested=True) == []


def test_the_only_group_that_says_so_is_the_leafs_rival() -> None:
    together, some = Together(), crowd([f"n{n:02d}/nic2" for n in range(8, 12)])
    other = some._replace(finding=finding("batch:sku=B", mode="group_shift"))
    assert [json.loads(f.rivals) for f in together.step([], tick(), 1, [some])] == [[["batch:sku=A", 0.25]]]
    assert [f.rivals for f in together.step([], tick(), 2, [some, other])] == [""]


def test_what_has_always_been_so_in_one_group_alone_is_the_way_of_its_work() -> None:
    some = crowd([f"n{n:02d}/nic2" for n in range(8, 12)])
    ever = some._replace(finding=some.finding._replace(detector="slower"))
    together = Together()
    assert [heard(together, ever, now) for now in (1, 1 + PATIENCE)] == [[], ["batch:sku=A"]]
    other = ever._replace(finding=ever.finding._replace(subject="batch:sku=B"))
    assert [f.subject for f in Together().step([ever.finding, other.finding], tick(), 1, [ever, other])] == ["leaf6"]


def test_another_crowd_waits_before_it_is_told_and_its_members_are_not_accused() -> None:
    together, some = Together(), crowd([f"n{n:02d}/nic{n % 4}" for n in (1, 6, 12, 19, 23, 28)])
    one, other = finding("n06/nic2"), finding("n31/nic0")
    assert heard(together, some, 1, (one, other)) == ["n31/nic0"]
    second = Together()
    second.restore(together.snapshot())
    assert heard(second, some, 1 + PATIENCE, (one, other)) == ["batch:sku=A", "n31/nic0"]
    assert [f.subject for f in second.step([one], tick(), 2 + PATIENCE + VALID)] == ["n06/nic2"]


def test_a_crowd_of_two_machines_accuses_and_hides_nobody() -> None:
    some = crowd([f"n{n:02d}/nic{s}" for n in (3, 20) for s in range(4)], sure=False)
    assert heard(Together(), some, 1) == []
    assert heard(Together(), some, 1, (finding("n03/nic0"),)) == ["n03/nic0"]


def test_who_lies_in_a_group_is_known_by_its_name() -> None:
    assert {s for s, here in zip(SUBJECTS, members("leaf6", tick()), strict=True) if here} == {f"n{n:02d}/nic2" for n in range(8, 16)}
    assert members("batch:lot=lot3", tick()).sum() == sum(r.keys["lot"] == "lot3" for r in NICS)
    assert not members("n03", tick()).any()


def test_the_tail_is_fishers() -> None:
    assert math.exp(log_tail(3, 3, 3, 6)) == pytest.approx(1 / 20)
    assert math.exp(log_tail(1, 3, 3, 6)) == pytest.approx(19 / 20)
