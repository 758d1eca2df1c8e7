"""Maintenance: what events say about planned work, in whatever order they come, and what it covers."""

from __future__ import annotations

import itertools

import pytest

from grayscope.agenda import MOST, Agenda, places
from grayscope.event import Event
from grayscope.maintenance import HOUR, NEVER_BEYOND, SECOND, Work, read
from grayscope.roster import RosterRow, View

NOBODY = View(0, {})


def rows(*found: RosterRow) -> View:
    return View(1, {r.subject: r for r in found})


def begin(start: int, end: int | None, *, subject: str = "n1", note: str = "fan", told: int = 0) -> Event:
    return Work(subject, start, end, note).event(told)


def ended(start: int, end: int, *, note: str = "", told: int = 0) -> Event:
    return Work("n1", start, end, note, closed=True).event(told)


def test_what_is_told_is_read_back() -> None:
    for work in (Work("n1/gpu3", 10, None, "a note / with .. all"), Work("site", 0, 5 * SECOND, "", 7), Work("n1", 3, 3, "x", 7, True)):
        found = read(work.event(7))
        assert found == Work(work.subject, work.start, work.end, work.note, 7, work.closed)


@pytest.mark.parametrize(
    "text", ["", "new fan", "2026-01-05/2026-01-06 no zone", "../..", "9999999-01-01T00:00:00Z/.. x", "a/b", "1970-01-01T00:00:09Z/1970-01-01T00:00:01Z"]
)
def test_a_text_without_an_interval_is_all_note(text: str) -> None:
    assert read(Event(9, "n1", "maintenance", "begin", text)) == Work("n1", 9, None, text, 9)


def test_others_events_and_hostile_notes() -> None:
    assert read(Event(9, "n1", "xid", "48")) is None
    assert read(Event(9, "n1", "maintenance", "BEGIN")) is None
    found = read(Event(9, "n1", "maintenance", "begin", "a\x1b[31m\n" + "b" * 10_000))
    assert found is not None
    assert found.note.isprintable()
    assert len(found.note) <= 200


def test_a_day_ahead_and_an_end_that_was_forgotten() -> None:
    agenda = Agenda(longest=24 * HOUR)
    agenda.take(begin(30 * HOUR, None))
    held = [agenda.over("n1", t, NOBODY) is not None for t in (0, 30 * HOUR - 1, 30 * HOUR, 54 * HOUR - 1, 54 * HOUR)]
    assert held == [False, False, True, True, False]
    assert agenda.next(0) == 30 * HOUR
    assert agenda.next(30 * HOUR) == 54 * HOUR
    assert agenda.next(54 * HOUR) is None


def test_no_work_lasts_for_ever() -> None:
    agenda = Agenda()
    agenda.take(begin(0, 10 * NEVER_BEYOND))
    assert agenda.over("n1", NEVER_BEYOND - 1, NOBODY) is not None
    assert agenda.over("n1", NEVER_BEYOND, NOBODY) is None


def test_of_overlapping_works_the_one_that_lasts_counts() -> None:
    agenda = Agenda()
    agenda.take(begin(0, 50, note="short"))
    agenda.take(begin(10, 90, subject="n1/gpu3", note="long"))
    found = [w.note if (w := agenda.over("n1/gpu3", t, NOBODY)) else None for t in (5, 20, 60, 90)]
    assert found == ["short", "long", "long", None]


def test_any_order_of_words_comes_to_the_same() -> None:
    words = [begin(10, None), begin(10, 80, told=3, note="amended"), ended(10, 60, told=5, note="done"), ended(10, 70, told=6), begin(20, 40, subject="n2")]
    found = set()
    for order in itertools.permutations(words):
        agenda = Agenda()
        for word in order:
            agenda.take(word)
        found.add(tuple(sorted((w.subject, w.start, w.end or -1, w.closed, w.note) for w in agenda.works.values())))
    assert found == {(("n1", 10, 60, True, "done"), ("n2", 20, 40, False, "fan"))}


