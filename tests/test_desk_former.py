"""Desk: who was the first suspect before stays named while others of its incident are in trouble."""

from __future__ import annotations

from grayscope.desk import Desk
from grayscope.verdict import Verdict
from tests.desked import one, say


def hot(time: int, gpu: int, state: str = "gray") -> Verdict:
    return say(time, f"n1/gpu{gpu}", state, mode="thermal_throttle", side="service")


def test_who_was_paged_for_stays_named_when_a_neighbour_is_left() -> None:
    desk = Desk("c")
    paged = one(desk, hot(1, 4))
    assert one(desk, hot(30, 5, "masked")).subject == "n1/gpu4"
    left = one(desk, hot(40, 4, "normal"))
    assert (left.id, left.subject, left.rivals, left.probability) == (paged.id, "n1/gpu5", (("n1/gpu4", 0.2),), 0.8)
    other = Desk("c")
    other.restore(desk.snapshot())
    for d in (desk, other):
        assert [r for r, _ in one(d, hot(50, 5, "normal")).rivals] == ["n1/gpu4"]
        again = one(d, hot(60, 5, "masked"))
        assert (again.id, again.rivals) == (paged.id, left.rivals)
    assert [r for r, _ in one(desk, hot(70, 4)).rivals] == ["n1/gpu5"]  # back: it is named once


def test_of_many_first_suspects_before_the_latest_are_named() -> None:
    desk = Desk("c")
    for gpu in range(6):
        one(desk, hot(10 * gpu + 1, gpu))
        left = one(desk, hot(10 * gpu + 2, gpu - 1, "normal")) if gpu else None
    assert left is not None
    assert ([s for s, _ in left.rivals], round(left.probability + sum(p for _, p in left.rivals), 9)) == (["n1/gpu3", "n1/gpu4"], 1.0)


def test_a_first_suspect_that_was_only_a_notice_is_forgotten() -> None:
    desk = Desk("c")
    one(desk, say(1, "n1/gpu4", "unknown", mode="thermal_throttle"))
    one(desk, hot(2, 5))
    assert one(desk, hot(3, 4, "normal")).rivals == ()


def test_who_left_for_an_incident_of_its_own_is_no_rival_of_the_one_that_it_left() -> None:
    desk = Desk("c")
    one(desk, hot(1, 3))
    one(desk, hot(2, 4))
    left, new = desk.step([say(3, "n1/gpu3", "failed", "gray", mode="gpu_lost", side="health")])
    assert (left.subject, left.rivals, new.subject) == ("n1/gpu4", (), "n1/gpu3")
