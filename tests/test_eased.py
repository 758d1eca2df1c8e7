"""Eased: what is as grave as a page now and then is one page; it becomes a ticket when nobody has suffered from it for long."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from grayscope.again import WITHIN
from grayscope.announce import Announce
from grayscope.desk import Desk
from grayscope.explaining import explain
from grayscope.handing import Note
from grayscope.incident import Incident
from grayscope.modes import MAINTENANCE
from grayscope.roster import RosterRow, View
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


def test_pages_that_ease_at_once_become_tickets_in_an_order_that_a_pause_keeps() -> None:
    desk, other = Desk("c"), Desk("c")
    list(desk.step([say(0, f"n{n}/gpu0", "gray", mode="slow_rank", side="service") for n in (1, 2)], now=0))
    list(desk.step([say(1, f"n{n}/gpu0", "masked", mode="slow_rank", side="service") for n in (2, 1)], now=1))
    other.restore(desk.snapshot())
    assert [[i.subject for i in d.step([], now=1 + WITHIN)] for d in (desk, other)] == [["n1/gpu0", "n2/gpu0"]] * 2


def test_what_had_failed_since_is_no_page_when_it_is_masked() -> None:
    *_, last = flapping(Desk("c"), {0: "gray", 5: "failed", 10: "masked"})
    assert last.history[-2:] == ((5 * MINUTE, "failed", "page"), (10 * MINUTE, "masked", "ticket"))


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


def test_somebody_else_who_leaves_changes_nothing() -> None:
    desk = Desk("c")
    first = one(desk, say(1, "n1", "gray", mode="fan_degraded", side="service"))
    one(desk, late(2, 2, "masked"))
    one(desk, say(3, "n1", "masked", "gray", mode="fan_degraded", side="redundancy"))
    left, other = desk.step([say(4, "n1/gpu2", "failed", "masked", mode="gpu_lost", side="health")], now=4)
    assert (left.id, left.severity, other.severity) == (first.id, "page", "ticket")


def test_where_somebody_works_on_the_one_that_suffered_what_is_left_is_no_page() -> None:
    desk = Desk("c")
    one(desk, say(1, "n1", "masked", mode="fan_degraded", side="redundancy"))
    assert one(desk, late(2, 1)).severity == "page"
    planned = one(desk, say(3, "n1/gpu1", "unknown", "gray", mode=MAINTENANCE, behind="slow_rank", side="coverage"))
    assert (planned.subject, planned.severity) == ("n1", "ticket")


def test_an_eased_page_of_a_way_goes_on_in_the_ticket_of_the_part_that_explains_it() -> None:
    ring = RosterRow("comm:1-rail2", "comm", crosses=("n1/nic2", "n3/nic2", "leaf04"))
    view, desk = View(0, {r.subject: r for r in (ring, replace(ring, subject="comm:2-rail2", crosses=("n3/nic2", "n5/nic2", "leaf04")))}), Desk("c")
    way = {"mode": "slow_path", "side": "service"}
    list(desk.step([say(1, "comm:2-rail2", "masked", **way), say(2, "comm:1-rail2", "gray", **way), say(3, "comm:1-rail2", "masked", "gray", **way)], view))
    assert [i.severity for i in desk.open.values()] == ["ticket", "page"]
    list(desk.step([say(4, "n3/nic2", "masked", mode="nic_errors", side="redundancy")], view))
    assert [(i.subject, i.severity) for i in desk.open.values()] == [("n3/nic2", "ticket")]


def test_what_fails_on_a_node_is_told_there_before_an_eased_page() -> None:
    eased, failed = (Note(i, "n1", f"n1/{i}", severity, state, "", 0, 0) for i, severity, state in (("a", "page", "masked"), ("b", "ticket", "failed")))
    assert max((eased, failed), key=lambda note: note.rank) is failed


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
