"""Maintenance: what is written into the file reaches the line once, and again for those who listen since then."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from grayscope import plugins
from grayscope.event import Event
from grayscope.feedback import Answer
from grayscope.maintenance import HOUR, NEVER_BEYOND, SECOND, Work, read
from grayscope.told import add_to_file

PLAN = Work("n1", 100 * SECOND, 10 * HOUR, "fan", 100 * SECOND)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "planned.jsonl"


def test_news_is_told_once_and_then_every_ten_minutes(file: Path, clock: Clock) -> None:
    source = plugins.collector("maintenance", file, clock=clock)
    assert source.collect() == []
    assert "no such file yet" in source.last_error
    add_to_file(file, [PLAN.event(100 * SECOND)])
    clock.now += 10
    (told,) = source.collect()
    assert source.last_error == ""
    assert (told.time, told.subject, told.text) == (1010 * SECOND, "n1", PLAN.event(0).text)
    seen = []
    for _ in range(180):
        clock.now += 10
        seen += [m.time // SECOND for m in source.collect()]
    assert len(seen) == 3
    assert {b - a for a, b in pairwise(seen)} == {600}


def test_after_a_restart_only_what_still_holds_is_told(file: Path, clock: Clock) -> None:
    clock.now = 20 * 3600.0
    over, opened = Work("n2", 0, HOUR), Work("n3", 5 * HOUR, None)
    lately = Work("n4", 0, 19 * HOUR + 1800 * SECOND, "", 0, True)
    add_to_file(file, [over.event(0), opened.event(0), lately.event(0)])
    assert sorted(e.subject for e in plugins.collector("maintenance", file, clock=clock).collect()) == ["n3", "n4"]
    clock.now = (5 * HOUR + NEVER_BEYOND) / 1e6 + 7200
    assert plugins.collector("maintenance", file, clock=clock).collect() == []


def test_feedback_is_passed_on_when_it_is_new(file: Path, clock: Clock) -> None:
    source = plugins.collector("maintenance", file, clock=clock)
    source.collect()
    add_to_file(file, [Answer("ab12", "n1", True, 0, "x").event(0)])
    (told,) = source.collect()
    assert (told.source, told.code, told.time) == ("feedback", "true", 1000 * SECOND)
    assert source.collect() == []


def test_answers_that_were_written_while_nobody_looked_are_passed_on(file: Path, clock: Clock) -> None:
    clock.now = 8 * 24 * 3600.0
    add_to_file(file, [Answer("ab12", "n1", True, t * HOUR).event(t * HOUR) for t in (1, 100)])
    source = plugins.collector("maintenance", file, clock=clock)
    assert [e.text for e in source.collect()] == [Answer("ab12", "n1", True, 100 * HOUR).event(0).text]
    clock.now += 3600
    assert source.collect() == []


def test_what_leaves_its_beginning_open_does_not_move_when_it_is_told_again(file: Path, clock: Clock) -> None:
    add_to_file(file, [Event(500 * SECOND, "n1", "maintenance", "begin", "by hand")])
    source = plugins.collector("maintenance", file, clock=clock)
    first = source.collect()
    clock.now += 700
    again = source.collect()
    works = [read(e) for e in (*first, *again)]
    assert [w and (w.start, w.end, w.note) for w in works] == [(500 * SECOND, None, "by hand")] * 2


def test_a_plan_that_was_changed_is_told_as_it_is_now(file: Path, clock: Clock) -> None:
    source = plugins.collector("maintenance", file, clock=clock)
    add_to_file(file, [Work("n1", 0, 9 * HOUR, "long").event(5), Work("n1", 0, 2 * HOUR, "shorter").event(6), Event(7, "n2", "maintenance", "end")])
    assert [e.text.partition(" ")[2] for e in source.collect()] == ["shorter"]
    add_to_file(file, [Event(1200 * SECOND, "n1", "maintenance", "end")])
    clock.now += 10
    (ended,) = source.collect()
    assert (ended.code, read(ended)) == ("end", Work("n1", 0, 1200 * SECOND, "shorter", 1010 * SECOND, True))
    clock.now += 600
    assert [e.code for e in source.collect()] == ["end"]


def test_lines_that_are_none_are_counted_once_and_stop_nobody(file: Path, clock: Clock) -> None:
    file.write_bytes(b"{}\nnonsense\n")
    add_to_file(file, [PLAN.event(0), Event(0, "n1", "xid", "48")])
    source = plugins.collector("maintenance", file, clock=clock)
    assert len(source.collect()) == 1
    assert source.rejected == {"no_event": 2, "other_source": 1}
    assert "line 2" in source.last_error
    add_to_file(file, [Work("n2", 0, 9 * HOUR).event(0)])
    assert [e.subject for e in source.collect()] == ["n2"]
    assert source.rejected["no_event"] == 2


def test_a_file_that_cannot_be_read_or_goes_away(tmp_path: Path, clock: Clock) -> None:
    source = plugins.collector("maintenance", tmp_path, clock=clock)
    assert source.collect() == []
    assert source.rejected == {"unreadable": 1}
    assert str(tmp_path) in source.last_error


def test_a_clock_that_was_set_back_does_not_silence_it(file: Path, clock: Clock) -> None:
    clock.now = 5000.0
    add_to_file(file, [Work("n1", 0, 9 * HOUR).event(0)])
    source = plugins.collector("maintenance", file, clock=clock)
    assert len(source.collect()) == 1
    clock.now = 100.0
    assert len(source.collect()) == 1
