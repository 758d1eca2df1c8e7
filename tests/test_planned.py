"""Planned: named while work goes on, announced when it is over and the trouble stays; nothing else changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from grayscope import assembly
from grayscope.batch import Batch
from grayscope.desk import Desk
from grayscope.event import Event
from grayscope.evidence import NOTHING, Evidence, Finding
from grayscope.maintenance import SECOND, Work
from grayscope.message import Message
from grayscope.planned import Planned
from grayscope.replaying import Collected
from grayscope.roster import RosterRow, View
from grayscope.settings import Settings
from grayscope.tick import Tick
from grayscope.verdict import Verdict

PERIOD = 10 * SECOND
NOBODY = View(0, {})


def tick(time: int, *events: Event, roster: View = NOBODY) -> Tick:
    return Tick("gpu", time, PERIOD, roster, ("n1/gpu0",), (), np.empty((0, 1), np.float32), np.ones(1, bool), events)


def say(time: int, state: str, previous: str = "normal", subject: str = "n1/gpu0") -> Verdict:
    return Verdict(time, subject, state, previous, 20.0, "3 % late", time - 5, "slow_rank", metric="m", side="service", table="gpu")


def seen(time: int, side: str = "service", strength: float = 20.0) -> Evidence:
    return Evidence([Finding(time, "n1/gpu0", side, "slower", strength, "slow_rank", felt=1.0, value=2.0, expected=1.0)])


def planned(*works: Work, after: int = 0) -> Planned:
    station = Planned(10.0, 1000, after)
    list(station.step(tick(0, *(w.event(0) for w in works)), [], NOTHING))
    return station


def told(verdicts: Iterable[Verdict]) -> list[tuple[int, str, str, str]]:
    return [(v.time, v.state, v.previous, v.mode) for v in verdicts]


def test_without_work_a_verdict_is_passed_on_as_it_is() -> None:
    station, verdict = Planned(), say(10, "gray")
    (found,) = station.step(tick(10), [verdict], NOTHING)
    assert found is verdict


def test_trouble_in_the_middle_of_work_is_a_notice_that_says_what_was_seen() -> None:
    station = planned(Work("n1", 5, 100, "new fan"))
    (found,) = station.step(tick(10), [say(10, "gray")], seen(10))
    assert (found.state, found.previous, found.mode, found.behind) == ("unknown", "normal", "maintenance", "slow_rank")
    assert "new fan" in found.why
    assert "gray, 3 % late" in found.why
    (incident,) = Desk("c").step([found])
    assert (incident.severity, incident.mode) == ("notice", "maintenance")
    assert told(station.step(tick(20), [say(20, "normal", "gray")], NOTHING)) == [(20, "normal", "unknown", "slow_rank")]


def test_a_page_that_ends_under_work_is_remembered_under_its_own_mode() -> None:
    station, desk = Planned(10.0), Desk("c")
    list(desk.step(station.step(tick(10), [say(10, "gray")], seen(10))))
    (eased,) = desk.step(station.step(tick(20, Work("n1", 20, 50).event(20)), [], seen(20)))
    assert (eased.severity, eased.mode) == ("notice", "maintenance")
    (ended,) = desk.step(station.step(tick(30), [say(30, "normal", "gray")], NOTHING))
    assert (ended.severity, ended.mode, ended.ended) == ("page", "slow_rank", 30)


def test_a_page_that_fires_becomes_a_notice_and_again_a_page() -> None:
    station, desk = Planned(10.0), Desk("c")
    station.agenda.after = 0
    (page,) = desk.step(station.step(tick(10), [say(10, "gray")], seen(10)))
    (eased,) = desk.step(station.step(tick(20, Work("n1", 20, 50).event(20)), [], seen(20)))
    assert list(station.step(tick(30), [], seen(30))) == []
    assert list(station.step(tick(50), [], NOTHING)) == []  # over, and not found again so far
    assert list(station.step(tick(55), [], seen(55, strength=5.0))) == []
    (back,) = desk.step(station.step(tick(60), [], seen(60)))
    assert [(i.id == page.id, i.severity, i.mode) for i in (page, eased, back)] == [
        (True, "page", "slow_rank"), (True, "notice", "maintenance"), (True, "page", "slow_rank"),
    ]  # fmt: skip
    assert list(station.step(tick(70), [], seen(70))) == []
    assert told(station.step(tick(80), [say(80, "normal", "gray")], NOTHING)) == [(80, "normal", "gray", "slow_rank")]


def test_two_faults_on_one_machine_stay_two_and_one_stays_one() -> None:
    desk, station = Desk("c"), planned(Work("n1", 5, 50))
    verdicts = [
        Verdict(10, "n1", "masked", "normal", 20.0, "hot air", 9, "fan_degraded", side="condition", table="node"),
        Verdict(10, "n1/gpu0", "masked", "normal", 20.0, "hot", 9, "thermal_throttle", side="condition", table="gpu"),
        Verdict(10, "n1/gpu1/pcie", "masked", "normal", 20.0, "half its lanes", 9, "pcie_width", side="redundancy", table="pcie"),
    ]
    during = list(desk.step(station.step(tick(10), verdicts, NOTHING)))
    assert {(i.id, i.severity, i.mode) for i in during} == {(during[0].id, "notice", "maintenance")}  # one notice of all that the work does
    again = list(station.step(tick(60), [replace(v, time=60) for v in verdicts], NOTHING))
    after = {i.id: i for i in desk.step(again)}
    assert sorted((i.subject, i.severity, i.mode) for i in after.values()) == [("n1", "ticket", "fan_degraded"), ("n1/gpu1/pcie", "ticket", "pcie_width")]


def test_work_is_a_notice_for_each_machine_and_leaves_a_page_that_was_there_alone() -> None:
    desk, station = Desk("c"), planned(Work("n1", 20, 50), Work("n2", 20, 50))
    list(desk.step(station.step(tick(10), [say(10, "gray", subject="n1/gpu3")], NOTHING)))
    parts = ("n1/gpu0", "n1/gpu1", "n1/gpu2/pcie", "n2/gpu0", "n2/nic1")
    verdicts = [replace(say(30, "masked", subject=s), mode="pcie_width", side="redundancy") for s in parts]
    list(desk.step(station.step(tick(30), verdicts, NOTHING)))
    assert sorted((i.place, i.severity) for i in desk.open.values()) == [("n1", "notice"), ("n1/gpu3", "notice"), ("n2", "notice")]
    for part, left in zip(parts, (3, 3, 2, 2, 1), strict=True):
        list(desk.step(station.step(tick(40), [say(40, "normal", "masked", part)], NOTHING)))
        assert len(desk.open) == left


def test_trouble_without_a_name_is_not_called_maintenance_for_ever() -> None:
    desk, station = Desk("c"), planned(Work("n1", 5, 50))
    (during,) = desk.step(station.step(tick(10), [replace(say(10, "gray"), mode="")], NOTHING))
    (after,) = desk.step(station.step(tick(60), [], seen(60)))
    assert [(i.severity, i.mode) for i in (during, after)] == [("notice", "maintenance"), ("page", "")]


def test_what_the_judge_lets_go_of_after_the_end_was_the_work() -> None:
    station = planned(Work("n1", 5, 50))
    list(station.step(tick(10), [say(10, "gray")], seen(10)))
    assert list(station.step(tick(60), [], seen(60, "condition"))) == []  # only a symptom is left
    assert told(station.step(tick(70), [say(70, "normal", "gray")], NOTHING)) == [(70, "normal", "unknown", "slow_rank")]
    assert (station.held, station.muted) == ({}, {})


def test_work_speaks_a_while_beyond_its_end() -> None:
    station = planned(Work("n1", 5, 50), after=30)
    assert told(station.step(tick(60), [say(60, "gray")], seen(60))) == [(60, "unknown", "normal", "maintenance")]
    assert list(station.step(tick(79), [], seen(79))) == []
    assert told(station.step(tick(80), [], seen(80))) == [(80, "gray", "unknown", "slow_rank")]


def test_a_graver_state_during_work_is_told_in_words_only() -> None:
    station = planned(Work("site", 0, 100))
    list(station.step(tick(10), [say(10, "masked")], NOTHING))
    (found,) = station.step(tick(20), [say(20, "gray", "masked")], seen(20))
    assert (found.state, found.previous) == ("unknown", "unknown")
    assert "seen there: gray" in found.why
    assert told(station.step(tick(110), [say(110, "failed", "gray")], NOTHING)) == [(110, "failed", "unknown", "slow_rank")]


def test_an_end_that_nobody_told_comes_by_itself() -> None:
    station = planned(Work("n1", 5, None))
    list(station.step(tick(10), [say(10, "gray")], seen(10)))
    assert list(station.step(tick(1004), [], seen(1004))) == []
    assert told(station.step(tick(1005), [], seen(1005))) == [(1005, "gray", "unknown", "slow_rank")]


def test_ended_early_and_work_on_something_else() -> None:
    station = planned(Work("n1", 5, 500), Work("n2", 5, 500))
    list(station.step(tick(10), [say(10, "gray"), say(10, "gray", subject="n3")], NOTHING))
    assert station.told("n1/gpu0", "gray") == "unknown"
    assert station.told("n3", "gray") == "gray"
    closed = Work("n1", 5, 20, closed=True).event(20)
    assert told(station.step(tick(20, closed), [], seen(20))) == [(20, "gray", "unknown", "slow_rank")]


def test_of_two_works_each_holds() -> None:
    station = planned(Work("n1", 5, 50, "first"), Work("n1/gpu0", 40, 90, "second"))
    list(station.step(tick(10), [say(10, "gray")], seen(10)))
    (changed,) = station.step(tick(40), [], seen(40))
    assert "second" in changed.why
    assert list(station.step(tick(60), [], seen(60))) == []
    assert told(station.step(tick(90), [], seen(90))) == [(90, "gray", "unknown", "slow_rank")]


def test_who_comes_to_stand_in_a_place_under_work_is_under_work() -> None:
    station = planned(Work("rack:r7", 0, 100))
    assert told(station.step(tick(10), [say(10, "gray")], NOTHING)) == [(10, "gray", "normal", "slow_rank")]
    moved = View(3, {"n1": RosterRow("n1", "node", keys={"rack": "r7"})})
    assert told(station.step(tick(20, roster=moved), [], NOTHING)) == [(20, "unknown", "gray", "maintenance")]


@pytest.mark.parametrize("at", [0, 1, 2, 3, 4, 5])
def test_restored_in_between_it_says_the_same(at: int) -> None:
    steps = [
        (tick(10), [say(10, "gray")], seen(10)), (tick(20, Work("n1", 20, 50, "x").event(20)), [], seen(20)), (tick(50), [], NOTHING),
        (tick(60), [], seen(60)), (tick(70), [say(70, "normal", "gray")], NOTHING),
    ]  # fmt: skip
    whole, station = Planned(10.0, after=0), Planned(10.0, after=0)
    expected = [list(whole.step(*step)) for step in steps]
    found = []
    for i, step in enumerate(steps):
        if i == at:
            state, station = station.snapshot(), Planned(10.0, after=0)
            station.restore(state)
        found.append(list(station.step(*step)))
    assert repr(found) == repr(expected)


# -- the whole line ------------------------------------------------------------------------------------------------------

Fleet = Callable[..., Iterator[Message]]
WORK = Work("n0", 100 * PERIOD, 450 * PERIOD, "new risers")


@pytest.fixture
def stream() -> list[Message]:
    """Eight nodes of one GPU each, on one of which an error stays from tick 120 and another counts one at tick 200 only."""
    names = tuple(f"n{i}/gpu0" for i in range(8))
    metrics = ("gpu_active_ratio", "gpu_row_remap_failed")
    out: list[Message] = [tuple(RosterRow(s, "gpu", keys={"sku": "A", "slot": "0"}) for s in names)]
    for t in range(700):
        values = np.full((1, 2, 8), 0.9, np.float32)
        values[0, 1] = 0
        values[0, 1, 0] = t > 120
        values[0, 1, 1] = t == 200
        out.append(Batch("gpu", np.array([(t + 1) * PERIOD]), names, metrics, values))
    return out


def run(messages: Iterable[Message], **named: float) -> Collected:
    engine, outputs = assembly.engine(Settings(**named), periods={"gpu": PERIOD}), Collected()  # type: ignore[arg-type]
    for message in messages:
        outputs.add(engine.step(message))
    outputs.add(engine.flush())
    return outputs


def test_in_the_line_work_is_named_and_what_stays_is_announced(stream: list[Message]) -> None:
    plain = {i.subject: i for i in run(stream).latest()}
    assert (plain["n0/gpu0"].state, plain["n0/gpu0"].severity) == ("failed", "ticket")
    outputs = run([stream[0], WORK.event(PERIOD), *stream[1:]])
    found = {i.subject: i for i in outputs.latest()}
    assert [(s, v) for _, s, v in found["n0/gpu0"].history] == [("unknown", "notice"), ("failed", "ticket")]
    assert found["n0/gpu0"].history[1][0] >= WORK.until() + 600 * SECOND
    assert repr(found["n1/gpu0"]) == repr(plain["n1/gpu0"])


def test_work_told_late_or_early_twice_or_among_the_rows_changes_nothing_else(stream: list[Message]) -> None:
    early = run([stream[0], WORK.event(PERIOD), *stream[1:]])
    rows = stream[1:]
    again = run([stream[0], rows[0], WORK.event(PERIOD), rows[1], WORK.event(PERIOD), *rows[2:]])
    assert repr(again.verdicts) == repr(early.verdicts)
    assert repr(again.latest()) == repr(early.latest())


def test_an_engine_restored_during_work_goes_on_bit_for_bit(stream: list[Message]) -> None:
    messages = [stream[0], WORK.event(PERIOD), *stream[1:]]
    engine, other = (assembly.engine(Settings(), periods={"gpu": PERIOD}) for _ in range(2))
    for message in messages[:300]:
        engine.step(message)
    other.restore({k: v.copy() for k, v in engine.snapshot().items()})
    other.align.restore(engine.align.snapshot())
    ours, theirs = Collected(), Collected()
    for message in messages[300:]:
        ours.add(engine.step(message))
        theirs.add(other.step(message))
    assert len(ours.verdicts) > 0
    assert repr(theirs.verdicts) == repr(ours.verdicts)
    assert repr(theirs.latest()) == repr(ours.latest())


def test_how_long_work_without_an_end_lasts_can_be_set(stream: list[Message]) -> None:
    opened = Work("n0/gpu0", 100 * PERIOD).event(PERIOD)
    found = {i.subject: i for i in run([stream[0], opened, *stream[1:]], maintenance_longest=1500.0, maintenance_after=0.0).latest()}
    assert found["n0/gpu0"].history[1][0] >= 250 * PERIOD
    assert found["n0/gpu0"].history[1][0] <= 270 * PERIOD
    assert {i.subject: i.severity for i in run([stream[0], opened, *stream[1:]]).latest()}["n0/gpu0"] == "notice"
