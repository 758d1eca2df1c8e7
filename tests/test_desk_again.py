"""Desk: what comes back soon after its end goes on with its incident, what comes back late or under another name does not."""

from __future__ import annotations

import pytest

from grayscope.again import patience
from grayscope.desk import Desk
from tests.desked import late, one, say


def test_what_comes_back_within_the_hour_under_its_name_is_the_same_fault() -> None:
    hour = 3_600_000_000
    desk = Desk("c")
    first = one(desk, late(1, 1))
    one(desk, late(5, 1, "normal"))
    other = Desk("c")
    other.restore(desk.snapshot())
    for back in (one(desk, late(5 + hour, 1)), one(other, late(5 + hour, 1))):
        assert (back.id, back.ended, back.state, back.severity, back.escalated, back.began) == (first.id, None, "gray", "page", None, 0)
        assert back.history == ((1, "gray", "page"), (5, "normal", "notice"), (5 + hour, "gray", "page"))
    ended = one(desk, late(6 + hour, 1, "normal"))
    assert (ended.state, ended.severity, ended.ended) == ("gray", "page", 6 + hour)


def test_what_was_never_away_is_over_after_an_hour() -> None:
    desk = Desk("c")
    first = one(desk, late(1, 1))
    one(desk, late(5, 1, "normal"))
    assert one(desk, late(6 + 3_600_000_000, 1)).id != first.id


def test_what_comes_and_goes_is_waited_for_as_long_as_it_was_away_before() -> None:
    minute = 60_000_000
    script = [(0, "gray"), (10, "normal"), (40, "gray"), (50, "normal"), (90, "gray"), (100, "normal"), (130, "gray"), (140, "normal")]
    desk = Desk("c")
    ids = {one(desk, late(t * minute, 1, state)).id for t, state in script}
    other = Desk("c")
    other.restore(desk.snapshot())
    wait = patience(next(iter(desk.again)).history)
    assert (len(ids), wait // minute) == (1, 171)
    one(desk, late(300 * minute, 2))
    one(desk, late(301 * minute, 2, "normal"))  # whoever ends then makes the desk forget what is over, not this
    assert one(desk, late(140 * minute + wait, 1)).id in ids
    assert one(other, late(141 * minute + wait, 1)).id not in ids


def test_another_trouble_in_between_makes_nobody_forget_the_first() -> None:
    desk = Desk("c")
    first = one(desk, late(1, 1))
    one(desk, late(2, 1, "normal"))
    assert one(desk, say(3, "n1/gpu1", "masked", mode="ecc_burst")).id != first.id
    one(desk, say(4, "n1/gpu1", "normal"))
    assert one(desk, late(5, 1)).id == first.id


def test_what_flaps_each_minute_is_over_after_an_hour() -> None:
    desk = Desk("c")
    ids = {one(desk, late(t * 60_000_000, 1, "normal" if t % 2 else "masked")).id for t in range(20)}
    assert (len(ids), patience(next(iter(desk.again)).history)) == (1, 3_600_000_000)


@pytest.mark.parametrize("mode", ["thermal_throttle", ""])
def test_what_comes_back_under_another_name_or_none_is_a_fault_of_its_own(mode: str) -> None:
    desk = Desk("c")
    first = one(desk, say(1, "n1/gpu1", "masked", mode="slow_rank" if mode else ""))
    one(desk, say(5, "n1/gpu1", "normal"))
    assert one(desk, say(6, "n1/gpu1", "masked", mode=mode)).id != first.id


def test_a_ticket_that_comes_back_as_a_page_has_escalated() -> None:
    desk = Desk("c")
    one(desk, late(1, 1, "masked"))
    one(desk, late(5, 1, "normal"))
    assert one(desk, late(9, 1)).escalated == 9
