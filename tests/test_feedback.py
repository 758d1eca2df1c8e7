"""Feedback: the last word on an incident counts, and what share was true is told with its bounds."""

from __future__ import annotations

import itertools

import pytest

from grayscope.event import Event
from grayscope.feedback import Answer, Asked, answers, asked, asked_of, in_the_field, precision, read
from grayscope.incident import Incident
from grayscope.saidrows import incident_dict


def test_the_last_word_counts_in_whatever_order_words_come() -> None:
    words = [Answer("a", "n1", True, 5, "first"), Answer("a", "n1", False, 9, "second"), Answer("b", "n2", True, 7)]
    for order in itertools.permutations(words):
        said = answers([w.event(0) for w in order])
        assert {k: (w.true, w.note) for k, w in said.items()} == {"a": (False, "second"), "b": (True, "")}


@pytest.mark.parametrize("event", [Event(9, "n1", "feedback", "maybe", "ab"), Event(9, "n1", "feedback", "true", ""), Event(9, "n1", "xid", "true", "ab")])
def test_what_is_no_answer_is_none(event: Event) -> None:
    assert read(event) is None


def test_an_answer_by_hand_has_the_time_of_its_event_and_harmless_words() -> None:
    found = read(Event(9, "n1", "feedback", "false", "ab12 was a\x1b[2J test " + "x" * 10_000))
    assert found is not None
    assert (found.incident, found.true, found.told, found.note[:5]) == ("ab12", False, 9, "was a")
    assert found.note.isprintable()
    assert len(found.note) <= 200


@pytest.mark.parametrize(("true", "false", "low", "high"), [(10, 0, 0.7225, 1.0), (0, 10, 0.0, 0.2775), (8, 2, 0.4902, 0.9433), (1, 1, 0.0945, 0.9055)])
def test_wilsons_interval(true: int, false: int, low: float, high: float) -> None:
    """Against the figures of published tables."""
    some = [Asked(str(i), "n", "", "page", 0) for i in range(true + false + 3)]
    found = precision(some, {str(i): Answer(str(i), "n", i < true, 0) for i in range(true + false)})
    assert found[:3] == (true, false, 3)
    assert found.low == pytest.approx(low, abs=1e-4)
    assert found.high == pytest.approx(high, abs=1e-4)


def test_by_severity_and_mode_and_notices_are_no_claims() -> None:
    some = [
        Asked("a", "n1", "slow_rank", "page", 0),
        Asked("b", "n2", "slow_rank", "ticket", 0),
        Asked("c", "n3", "", "ticket", 0),
        Asked("d", "n4", "silent", "notice", 0),
    ]
    found = in_the_field(some, {x: Answer(x, "", x != "b", 0) for x in "abd"})
    assert {k: v[:3] for k, v in found["severity"].items()} == {"page": (1, 0, 0), "ticket": (0, 1, 1), "notice": (1, 0, 0)}
    assert {k: v[:3] for k, v in found["mode"].items()} == {"slow_rank": (1, 1, 0), "no name": (0, 0, 1)}
    assert found["all"]["pages and tickets"][:3] == (1, 1, 1)


def test_an_incident_is_asked_by_the_worst_that_was_told_of_it() -> None:
    incident = Incident("ab", "n1", "n1", "unknown", "notice", "maintenance", 0, 9_000_000, history=((9, "gray", "page"), (10, "unknown", "notice")))
    assert asked(incident) == asked_of(incident_dict(incident)) == Asked("ab", "n1", "maintenance", "page", 9_000_000)


@pytest.mark.parametrize(
    "told", [{}, {"id": "a"}, {"id": "a", "subject": "n", "severity": "loud", "noticed": "x"}, {"id": "a", "subject": "n", "severity": "page", "noticed": "?"}]
)
def test_what_is_no_incident_is_passed_over(told: dict[str, object]) -> None:
    assert asked_of(told) is None
