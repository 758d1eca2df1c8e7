"""Score: what is false, what repeats, and that neither order nor nesting decides it."""

from __future__ import annotations

from tests.scored import MINUTE, fault, overall, paged, said

# -- benign, false, repeats -----------------------------------------------------------------------------------------


def test_what_matches_only_a_benign_row_is_false() -> None:
    part = overall([fault(state="benign")], [paged(20)])
    assert (part.recall, part.precision, len(part.false), len(part.finds)) == (None, 0.0, 1, 0)


def test_a_second_incident_is_a_repeat_and_counts_in_neither() -> None:
    part = overall([fault()], [paged(40, name="late"), paged(20, name="early"), paged(20, subject="n7", name="wrong")])
    assert [(f.incident.id, f.delay) for f in part.found if f.incident] == [("early", 10 * MINUTE)]
    assert [i.id for i in part.repeats] == ["late"]
    assert [i.id for i in part.false] == ["wrong"]
    assert part.precision == 0.5


def test_one_incident_may_find_two_rows_and_is_matched_once() -> None:
    rows = [fault(state="masked", ended=30 * MINUTE), fault(state="gray", began=30 * MINUTE)]
    part = overall(rows, [said((12 * MINUTE, "masked", "ticket"), (33 * MINUTE, "gray", "page"))])
    assert [(f.row.state, f.delay, f.right) for f in part.finds] == [("masked", 2 * MINUTE, True), ("gray", 3 * MINUTE, True)]
    assert (part.matched, part.precision, len(part.repeats)) == (1, 1.0, 0)


def test_false_pages_and_tickets_are_rated_apart() -> None:
    part = overall([], [paged(1, name="p"), said((1, "masked", "ticket"), name="t1"), said((2, "masked", "ticket"), name="t2")])
    assert (part.false_rate("page"), part.false_rate("ticket")) == (100.0, 200.0)


# -- ties, nesting, whole runs --------------------------------------------------------------------------------------


def test_of_two_incidents_at_the_same_moment_the_right_state_finds_then_the_earlier_then_the_name() -> None:
    wrong = said((20 * MINUTE, "masked", "ticket"), name="a")
    assert [f.incident.id for f in overall([fault()], [wrong, paged(20, name="b")]).found if f.incident] == ["b"]
    old = said((5 * MINUTE, "gray", "page"), name="z")  # both match at the onset
    older = said((4 * MINUTE, "gray", "page"), name="zz")
    assert [f.incident.id for f in overall([fault()], [old, older]).found if f.incident] == ["zz"]
    assert [f.incident.id for f in overall([fault()], [paged(20, name="d"), paged(20, name="c")]).found if f.incident] == ["c"]


def test_the_order_of_incidents_and_rows_does_not_matter() -> None:
    rows = [fault(), fault("n1/gpu1", began=5 * MINUTE), fault("n1", "failed", began=15 * MINUTE), fault("n2/nic0/port")]
    incidents = [paged(20, name="a"), paged(20, subject="n1", name="b"), paged(21, subject="n2/nic0", name="c"), paged(22, subject="n9", name="d")]
    one, other = overall(rows, incidents), overall(rows[::-1], incidents[::-1])
    assert one.to_dict() == other.to_dict()
    assert {i.id for i in one.repeats} == {i.id for i in other.repeats}


def test_nested_subjects_go_one_level_up_and_one_down() -> None:
    rows = [fault("n1"), fault("n1/gpu0"), fault("n1/gpu0/link1")]
    part = overall(rows, [paged(20, subject="n1/gpu0")])
    assert [f.exact for f in part.finds] == [False, True, False]
    assert (part.recall, part.matched, part.precision) == (1.0, 1, 1.0)
    assert [f.incident is not None for f in overall(rows, [paged(20, subject="n1")]).finds] == [True, True, False]
    assert [f.incident is not None for f in overall(rows, [paged(20, subject="n1/gpu0/link1/lane0")]).finds] == [False, False, True]


def test_whole_and_part_reported_apart_are_one_match_and_one_repeat() -> None:
    part = overall([fault("n1/gpu0")], [paged(20, subject="n1", name="node"), paged(21, name="gpu")])
    assert ([f.exact for f in part.found], [i.id for i in part.repeats], part.precision) == ([False], ["gpu"], 1.0)


def test_who_repeats_one_row_but_finds_another_is_no_repeat() -> None:
    rows = [fault("n1/gpu0"), fault("n1/gpu1", began=30 * MINUTE)]
    part = overall(rows, [paged(12, subject="n1/gpu0", name="a"), paged(31, subject="n1", name="b")])
    assert (part.matched, part.repeats, part.precision) == (2, [], 1.0)


def test_an_incident_opened_again_and_again_repeats() -> None:
    part = overall([fault(ended=None)], [paged(20 + 30 * k, name=f"{k:02d}", ended=(25 + 30 * k) * MINUTE) for k in range(9)])
    assert (part.matched, len(part.repeats), len(part.false), part.precision, part.recall) == (1, 8, 0, 1.0, 1.0)
