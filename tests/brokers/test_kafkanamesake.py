"""Kafkanamesake, without a broker: who signed after us has our name, a member that outlives its session too, and one that does not is nobody."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from grayscope.brokers._kafkanamesake import SESSIONS, Holder, Namesake, signature
from grayscope.brokers._kafkasettings import kafka_settings
from grayscope.brokers._kafkaworker import Worker
from grayscope.brokers.kafka import Kafka
from grayscope.errors import GrayscopeError, UsageError

GIVEN = {"group_instance_id": "w 1"}  # names may hold blanks
PLACES = [("g.telemetry", 0)]


class Known:
    """What a broker knows, and the time."""

    def __init__(self) -> None:
        self.now, self.holder, self.asked = 0.0, Holder("", ()), list[Any]()

    def ask(self, *words: Any) -> Holder:
        self.asked.append(words[1:])
        return self.holder

    def namesake(self) -> Namesake:
        return Namesake(kafka_settings(GIVEN), "g.live", 10.0, self.ask, lambda: self.now)


def other(name: str = "w 1") -> str:
    return f"0123456789ab 4711 pod-7 {name}"


@pytest.mark.parametrize("holder", [Holder("", ()), Holder("", (other(),)), Holder("w 1-a", (signature(GIVEN), other("w2")))])
def test_a_name_that_is_nobodys_or_ours_is_ours(holder: Holder) -> None:
    known = Known()
    known.holder = holder
    known.namesake().ours("w 1-a", PLACES)
    assert known.asked == [("g.live", "w 1", PLACES)]


@pytest.mark.parametrize("member", ["w 1-b", "w 1-a"])
def test_who_signed_after_us_is_named_even_where_we_were_let_in_again(member: str) -> None:
    known = Known()
    known.holder = Holder(member, ("", "x", signature(GIVEN), other()))
    with pytest.raises(UsageError, match=r"worker w 1: process 4711 on host pod-7 .*--worker NAME"):
        known.namesake().ours("w 1-a", PLACES)


@pytest.mark.parametrize("signed", ["", signature(GIVEN), other("w2"), "garbage", "a b c"], ids=["none", "own", "other", "garbage", "words"])
def test_without_a_word_of_it_a_member_is_watched_until_it_has_outlived_its_session(signed: str) -> None:
    known = Known()
    some = known.namesake()
    known.holder = Holder("w 1-b", (signed,))
    for known.now in (0.0, 9.0, 10 * SESSIONS):
        with pytest.raises(GrayscopeError, match="this one waits") as told:
            some.ours("w 1-a", PLACES)
        assert not isinstance(told.value, UsageError)
        assert some.doubted
    known.holder = Holder("w 1-c", (signed,))  # joined a moment ago
    known.now += 1
    with pytest.raises(GrayscopeError, match="this one waits"):
        some.ours("w 1-a", PLACES)
    known.now += 10 * SESSIONS + 1
    with pytest.raises(UsageError, match="member w 1-c"):
        some.ours("w 1-a", PLACES)


def test_one_that_falls_silent_was_nobody() -> None:
    known = Known()
    some = known.namesake()
    known.holder = Holder("w 1-b", ())
    with pytest.raises(GrayscopeError, match="this one waits"):
        some.ours("w 1-a", ())
    known.holder = Holder("", ())
    some.ours("w 1-a", ())
    assert not some.doubted


# -- the worker -----------------------------------------------------------------------------------------------------------


class Lane:
    """A lane whose commits another process shuts out."""

    said = False
    again: Any = ()

    def __init__(self, number: int) -> None:
        self.number, self.sequence, self.replayed, self.places, self.calls = number, 0, 0, {"t": 1, "e": 1}, list[str]()
        self.cells = SimpleNamespace(engines={f"cell{number}": None})

    def due(self) -> bool:
        return self.said

    def waiting(self) -> bool:
        return True

    def commit(self, _: Any) -> list[Any]:
        raise GrayscopeError("shut out")

    def close(self) -> None:
        self.calls.append("close")

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: self.calls.append(name)


class Member:
    """A member that is shut out while it polls (`told`), or is not told of it."""

    def __init__(self, *, told: bool) -> None:
        self.broken, self.told, self.closed = False, told, False

    def poll(self) -> list[Any]:
        if self.told:
            self.broken = True
            raise GrayscopeError("fenced")
        return []

    def settled(self) -> bool:
        return True

    def assigned(self) -> set[tuple[str, int]]:
        return {(f"g.{topic}", number) for topic in ("telemetry", "events") for number in (0, 1)}

    def itself(self) -> str:
        return "w1-a"

    def member(self) -> None:
        pass

    def seek(self, *_: Any) -> None:
        pass

    def close(self) -> None:
        self.closed = True


def worker(known: Known, member: Member, opened: list[int], gone: list[str]) -> Worker:
    def lane(_: Any, number: int, __: str) -> Any:
        opened.append(number)
        return Lane(number)

    some = Worker({"bootstrap_servers": "127.0.0.1:1", "topic_prefix": "g"}, "w1", lane, gone=gone.append, monotonic=lambda: known.now)
    some._namesake.ask, some._consumer = known.ask, member  # type: ignore[assignment]
    some.roster.ask = lambda: None  # type: ignore[method-assign]
    return some


def test_a_loser_lets_go_of_its_lanes_without_a_word_and_leaves_no_checkpoint() -> None:
    known, member, opened, gone = Known(), Member(told=True), list[int](), list[str]()
    some, lanes = worker(known, member, opened, gone), [Lane(0), Lane(1)]
    some.lanes = dict(enumerate(lanes))  # type: ignore[arg-type]
    some._committed = {0}
    known.holder = Holder("w1-b", (other("w1"),))
    with pytest.raises(UsageError, match="process 4711 on host pod-7"):
        some.turn()
    some.close([])
    assert [lane.calls for lane in lanes] == [["close"], ["close"]]
    assert (member.closed, opened, gone) == (True, [], ["cell0", "cell1"])
    assert known.asked == [("g.live", "w1", [("g.telemetry", 0), ("g.events", 0)])]


def test_told_to_stop_while_it_waits_it_leaves_no_checkpoint() -> None:
    known, lane = Known(), Lane(0)
    some = worker(known, Member(told=True), [], [])
    some.lanes = {0: lane}  # type: ignore[dict-item]
    known.holder = Holder("w1-b", ())
    with pytest.raises(GrayscopeError, match="this one waits"):
        some.turn()
    lane.waiting = lambda: False  # type: ignore[method-assign]
    some.close([])
    assert lane.calls == ["close"]


def test_a_lane_that_it_was_shut_out_of_is_not_taken_back_while_another_has_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    known, member, opened, gone = Known(), Member(told=False), list[int](), list[str]()
    some = worker(known, member, opened, gone)
    some.turn()
    assert (opened, known.asked) == ([0, 1], [])  # nobody is asked for the first time
    monkeypatch.setattr(Lane, "said", True)
    some.turn()
    assert (some.lanes, some.reopened) == ({}, 2)
    known.holder, known.now = Holder("w1-b", (other("w1"),)), 9.0
    some.turn()
    assert (opened, member.broken, len(known.asked)) == ([0, 1], True, 1)
    with pytest.raises(UsageError, match="process 4711"):
        some.turn()
    assert member.closed


def test_a_lane_that_failed_is_opened_again_where_the_name_is_ours_and_not_while_nobody_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    known, member, opened = Known(), Member(told=False), list[int]()
    some = worker(known, member, opened, [])
    monkeypatch.setattr(Lane, "said", True)
    some.turn()
    known.now = 9.0
    monkeypatch.setattr(some._namesake, "ask", lambda *_: (_ for _ in ()).throw(GrayscopeError("no answer")))
    some.turn()
    assert (opened, member.broken) == ([0, 1], False)
    monkeypatch.setattr(some._namesake, "ask", known.ask)
    known.holder = Holder("w1-a", ())
    some.turn()
    assert opened == [0, 1, 0, 1]


def test_one_that_slept_too_long_and_was_let_in_again_asks_whether_another_had_its_name_meanwhile() -> None:
    known, member, opened = Known(), Member(told=False), list[int]()
    some = worker(known, member, opened, [])
    some.turn()
    some.turn()
    some._committed = {0}
    member.itself = lambda: "w1-c"  # type: ignore[method-assign]
    known.holder = Holder("w1-c", ())
    some.turn()
    some.turn()
    assert len(known.asked) == 1
    member.itself = lambda: "w1-d"  # type: ignore[method-assign]
    known.holder = Holder("w1-d", (other("w1"),))
    with pytest.raises(UsageError, match="process 4711"):
        some.turn()
    assert some.lanes == {}


# -- a recorder -----------------------------------------------------------------------------------------------------------


def test_a_reader_that_was_shut_out_joins_again_where_nobody_else_has_its_name_and_gives_nothing_twice() -> None:
    known, first = Known(), Member(told=True)
    kafka = Kafka(topic_prefix="g", group_instance_id="r1", session_timeout_ms=10_000)
    kafka._namesake.ask, kafka._namesake.monotonic = known.ask, lambda: known.now
    kafka._consumer, kafka._roster = first, SimpleNamespace(close=lambda: None)  # type: ignore[assignment]
    kafka._held.append("taken, not given out")
    joined = list[bool]()
    kafka._begin = lambda: joined.append(True) or []  # type: ignore[func-returns-value, method-assign]
    with pytest.raises(GrayscopeError, match="fenced"):
        kafka.poll()
    known.holder = Holder("r1-b", ())
    with pytest.raises(GrayscopeError, match="this one waits"):
        kafka.poll()
    known.holder = Holder("", ())
    assert kafka.poll() == []
    assert (joined, first.closed, list(kafka._held)) == ([True], True, [])
