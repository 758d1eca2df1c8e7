"""Cascade: what belongs together, who is the root, and that neighbours with troubles of their own stay apart."""

from __future__ import annotations

import pytest

from grayscope.cascade import Member, another, belongs, effects, related
from grayscope.modes import Modes
from grayscope.suspects import lead, suspects


def member(subject: str, mode: str, state: str = "masked", side: str = "redundancy") -> Member:
    return Member(subject, state, "page" if state == "gray" else "ticket", mode, side, 9.0, 0, "")


FAN, HOT = member("n1", "fan_degraded", side="condition"), member("n1/gpu3", "thermal_throttle", side="condition")
LATE = member("n1/gpu3", "slow_rank", "gray", "service")


def test_effects_are_transitive_and_no_mode_brings_about_itself() -> None:
    assert {"thermal_throttle", "slow_rank"} <= effects("fan_degraded")
    assert all(name not in effects(name) for name in Modes.load().modes)


@pytest.mark.parametrize(
    ("a", "b", "one"),
    [
        (FAN, HOT, True), (FAN, LATE, True),
        (member("n1/gpu3/pcie", "pcie_width"), LATE, True),
        (member("n1", "disk_redundancy"), LATE, False),  # a lost disk makes no GPU late
        (HOT, member("n1/gpu4", "thermal_throttle", side="condition"), True),  # heat spreads
        (member("n1/task0", "slow_component", "gray", "service"), member("n1/task1", "slow_component", "gray", "service"), True),
        (member("n1/nvme0", "slow_drive", "gray", "service"), member("n1/nvme1", "slow_drive", "gray", "service"), False),
        (member("n1/gpu3", "hbm_row_spares"), member("n1/gpu4", "hbm_row_spares"), False),  # worn rows do not
        (member("n1/gpu3/pcie", "pcie_errors"), member("n1/gpu4/pcie", "pcie_errors"), False),
        (FAN, member("n2/gpu3", "thermal_throttle", side="condition"), False),
        (member("n1/gpu1/nvlink4", "nvlink_errors"), member("n1", "slow_rank", "gray", "service"), True),
        (member("leaf01", "switch_fault"), member("leaf02", "switch_fault"), False),
        (member("n1", ""), member("n1/gpu3/pcie", "pcie_width"), False),  # a lost spare is a cause by itself, named or not
        (member("n1", "", "gray", "service"), member("n1/gpu3/pcie", "pcie_width"), True),
        (member("n1", "power_cap"), LATE, False),  # only a spare is lost
        (member("n1", "power_cap", side="condition"), LATE, True),
        (member("n1", "power_cap"), member("n1/gpu3", "power_cap", side="condition"), True),
        (member("n1", "power_cap"), member("n1", "slow_rank", "gray", "service"), False),  # one subject is one member
    ],
)  # fmt: skip
def test_one_fault_or_two(a: Member, b: Member, one: bool) -> None:
    assert related(a, b) is related(b, a) is one


def test_the_root_leads_whoever_came_first() -> None:
    members = {m.subject: m for m in (FAN, LATE)}
    assert lead(members, LATE.subject).subject == "n1"
    wire = member("n1/gpu1/nvlink4", "nvlink_errors")
    whole = member("n1", "slow_rank", "gray", "service")
    assert lead({m.subject: m for m in (wire, whole)}, "n1").subject == wire.subject


def test_without_a_root_the_gravest_leads_and_equals_change_no_place() -> None:
    a, b = member("n1/gpu1", "slow_rank", "masked", "service"), member("n1/gpu2", "slow_rank", "gray", "service")
    assert lead({m.subject: m for m in (a, b)}, "n1/gpu1").subject == "n1/gpu2"
    b = b._replace(state="masked")
    assert [lead({m.subject: m for m in (a, b)}, first).subject for first in ("n1/gpu1", "n1/gpu2")] == ["n1/gpu1", "n1/gpu2"]


def test_probabilities_add_up_and_what_is_explained_is_unlikely() -> None:
    other = member("n1/gpu5", "ecc_burst")
    first, rivals = suspects({m.subject: m for m in (FAN, HOT, other)}, FAN)
    assert first + sum(p for _, p in rivals) == pytest.approx(1.0)
    assert [s for s, _ in rivals] == ["n1/gpu5", "n1/gpu3"]


def hot(gpu: int) -> Member:
    return Member(f"n1/gpu{gpu}", "masked", "ticket", "thermal_throttle", "condition", 9.0 + gpu, 0, "hot")


def test_heat_that_parts_of_a_machine_share_is_the_machines() -> None:
    two = {m.subject: m for m in map(hot, range(2))}
    three = {m.subject: m for m in map(hot, range(3))}
    assert lead(two, "").subject == "n1/gpu1"
    first = lead(three, "n1/gpu0")
    assert (first.subject, first.mode) == ("n1", "thermal_throttle")
    chance, rivals = suspects(three, first)
    assert abs(chance + sum(p for _, p in rivals) - 1) < 1e-9
    assert len(rivals) == 3


def late(gpu: int, second: int, mode: str = "slow_rank") -> Member:
    return Member(f"n1/gpu{gpu}", "gray", "page", mode, "service", 9.0 + gpu, second * 1_000_000, "late")


def test_parts_of_a_machine_that_are_slow_from_one_moment_on_are_one_matter() -> None:
    assert related(late(1, 100), late(5, 130))
    assert not related(late(1, 100), late(5, 400))  # two GPUs minutes apart are two
    assert not related(late(1, 100), late(5, 100)._replace(subject="n2/gpu5"))
    assert not related(late(1, 100, "slow_drive"), late(5, 100, "slow_drive"))


