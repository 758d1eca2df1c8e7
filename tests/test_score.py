"""Score: which incident finds which row of the truth, by name and by time."""

from __future__ import annotations

import pytest

from tests.scored import MINUTE, fault, overall, paged, said

# -- names ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("named", "found", "exact"),
    [
        ("n1/gpu0", True, True),
        ("n1", True, False),  # parent
        ("n1/gpu0/pcie", True, False),  # child
        ("n1/gpu0/pcie/lane3", False, False),  # grandchild
        ("n1/gpu1", False, False),  # sibling
        ("n1/gpu00", False, False),
        ("n2/nic0", True, True),  # also
        ("n2", False, False),  # the parent of an also is nobody
        ("site", False, False),
    ],
)
def test_which_names_match(named: str, found: bool, exact: bool) -> None:
    part = overall([fault(also=["n2/nic0"])], [paged(20, subject=named)])
    assert (len(part.found), len(part.false)) == ((1, 0) if found else (0, 1))
    assert [f.exact for f in part.found] == ([exact] if found else [])


def test_only_the_first_three_rivals_count_and_are_not_exact() -> None:
    third = overall([fault()], [paged(20, subject="n9", rivals=("x", "y", "n1/gpu0"))])
    fourth = overall([fault()], [paged(20, subject="n9", rivals=("x", "y", "z", "n1/gpu0"))])
    assert [f.exact for f in third.found] == [False]
    assert (third.precision, fourth.precision) == (1.0, 0.0)


def test_a_subject_without_parent_is_not_matched_by_an_empty_name() -> None:
    assert overall([fault("n1")], [paged(20, subject="")]).recall == 0.0


# -- time -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("minute", "found"), [(10, True), (70, True), (130, True), (131, False)])
def test_a_page_may_come_up_to_an_hour_after_the_end(minute: int, found: bool) -> None:
    assert len(overall([fault()], [paged(minute, ended=200 * MINUTE)]).found) == found


def test_an_earlier_incident_matches_if_it_is_open_with_the_right_state() -> None:
    part = overall([fault()], [paged(5)])
    assert [(f.delay, f.right) for f in part.found] == [(0, True)]


def test_an_earlier_incident_that_ended_before_is_false() -> None:
    part = overall([fault()], [paged(5, ended=9 * MINUTE)])
    assert (part.recall, len(part.false)) == (0.0, 1)


def test_an_earlier_open_incident_of_another_state_is_false_until_it_says_so() -> None:
    ticket = (5 * MINUTE, "masked", "ticket")
    assert overall([fault()], [said(ticket)]).recall == 0.0
    (find,) = overall([fault()], [said(ticket, (30 * MINUTE, "gray", "page"))]).found
    assert (find.delay, find.right) == (20 * MINUTE, True)


def test_the_state_counts_at_the_moment_of_the_match_not_later() -> None:
    part = overall([fault()], [said((15 * MINUTE, "masked", "ticket"), (30 * MINUTE, "gray", "page"))])
    assert [(f.delay, f.right) for f in part.found] == [(5 * MINUTE, False)]
    assert part.to_dict()["state_right_share"] == 0.0


def test_a_notice_in_its_history_is_no_match_but_its_later_page_is() -> None:
    part = overall([fault()], [said((15 * MINUTE, "unknown", "notice"), (25 * MINUTE, "gray", "page"))])
    assert [f.delay for f in part.found] == [15 * MINUTE]


def test_an_incident_that_stayed_a_notice_neither_finds_nor_is_false() -> None:
    part = overall([fault()], [said((20 * MINUTE, "unknown", "notice"))])
    assert (part.recall, part.precision, len(part.false)) == (0.0, None, 0)


def test_an_open_row_is_found_at_any_time_after_its_onset() -> None:
    assert overall([fault(ended=None)], [paged(9999)]).recall == 1.0


def test_who_ends_or_turns_just_as_the_fault_begins_was_not_open_then() -> None:
    ended = overall([fault()], [paged(5, ended=10 * MINUTE)])
    turned = overall([fault()], [said((5 * MINUTE, "gray", "notice"), (10 * MINUTE, "unknown", "notice"), (200 * MINUTE, "gray", "page"))])
    assert [(p.recall, len(p.false)) for p in (ended, turned)] == [(0.0, 1), (0.0, 1)]
    assert overall([fault()], [paged(5, ended=10 * MINUTE + 1)]).recall == 1.0


def test_the_hour_of_grace_is_for_pages_and_tickets_not_for_being_open() -> None:
    late = (100 * MINUTE, "gray", "notice")
    assert overall([fault()], [said((5 * MINUTE, "unknown", "notice"), late, (140 * MINUTE, "gray", "page"))]).recall == 0.0
    (find,) = overall([fault()], [said((5 * MINUTE, "unknown", "notice"), late, (125 * MINUTE, "gray", "page"))]).found
    assert (find.delay, find.right) == (115 * MINUTE, True)


def test_a_notice_with_the_right_state_counts_from_then_once_the_incident_is_a_page() -> None:
    (find,) = overall([fault()], [said((20 * MINUTE, "gray", "notice"), (50 * MINUTE, "gray", "page"))]).found
    assert (find.delay, find.right) == (10 * MINUTE, True)


def test_a_ticket_that_becomes_a_page_is_one_incident_found_at_the_ticket() -> None:
    part = overall([fault(state="masked")], [said((20 * MINUTE, "masked", "ticket"), (40 * MINUTE, "gray", "page"))])
    assert [(f.delay, f.right) for f in part.found] == [(10 * MINUTE, True)]
    assert (part.matched, part.repeats, part.false) == (1, [], [])


def test_an_open_incident_that_is_a_notice_by_now_counts_as_one() -> None:
    steps = [(20 * MINUTE, "gray", "page"), (30 * MINUTE, "unknown", "notice")]
    assert overall([fault()], [{**said(*steps), "severity": "notice"}]).recall == 0.0
    assert overall([fault()], [{**said(*steps, ended=40 * MINUTE), "severity": "page"}]).recall == 1.0  # ended: the worst counts
    assert overall([fault()], [{**said(*steps, ended=40 * MINUTE), "severity": "page"}], until=35 * MINUTE).recall == 0.0


def test_of_two_changes_at_one_moment_the_last_is_the_state() -> None:
    both = [(20 * MINUTE, "gray", "page"), (20 * MINUTE, "masked", "ticket")]
    assert [[f.right for f in overall([fault()], [said(*h)]).found] for h in (both, both[::-1])] == [[False], [True]]