def test_a_plain_end_ends_all_work_on_its_subject() -> None:
    agenda = Agenda()
    for event in (begin(0, None), begin(10, 90), begin(10, 90, subject="n1/gpu0"), begin(70, 90)):
        agenda.take(event)
    assert agenda.take(Event(50, "n1", "maintenance", "end", "all done"))
    assert sorted((w.subject, w.start, w.end) for w in agenda.works.values()) == [("n1", 0, 50), ("n1", 10, 50), ("n1", 70, 90), ("n1/gpu0", 10, 90)]
    assert not agenda.take(Event(50, "n7", "maintenance", "end"))


def test_a_plain_end_that_comes_again_leaves_what_was_planned_since() -> None:
    agenda, restored, word = Agenda(after=0), Agenda(after=0), Event(50, "n1", "maintenance", "end")
    agenda.take(begin(0, None))
    assert agenda.take(word)
    agenda.take(begin(40, 90, told=60))
    restored.restore(agenda.snapshot())
    for one in (agenda, restored):
        assert not one.take(word)
        assert one.over("n1", 70, NOBODY) is not None
        assert one.take(Event(80, "n1", "maintenance", "end"))
        assert one.over("n1", 80, NOBODY) is None


def test_plain_ends_are_forgotten_and_few() -> None:
    agenda = Agenda(longest=100)
    for i in range(MOST + 5):
        agenda.take(Event(i, f"n{i}", "maintenance", "end"))
    assert len(agenda.ends) <= MOST
    assert f"n{MOST + 4}" in agenda.ends
    agenda.forget(MOST + 105)
    assert not agenda.ends


def test_repeated_words_change_nothing_and_memory_is_bounded() -> None:
    agenda = Agenda()
    assert agenda.take(begin(0, 50))
    assert not agenda.take(begin(0, 50))
    for i in range(MOST + 10):
        agenda.take(begin(i, i + 1000, subject=f"m{i}"))
    assert len(agenda.works) <= MOST
    assert agenda.over(f"m{MOST + 9}", MOST + 9, NOBODY) is not None
    assert agenda.over("n1", 10, NOBODY) is None
    agenda.forget(100 * NEVER_BEYOND)
    assert not agenda.works


def test_what_is_over_makes_room_first_and_what_is_not_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("grayscope.agenda.MOST", 16)
    agenda, other = Agenda(), Agenda()
    for i in range(16):
        agenda.take(begin(i, 100 if i else 10, subject=f"m{i}", told=i))
    agenda.take(begin(20, 200, told=20))
    assert (len(agenda.works), agenda.lost) == (16, 0)
    assert agenda.over("m0", 5, NOBODY) is None
    agenda.take(begin(21, 200, told=21))
    assert (len(agenda.works), agenda.lost) == (14, 3)
    other.restore(agenda.snapshot())
    assert other.lost == 3


def test_a_restored_agenda_says_the_same() -> None:
    agenda, other = Agenda(after=5), Agenda(after=5)
    for event in (begin(0, None), ended(0, 30, told=2), begin(40, 50, subject="site", note="hall")):
        agenda.take(event)
    other.restore(agenda.snapshot())
    assert [other.over("x", t, NOBODY) for t in range(60)] == [agenda.over("x", t, NOBODY) for t in range(60)]
    assert other.works == agenda.works


def test_everything_below_and_everything_there_by_the_roster() -> None:
    view = rows(
        RosterRow("n1", "node", keys={"rack": "r7", "leaf": "leaf04"}), RosterRow("n1/gpu3", "gpu", keys={"sku": "n9"}),
        RosterRow("job:42/r3", "rank", keys={"gpu": "n1/gpu3", "rail": "rail:3"}),
    )  # fmt: skip
    assert {"n1", "r7", "rack:r7", "leaf04", "site", "n1/gpu3"} <= places("n1/gpu3/nvlink5", view)
    assert {"n1", "r7", "leaf04", "rail:3", "job:42", "n1/gpu3"} <= places("job:42/r3", view)
    assert "n9" not in places("n1/gpu3", view)
    assert places("n10", view) == {"n10", "site"}
    assert {"n1", "r7", "n5", "n1>n5"} <= places("n1>n5", view)


def test_a_roster_that_goes_in_circles_ends() -> None:
    view = rows(RosterRow("a", "node", keys={"node": "b"}), RosterRow("b", "node", keys={"node": "a", "gpu": "b"}))
    assert places("a", view) >= {"a", "b"}