def test_three_that_are_slow_from_one_moment_on_are_the_machines_matter() -> None:
    members = {m.subject: m for m in (late(1, 100), late(5, 130), late(6, 400))}
    assert lead(members, "").subject == "n1/gpu6"
    members["n1/gpu6"] = late(6, 120)
    assert lead(members, "n1/gpu1").subject == "n1"
    members["n1"] = member("n1", "power_cap", side="condition")
    assert (lead(members, "n1/gpu1").subject, lead(members, "n1/gpu1").mode) == ("n1", "power_cap")


def test_a_second_slow_part_is_no_matter_of_the_first_whose_slowness_has_a_reason() -> None:
    lanes = Member("n1/gpu1/pcie", "masked", "ticket", "pcie_width", "redundancy", 9.0, 0, "")
    explained = {m.subject: m for m in (lanes, late(1, 100))}
    assert not belongs(late(5, 110), explained)
    assert belongs(late(5, 110)._replace(rivals=(("n1/gpu1", 0.4),)), explained)  # the evidence itself could not tell them apart
    assert belongs(late(5, 110), {"n1/gpu1": late(1, 100)})
    assert belongs(late(5, 110), explained | {"n1/gpu6": late(6, 120)})
    brake = member("n1", "power_cap", side="condition")
    assert belongs(late(5, 110), {"n1": brake, "n1/gpu1": late(1, 100)})  # both are the machine's doing


def test_ranks_of_a_job_share_no_machine() -> None:
    names = [f"job:7/r{k}" for k in (1, 5, 6)]
    rivals = tuple((name, 0.3) for name in names[1:])  # the evidence itself could not tell them apart
    members = {name: late(k, 100)._replace(subject=name, rivals=rivals if k == 2 else ()) for k, name in enumerate(names)}
    assert lead(members, "").subject in names


def test_what_has_no_name_leads_nothing_that_has_one() -> None:
    link = Member("n1/gpu3/pcie", "masked", "ticket", "pcie_errors", "redundancy", 9.0, 0, "")
    gone = Member("n1/gpu3", "failed", "ticket", "", "health", 50.0, 0, "")
    assert lead({m.subject: m for m in (link, gone)}, "n1/gpu3").subject == "n1/gpu3/pcie"
    assert lead({"n1/gpu3": gone}, "").subject == "n1/gpu3"


def test_a_probe_that_is_only_slow_still_joins_what_is_explained() -> None:
    slow = Member("n1", "gray", "page", "slow_component", "service", 9.0, 0, "")
    links = Member("n1/gpu3", "masked", "ticket", "nvlink_degrade", "redundancy", 9.0, 0, "")
    probe = Member("n1/nic0", "masked", "ticket", "slow_path", "service", 9.0, 0, "")
    spent = probe._replace(mode="nic_errors", side="redundancy")
    members = {m.subject: m for m in (slow, links)}
    assert belongs(probe, members)
    assert not belongs(spent, members)


def test_who_meets_another_fate_leaves_and_who_only_grows_worse_stays() -> None:
    gone = HOT._replace(mode="gpu_lost", side="health", state="failed")
    assert another(gone, {"n1": FAN, "n1/gpu3": HOT})
    assert not another(gone, {"n1": FAN._replace(state="normal"), "n1/gpu3": HOT})  # nothing else stands
    assert not another(gone, {"n1": FAN, "n1/gpu3": HOT, "n1/gpu3/pcie": member("n1/gpu3/pcie", "pcie_errors")})
    assert not another(gone, {"n1": FAN, "n1/gpu3": HOT._replace(mode="")})
    assert not another(HOT._replace(state="gray", side="service"), {"n1": FAN, "n1/gpu3": HOT})
    assert another(LATE._replace(mode="ecc_burst", side="redundancy"), {"n1": FAN, "n1/gpu3": LATE})  # what makes it late is its own
    assert not another(LATE._replace(mode="ecc_burst"), {"n1": FAN, "n1/gpu3": LATE})


def test_what_the_first_suspect_lies_in_is_no_rival_to_it() -> None:
    link, gpu = member("n1/gpu3/nvlink4", "nvlink_errors"), member("n1/gpu3", "nvlink_errors")
    assert suspects({m.subject: m for m in (link, gpu, LATE._replace(subject="n1"))}, link) == (1.0, ())
    other = member("n1/gpu3", "hbm_row_spares")
    assert [s for s, _ in suspects({m.subject: m for m in (link, other)}, link)[1]] == ["n1/gpu3"]


def test_a_machine_that_is_braked_stays_apart_from_a_slow_part_that_has_its_own_cause() -> None:
    braked = member("n1", "power_cap", "gray", "service")
    lanes = member("n1/gpu3/pcie", "pcie_width")
    assert belongs(braked, {LATE.subject: LATE})
    assert not belongs(braked, {m.subject: m for m in (LATE, lanes)})
    assert belongs(braked._replace(mode="slow_rank"), {m.subject: m for m in (LATE, lanes)})  # only slow: that may be the link's doing


def test_who_was_first_before_is_unlikely_and_named_once() -> None:
    first = member("n1/gpu4", "thermal_throttle")._replace(rivals=(("n1/gpu6", 0.25),))
    chance, rivals = suspects({first.subject: first}, first, ["n1/gpu6", "n1/gpu4", "n1", "n1/gpu4/pcie", "n1/gpu5"])
    assert (chance, dict(rivals)) == (0.6, {"n1/gpu6": 0.2, "n1/gpu5": 0.2})
