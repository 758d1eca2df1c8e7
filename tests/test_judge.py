"""Judge: which evidence makes which state, how it is kept, and how it ends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from grayscope.evidence import NOTHING, Evidence, Finding
from grayscope.judge import ASKS, ASLEEP, CALM, EASED, SLACK, Judge
from grayscope.quadrants import state_of
from grayscope.roster import View
from grayscope.tick import Tick
from grayscope.tracks import HOLD
from grayscope.verdict import Verdict

S = 1_000_000
ENTER = Judge(1.0).enter
#: Ticks for which a ticket waits for what the workload says.
WAIT = -(-ASKS // (10 * S))


MODES = ("", "slow_rank", "thermal_throttle", "fabric_congestion", "pcie_width", "pcie_errors")


def tick(number: int, table: str = "gpu", period: int = 10 * S) -> Tick:
    return Tick(table, number * period, period, View(0, {}), ("a",), (), np.empty((0, 1), np.float32), np.zeros(1, bool))


def says(side: str = "service", strength: float = ENTER + 1, subject: str = "a", **more: object) -> Evidence:
    return Evidence([Finding(5, subject, side, str(more.pop("detector", "slower")), strength, **more)])  # type: ignore[arg-type]


def drive(judge: Judge, script: Iterator[Evidence] | list[Evidence], start: int = 1, table: str = "gpu") -> list[Verdict]:
    return [v for i, e in enumerate(script) for v in judge.step(tick(start + i, table), e)]


SIDES = {"health": "failed", "service": "gray", "redundancy": "masked", "coverage": "unknown"}


@pytest.mark.parametrize(("side", "state"), SIDES.items())
def test_each_side_argues_for_its_state(side: str, state: str) -> None:
    (verdict,) = drive(Judge(), [says(side)] * (WAIT + 1))
    when = (1 + WAIT) * 10 * S if state == "masked" else 10 * S
    assert (verdict.state, verdict.previous, verdict.subject, verdict.time, verdict.table) == (state, "normal", "a", when, "gpu")


def test_a_ticket_waits_for_what_the_workload_says() -> None:
    late = [says("redundancy")] * (WAIT - 1) + [says("service")]
    assert [(v.previous, v.state) for v in drive(Judge(), late)] == [("normal", "gray")]
    assert drive(Judge(), [says("redundancy", ENTER + 1)] * (WAIT - 1) + [says("redundancy", ENTER - 1)] * 9) == []
    slow = [v.time for n in (1, 2) for v in Judge().step(tick(n, period=ASKS), says("redundancy"))]
    assert slow[0] == ASKS  # rows that come as seldom as that are not waited for


def test_what_a_machine_waits_to_hear_may_be_heard_of_its_part() -> None:
    braked = says("condition", subject="n1", mode="power_cap", mechanism="clock_throttle", value=9.0, expected=0.0)
    worn = says("redundancy", subject="n1", mode="disk_redundancy")
    slow = says("service", subject="n1/gpu3", mode="slow_rank", value=1.1, expected=1.0, felt=0.05)
    judge = Judge()
    assert drive(judge, [braked, braked]) == []
    assert [(v.subject, v.state) for v in judge.step(tick(3, "rank"), slow)] == [("n1", "masked"), ("n1/gpu3", "gray")]
    assert list(judge.step(tick(4), braked)) == []
    other = Judge()
    other.step(tick(1), worn)
    assert [v.subject for v in other.step(tick(2, "rank"), slow)] == ["n1/gpu3"]  # a lost disk makes no GPU late


def test_a_symptom_alone_is_masked_only_where_redundancy_pays_for_it() -> None:
    assert state_of(Finding(0, "a", "condition", "d", 9.0, mechanism="clock_throttle")) == "masked"
    assert drive(Judge(), [says("condition"), says("load")]) == []


@pytest.mark.parametrize("before", SIDES.values())
@pytest.mark.parametrize("after", SIDES.values())
def test_every_transition(before: str, after: str) -> None:
    judge = Judge()
    side = {state: s for s, state in SIDES.items()}
    drive(judge, [says(side[before])] * (WAIT + 1))
    verdicts = drive(judge, [says(side[after])] * (HOLD + CALM), start=2 + WAIT)
    rank = ["unknown", "masked", "gray", "failed"]
    assert [(v.previous, v.state) for v in verdicts] == ([] if before == after else [(before, after)])
    if rank.index(after) > rank.index(before):
        assert verdicts[0].time == (2 + WAIT + (WAIT if after == "masked" else 0)) * 10 * S  # graver: at once
    elif before != after:
        calm = EASED if (before, after) == ("gray", "masked") else CALM
        assert verdicts[0].time > calm * 10 * S  # calmer: when nothing has supported it for long


def test_weaker_than_configured_is_silence() -> None:
    assert drive(Judge(1.0), [says(strength=ENTER - 0.01)] * 50) == []
    assert len(drive(Judge(1000.0), [says(strength=0.1)])) == 1
    assert drive(Judge(), [says(strength=float("nan"))]) == []


def test_a_state_once_entered_is_kept_by_weaker_evidence() -> None:
    judge = Judge()
    drive(judge, [says()])
    assert drive(judge, [says(strength=ENTER - SLACK + 0.1)] * (2 * (HOLD + CALM)), start=2) == []
    (verdict,) = drive(judge, [says(strength=ENTER - SLACK - 0.1)] * (HOLD + CALM + 2), start=500)
    assert verdict.state == "normal"


def test_it_speaks_only_on_change() -> None:
    assert len(drive(Judge(), [says()] * 1000)) == 1


def test_evidence_expires_and_the_case_is_closed_and_forgotten() -> None:
    judge = Judge()
    first, last = drive(judge, [says(), *[NOTHING] * 500])
    assert (first.state, last.state, last.previous) == ("gray", "normal", "gray")
    # The finding holds for HOLD ticks; the state is left when nothing has supported it for CALM more.
    assert last.time == (1 + HOLD + CALM) * 10 * S
    assert judge.cases == {}
    assert judge.doubted == frozenset()


def test_what_was_missing_and_comes_again_is_soon_no_notice_any_more() -> None:
    """Links that are read once a minute: half an hour, not two."""
    ends = dict[str, int]()
    for mode in ("silent", "fabric_congestion"):
        judge = Judge()
        said = [(n, v.state) for n in range(1, 400) for v in judge.step(tick(n, period=60 * S), says("coverage", mode=mode) if n < 10 else NOTHING)]
        ends |= {mode: said[-1][0] - 10}
        assert [state for _, state in said] == ["unknown", "normal"]
    assert EASED <= ends["silent"] <= EASED + HOLD < CALM <= ends["fabric_congestion"] + HOLD


def test_a_page_eases_by_the_table_that_told_it_and_a_finding_holds_by_its_own() -> None:
    """A link is read once a minute, the ranks that wait for it every ten seconds: when they wait no more it is a ticket within minutes."""
    judge, said = Judge(), list[Verdict]()
    for number in range(6, 400):
        if number % 6 == 0:
            said += judge.step(tick(number // 6, "nic", 60 * S), says("redundancy", subject="n1/nic0", detector="ledger", mode="nic_errors"))
        if number <= 60:
            said += judge.step(tick(number, "rank"), says("service", subject="n1/nic0", mode="nic_errors"))
        else:
            said += judge.step(tick(number, "rank"), NOTHING)
    assert [(v.previous, v.state) for v in said] == [("normal", "masked"), ("masked", "gray"), ("gray", "masked")]
    assert abs(said[2].time - (60 + HOLD + EASED) * 10 * S) < 60 * S
    kept = Judge()
    link = says("redundancy", subject="n1/nic0")
    assert [v.state for v in kept.step(tick(1, "nic", 60 * S), link)] == ["masked"]
    assert [v for n in range(7, 6 * HOLD) for v in kept.step(tick(n, "rank"), NOTHING)] == []
    assert kept.cases["n1/nic0"].tracks


def test_what_comes_and_goes_between_two_ticks_of_its_subjects_table_is_not_lost() -> None:
    judge, said = Judge(), list[Verdict]()
    judge.step(tick(1, "nvme", 900 * S), says("condition", 1.0, "n1", detector="d"))
    for number in range(91, 180):
        said += judge.step(tick(number, "rank"), says("service", subject="n1") if number < 120 else NOTHING)
    said += judge.step(tick(2, "nvme", 900 * S), says("condition", 1.0, "n1", detector="d"))
    assert [v.state for v in said] == ["gray"]


def test_evidence_too_weak_to_matter_leaves_no_case_behind() -> None:
    judge = Judge()
    drive(judge, [says(strength=1.0, subject=f"job:{i}/r0") for i in range(300)])
    assert len(judge.cases) <= HOLD + 1


def test_a_case_grows_old_although_its_table_has_fallen_asleep() -> None:
    judge = Judge()
    drive(judge, [says(subject="n1/gpu0")], table="rank")
    drive(judge, [NOTHING] * 12, start=2, table="rank")
    verdicts = drive(judge, [NOTHING] * (HOLD + CALM + 2 * ASLEEP), start=2)
    assert [(v.subject, v.state) for v in verdicts] == [("n1/gpu0", "normal")]


def test_the_strongest_of_the_gravest_gives_the_words() -> None:
    both = [*says("service", 8.0, detector="a", why="weak"), *says("service", 9.0, detector="b", why="strong", mode="slow_rank", metric="m")]
    (verdict,) = drive(Judge(), [Evidence([*both, *says("redundancy", 99.0, detector="c")])])
    assert (verdict.state, verdict.why, verdict.mode, verdict.metric, verdict.side, verdict.strength) == ("gray", "strong", "slow_rank", "m", "service", 9.0)


def test_onset_is_the_first_estimate_as_long_as_it_holds() -> None:
    judge = Judge()
    drive(judge, [says(strength=6.0, since=3 * S)])
    (verdict,) = drive(judge, [says(strength=8.0, since=9 * S)], start=2)
    assert verdict.since == 3 * S


def test_who_is_doubted() -> None:
    judge = Judge()
    said = Evidence([*says("service", subject="a"), *says("coverage", subject="b"), *says("redundancy", subject="c"), *says("health", subject="d")])
    drive(judge, [said] * (WAIT + 1))
    assert judge.doubted == {"a", "a/", "c", "d", "d/"}


def test_verdicts_come_by_subject() -> None:
    assert [v.subject for v in drive(Judge(), [Evidence([*says(subject="b"), *says(subject="a")])])] == ["a", "b"]


def test_restore_after_any_tick_gives_the_same_bits() -> None:
    rng = np.random.default_rng(3)
    script = [
        Evidence([*says(str(rng.choice(list(SIDES))), float(rng.normal(7, 2)), f"n{rng.integers(3)}", detector=f"d{rng.integers(2)}", since=int(i))])
        if rng.random() < 0.2
        else NOTHING
        for i in range(600)
    ]
    straight, judge, found = Judge(), Judge(), []
    wanted = [*drive(straight, script)]
    for i, evidence in enumerate(script):
        other = Judge()
        other.restore(judge.snapshot())
        judge = other
        found += drive(judge, [evidence], start=1 + i)
    assert [repr(v) for v in found] == [repr(v) for v in wanted]
    assert len(wanted) > 3
    assert judge.snapshot()["judge"].tobytes() == straight.snapshot()["judge"].tobytes()
    assert json.loads(str(judge.snapshot()["judge"]))


def chatter(seed: int) -> Iterator[tuple[Tick, Evidence]]:
    """Yield ticks of two tables, one of which sleeps for a while, with findings that come and go."""
    rng = np.random.default_rng(seed)
    for number in range(1, 900):
        for table, period in (("gpu", 1), ("nic", 3)):
            if number % period == 0 and not (table == "nic" and 300 < number < 500):
                sides: Any = rng.choice(list(SIDES), rng.integers(1, 4)) if rng.random() < 0.08 else []
                found = [f for side in sides for f in says(str(side), float(rng.normal(7, 2)), f"n{rng.integers(4)}", mode=str(rng.choice(MODES)))]
                yield tick(number, table, 10 * S * period), Evidence(found)


@pytest.mark.parametrize("seed", range(4))
def test_what_rests_would_have_said_nothing(seed: int) -> None:
    quick, thorough, said = Judge(), Judge(), 0
    for at, evidence in chatter(seed):
        for case in thorough.cases.values():
            case.rests = -1
        found = list(quick.step(at, evidence))
        assert repr(found) == repr(list(thorough.step(at, evidence)))
        assert {s for s in quick.doubted if s[-1] != "/"} == {s for s, c in quick.cases.items() if c.state in ("masked", "gray", "failed")}
        said += len(found)
        if at.time % (50 * S) == 0:
            assert quick.snapshot()["judge"].tobytes() == thorough.snapshot()["judge"].tobytes()
    assert said > 8


def test_a_trouble_is_named_by_its_cause() -> None:
    """A slow rank whose clock is held down by heat is a thermal throttle, and the line says both."""
    judge = Judge()
    felt = Finding(1, "n1/gpu0", "service", "slower", 9.0, "slow_rank", metric="compute_seconds", why="slow")
    heat = Finding(1, "n1/gpu0", "condition", "slower", 8.0, "thermal_throttle", "clock_throttle", metric="limit", why="hot")
    at = tick(1)
    (verdict,) = judge.step(at, Evidence([felt, heat]))
    assert (verdict.state, verdict.mode, verdict.mechanism, verdict.why) == ("gray", "thermal_throttle", "clock_throttle", "slow; the cause may be: hot")


def test_who_shows_a_fault_by_itself_has_no_rivals_for_what_is_felt() -> None:
    felt = Finding(1, "n1/nic0", "service", "slower", 30.0, "became_slower", metric="seconds", why="slow", rivals='[["n2/nic0", 0.5]]')
    rate = Finding(1, "n1/nic0", "redundancy", "ledger", 20.0, "nic_rate", "nic_rate", metric="rate", why="half of it")
    at = tick(1)
    assert next(Judge().step(at, Evidence([felt]))).rivals == (("n2/nic0", 0.5),)
    (verdict,) = Judge().step(at, Evidence([felt, rate]))
    assert (verdict.mode, verdict.rivals) == ("nic_rate", ())


def test_a_better_name_is_told_once() -> None:
    judge = Judge()
    errors = Finding(1, "n1/gpu0/pcie", "redundancy", "spending", 9.0, "pcie_errors", "pcie_replay", metric="a", why="errors")
    width = Finding(2, "n1/gpu0/pcie", "redundancy", "slower", 8.0, "pcie_width", "pcie_degrade", metric="b", why="narrow")
    said = [(v.state, v.previous, v.mode) for t in range(1, 13) for v in judge.step(tick(t, "pcie"), Evidence([errors] if t < 9 else [errors, width]))]
    assert said == [("masked", "normal", "pcie_errors"), ("masked", "masked", "pcie_width")]


def test_a_look_alike_accuses_nobody() -> None:
    busy = Finding(1, "n1/nic0", "service", "slower", 30.0, "fabric_congestion", metric="waits", why="congested")
    assert state_of(busy) == "unknown"


def test_it_shows_what_decided_and_then_what_else_held() -> None:
    found = [*says(metric="a"), *says("condition", ENTER + 5, metric="b"), *says("condition", ENTER - 2 * SLACK, metric="c")]
    (verdict,) = Judge(1.0).step(tick(1), Evidence(found))
    assert [(s.metric, s.side, s.value) for s in verdict.shown] == [("a", "service", None), ("b", "condition", None)]


def test_what_no_workload_feels_is_not_waited_for() -> None:
    disk, lanes = (next(iter(says("redundancy")))._replace(mode=mode) for mode in ("disk_redundancy", "pcie_width"))
    told = {f.mode: drive(Judge(), [Evidence([f])] * (WAIT + 2))[0].time for f in (disk, lanes)}
    assert told["pcie_width"] - told["disk_redundancy"] >= ASKS


def test_what_comes_upon_a_subject_in_trouble_is_said_once_and_the_name_stays() -> None:
    judge = Judge()
    supply = says("redundancy", 50.0, mode="power_cap", metric="supplies")
    bond = says("redundancy", 50.0, mode="bond_degraded", metric="members", why="one of two is gone")
    both = Evidence([*supply, *bond])
    said = drive(judge, [supply] * (WAIT + 1) + [both] * 5 + [bond] * (2 * HOLD) + [both] * 5)
    assert [(v.previous, v.state, v.mode) for v in said] == [("normal", "masked", "power_cap"), ("masked", "masked", "power_cap")]
    assert [v.also for v in said] == [(), ("bond_degraded",)]
    assert said[1].why.endswith("; and besides: one of two is gone")
    other = Judge()
    other.restore(judge.snapshot())
    assert drive(other, [both], 500) == []


def test_what_is_an_effect_explains_nothing_or_is_faint_is_no_news() -> None:
    for news in (
        says("redundancy", 50.0, mode="nic_errors", metric="x"), says("redundancy", 50.0, mode="disk_redundancy", metric="x"),
        says("redundancy", ENTER - 1, mode="bond_degraded", metric="x"), says("condition", 50.0, mode="bond_degraded", metric="x"),
    ):  # fmt: skip
        first = says("redundancy", 60.0, mode="nic_rate", metric="m")
        assert len(drive(Judge(), [first] * (WAIT + 1) + [Evidence([*first, *news])] * 9)) == 1


def test_news_about_a_subject_whose_name_nothing_shows_any_more_is_not_told_under_another() -> None:
    hot = says("condition", 50.0, mode="thermal_throttle", mechanism="clock_throttle", metric="m", value=2.0, expected=1.0)
    worn = says("redundancy", 50.0, mode="ecc_burst", metric="x")
    said = drive(Judge(), [hot] * (WAIT + 1) + [worn] * (HOLD + 9))
    assert [(v.state, v.mode, v.also) for v in said] == [("masked", "thermal_throttle", ()), ("masked", "thermal_throttle", ("ecc_burst",))]
    felt = says("service", 50.0, mode="thermal_throttle", metric="c", detector="costs")
    other = says("service", 50.0, mode="ecc_burst", metric="c", detector="costs")
    said = drive(Judge(), [felt] * 3 + [Evidence([*other, *worn])] * 9)
    assert [(v.state, v.mode) for v in said] == [("gray", "thermal_throttle")]
