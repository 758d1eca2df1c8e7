"""Eased: what is as grave as a page now and then is one page; it becomes a ticket when nobody has suffered from it for long."""

from __future__ import annotations

from collections.abc import Iterator

from grayscope.again import WITHIN
from grayscope.announce import Announce
from grayscope.desk import Desk
from grayscope.eased import until
from grayscope.explaining import explain
from grayscope.incident import Incident
from grayscope.modes import MAINTENANCE
from tests.desked import late, one, say

MINUTE = 60_000_000


def flapping(desk: Desk, script: dict[int, str]) -> Iterator[Incident]:
    """Yield what becomes of one GPU that is said to be so from these minutes on, with a look each minute."""
    for minute in range(max(script) + 1):
        yield from desk.step([late(minute * MINUTE, 1, script[minute])] if minute in script else [], now=minute * MINUTE)


def test_what_is_gray_now_and_then_pages_once() -> None:
    desk = Desk("c")
    *_, last = flapping(desk, {0: "masked", 5: "gray", 12: "masked", 30: "gray", 40: "masked", 95: "gray"})
    assert [(t // MINUTE, state, severity) for t, state, severity in last.history] == [
        (0, "masked", "ticket"), (5, "gray", "page"), (12, "masked", "page"), (30, "gray", "page"), (40, "masked", "page"), (95, "gray", "page"),
    ]  # fmt: skip
    assert last.escalated == 5 * MINUTE


def test_after_an_hour_without_anybody_who_waits_it_is_a_ticket_and_so_after_a_pause() -> None:
    desk = Desk("c")
    list(flapping(desk, {0: "gray", 10: "masked"}))
    other = Desk("c")
    other.restore(desk.snapshot())
    for d in (desk, other):
        assert list(d.step([], now=10 * MINUTE + WITHIN - 1)) == []
        (calm,) = d.step([], now=10 * MINUTE + WITHIN)
        assert calm.history[-2:] == ((10 * MINUTE, "masked", "page"), (10 * MINUTE + WITHIN, "masked", "ticket"))
        assert list(d.step([], now=1000 * MINUTE)) == []
        assert one(d, late(1001 * MINUTE, 1)).severity == "page"


def test_the_longer_its_pauses_were_the_longer_it_is_waited_for() -> None:
    script = {0: "gray", 10: "masked", 110: "gray", 120: "masked", 319: "masked"}  # the first pause ended as a ticket
    *_, last = flapping(Desk("c"), script)
    assert (last.state, last.severity, until(last.history)) == ("masked", "page", 320 * MINUTE)


def test_what_never_was_a_page_what_is_over_and_what_somebody_works_on_is_none() -> None:
    ticket, over, work = Desk("c"), Desk("c"), Desk("c")
    assert [i.severity for i in flapping(ticket, {0: "masked", 9: "masked"})] == ["ticket", "ticket"]
    *_, ended = flapping(over, {0: "gray", 10: "masked", 20: "normal"})
    assert (ended.ended, list(over.step([], now=100 * MINUTE))) == (20 * MINUTE, [])
    list(flapping(work, {0: "gray", 10: "masked"}))
    planned = one(work, say(20 * MINUTE, "n1/gpu1", "unknown", "masked", mode=MAINTENANCE, behind="slow_rank", side="coverage"))
    assert (planned.severity, list(work.step([], now=100 * MINUTE))) == ("notice", [])


def test_a_part_that_is_left_by_what_suffered_is_no_page() -> None:
    desk = Desk("c")
    first = one(desk, late(1, 1))
    one(desk, say(2, "n1", "masked", mode="fan_degraded", side="redundancy"))
    left, other = desk.step([say(3, "n1/gpu1", "failed", "gray", mode="gpu_lost", side="health")], now=3)
    assert (left.id, left.subject, left.severity, other.severity) == (first.id, "n1", "ticket", "page")


def test_a_receiver_hears_one_page_until_it_becomes_a_ticket() -> None:
    desk, announce = Desk("c"), Announce("c")
    told = [a for i in flapping(desk, {0: "gray", 12: "masked", 30: "gray", 40: "masked", 101: "masked"}) for a in announce.step([i])]
    names = [(a.labels["alertname"], a.labels["severity"], a.annotations["state"], a.starts // MINUTE, a.firing) for a in told]
    assert names == [
        ("GrayFailure", "page", "gray", 0, True),
        ("GrayFailure", "page", "masked", 0, True),
        ("GrayFailure", "page", "gray", 0, True),
        ("GrayFailure", "page", "masked", 0, True),
        ("GrayFailure", "page", "masked", 0, False),
        ("MaskedRedundancy", "ticket", "masked", 100, True),
    ]


def test_it_is_told_until_when_it_is_one() -> None:
    *_, last = flapping(Desk("c"), {0: "gray", 10: "masked"})
    assert "eased: nobody waits for it since 1970-01-01T00:10:00Z; a ticket from 1970-01-01T01:10:00Z on, unless somebody does before" in explain(last)
