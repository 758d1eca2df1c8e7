"""Desk: a communicator is slow; later the part of its way that is to blame is known: one incident, one page, that part its first suspect."""

from __future__ import annotations

from dataclasses import replace
from time import process_time

import pytest

from grayscope.again import WITHIN
from grayscope.announce import Announce
from grayscope.desk import Desk
from grayscope.incident import Incident
from grayscope.roster import RosterRow, View
from grayscope.verdict import Verdict
from tests.desked import say

RING = "comm:1-rail2"
VIEW = View(0, {RING: RosterRow(RING, "comm", crosses=("n1/nic2", "n2/nic2", "n3/nic2", "leaf04"))})


def ring(time: int, state: str = "gray", previous: str = "normal", mode: str = "slow_component") -> Verdict:
    return say(time, RING, state, previous, mode=mode, side="service")


def port(time: int, state: str = "gray", previous: str = "normal", subject: str = "n3/nic2", mode: str = "fec_margin") -> Verdict:
    return say(time, subject, state, previous, mode=mode, side="service" if state == "gray" else "redundancy")


def one(desk: Desk, verdict: Verdict) -> Incident:
    (incident,) = desk.step([verdict], VIEW)
    return incident


@pytest.mark.parametrize("part", ["n3/nic2", "n3/nic2/optic", "leaf04/p17"])
@pytest.mark.parametrize("state", ["masked", "gray"])
def test_the_part_that_explains_a_slow_communicator_becomes_the_first_suspect_of_its_incident(part: str, state: str) -> None:
    desk = Desk("c")
    first = one(desk, ring(1))
    named = one(desk, port(2, state, subject=part))
    assert (named.id, named.subject, named.mode, named.severity) == (first.id, part, "fec_margin", "page")
    assert (named.history, named.place, named.rivals, named.probability) == (first.history, RING, (), 1.0)  # no second page, and nobody else
    assert len(desk.open) == 1


@pytest.mark.parametrize(("later", "incidents"), [(-3600, 1), (600, 1), (1200, 2)])
def test_a_part_whose_trouble_began_long_after_the_communicator_was_slow_is_another_matter(later: int, incidents: int) -> None:
    """Named after an hour, each of them: worn for hours, worn within minutes of the slowness, and not before that was old."""
    desk, second = Desk("c"), 1_000_000
    first = one(desk, ring(7200 * second))
    named = one(desk, replace(port(10800 * second, "masked"), since=(7200 + later) * second))
    assert len(desk.open) == incidents
    assert (named.id == first.id, named.subject) == (incidents == 1, "n3/nic2")


RINGS = View(0, {r: RosterRow(r, "comm", crosses=("leaf04", f"n{i}/nic2", "n3/nic2")) for i, r in enumerate((RING, "comm:2-rail2", "comm:3-rail2"), 5)})


def test_communicators_that_paged_before_the_part_that_they_share_was_named_become_one_incident() -> None:
    desk = Desk("c")
    first, second, other = desk.step([replace(ring(t), subject=r) for t, r in enumerate(("comm:2-rail2", RING, "comm:3-rail2"), 1)], RINGS)
    list(desk.step([port(4, "masked", subject="n7/nic2", mode="fec_margin")], RINGS))  # the third has its reason
    list(desk.step([replace(ring(5), subject="comm:2-rail2", previous="gray", why="slower still")], RINGS))
    ended, named = desk.step([port(6, "masked")], RINGS)
    assert (ended.id, ended.ended, ended.severity, ended.subject) == (second.id, 6, "page", RING)
    assert ended.summary == f"{RING} has not recovered: it goes on in incident {first.id}, for both cross n3/nic2"
    assert (named.id, named.subject, named.severity, named.history) == (first.id, "n3/nic2", "page", first.history)
    assert [e["time"] for e in named.evidence] == [1, 2, 5, 6]  # as it happened, whichever of them was told what
    assert {*desk.open} == {first.id, other.id}
    desk.restore(desk.snapshot())
    calm = list(desk.step([replace(ring(7, "normal", "gray"), subject=r) for r in (RING, "comm:2-rail2")], RINGS))
    assert [(i.id, i.state, i.severity) for i in calm] == [(first.id, "gray", "page"), (first.id, "masked", "page")]
    again = next(iter(desk.step([ring(8)], RINGS)))
    assert (again.id, again.severity) == (first.id, "page")


def test_of_two_pages_that_become_one_one_is_resolved_and_says_where_it_goes_on_and_nobody_is_paged_again() -> None:
    desk, announce = Desk("c"), Announce("c")
    verdicts = [ring(1), replace(ring(2), subject="comm:2-rail2"), port(3, "masked"), replace(ring(4, "normal", "gray"), subject="comm:2-rail2")]
    first, second, over, *again = announce.step(desk.step(verdicts, RINGS))
    assert (over.labels, over.ends, over.firing) == (second.labels, 3, False)
    assert first.labels["incident"] in over.annotations["finding"]
    assert all(alert.labels == first.labels and alert.firing for alert in again)


def test_what_is_left_when_the_communicator_has_recovered_is_the_part_alone_and_so_after_a_pause() -> None:
    desk = Desk("c")
    one(desk, ring(1))
    named = one(desk, port(2, "masked"))
    other = Desk("c")
    other.restore(desk.snapshot())
    for d in (desk, other):
        calm = one(d, ring(3, "normal", "gray"))
        assert (calm.id, calm.subject, calm.state, calm.severity, calm.rivals) == (named.id, "n3/nic2", "masked", "page", ())
        (eased,) = d.step([], now=3 + WITHIN)
        assert (eased.id, eased.subject, eased.severity) == (named.id, "n3/nic2", "ticket")
        assert one(d, port(4 + WITHIN, "normal", "masked")).ended == 4 + WITHIN


def test_a_communicator_that_turns_out_to_be_crowded_leaves_the_incident_of_the_part_that_explained_it() -> None:
    desk = Desk("c")
    first = one(desk, ring(1))
    one(desk, port(2))
    left, crowded = desk.step([ring(3, "unknown", "gray", "fabric_congestion")], VIEW)
    assert (left.id, left.subject, left.severity, left.rivals) == (first.id, "n3/nic2", "page", ())
    assert (crowded.subject, crowded.severity) == (RING, "notice")
    assert one(desk, port(4, "normal", "gray")).ended == 4


def test_so_it_does_when_that_part_has_recovered_and_only_gives_the_incident_its_name() -> None:
    desk = Desk("c")
    first = one(desk, port(1, mode="rail_failover"))
    one(desk, ring(2, "masked", mode="became_slower"))
    over = one(desk, port(3, "normal", "gray"))
    assert over.subject == "n3/nic2"
    assert over.summary.startswith(f"n3/nic2 has recovered, {RING} is still masked: ")
    assert "; it began with: " in over.summary
    ended, crowded = desk.step([ring(4, "unknown", "masked", "fabric_congestion")], VIEW)
    assert (ended.id, ended.subject, ended.mode, ended.severity, ended.ended) == (first.id, "n3/nic2", "rail_failover", "page", 4)
    assert (crowded.subject, crowded.severity) == (RING, "notice")
    assert list(desk.open) == [crowded.id]


def test_an_open_incident_is_found_by_what_its_communicator_crosses_after_a_pause() -> None:
    desk, other = Desk("c"), Desk("c")
    first = one(desk, ring(1))
    other.restore(desk.snapshot())
    assert one(other, port(2)).id == first.id


def test_a_communicator_of_which_a_part_is_known_to_be_worn_pages_in_the_incident_of_that_part() -> None:
    desk = Desk("c")
    worn = one(desk, port(1, "masked"))
    slow = one(desk, ring(2))
    assert (slow.id, slow.subject, slow.severity, slow.place) == (worn.id, "n3/nic2", "page", RING)


def test_a_part_that_cannot_explain_it_or_that_it_does_not_cross_is_another_matter() -> None:
    for verdict in (port(2, subject="n3/nic3"), port(2, subject="n4/nic2"), port(2, "masked", mode="disk_redundancy")):
        desk = Desk("c")
        first = one(desk, ring(1))
        assert one(desk, verdict).id != first.id
    desk = Desk("c")
    crowded = one(desk, ring(1, "unknown", mode="fabric_congestion"))
    assert one(desk, port(2)).id != crowded.id


def test_a_second_worn_part_is_another_matter_once_one_explains_the_communicator() -> None:
    desk = Desk("c")
    first = one(desk, ring(1))
    assert one(desk, port(2)).id == first.id
    assert one(desk, port(3, "masked", subject="n2/nic2", mode="link_flap")).id != first.id


def test_a_part_that_is_only_slow_as_well_says_it_more_exactly() -> None:
    desk = Desk("c")
    first = one(desk, ring(1))
    named = one(desk, port(2, mode="slow_component"))
    assert (named.id, named.subject, named.rivals) == (first.id, "n3/nic2", ())


def test_what_has_no_name_on_the_way_of_a_crowded_communicator_is_another_matter() -> None:
    desk = Desk("c")
    crowded = one(desk, ring(1, "unknown", mode="fabric_congestion"))
    assert one(desk, port(2, mode="")).id != crowded.id


def test_ways_that_are_crowded_with_the_switch_that_they_share_stay_apart() -> None:
    other = RosterRow("comm:2-rail2", "comm", crosses=("n7/nic2", "leaf04"))
    desk, view = Desk("c"), View(0, {**VIEW.rows, other.subject: other})
    crowded = [say(1, s, "unknown", mode="fabric_congestion", side="service") for s in ("leaf04", RING, other.subject)]
    assert len({i.id for v in crowded for i in desk.step([v], view)}) == 3
    pages = [*desk.step([ring(2, previous="unknown"), port(3)], view), *desk.step([port(4, subject="n7/nic2")], view)]
    assert [(i.subject, i.severity) for i in pages] == [(RING, "page"), ("n3/nic2", "page"), ("n7/nic2", "page")]
    assert len({i.id for i in pages}) == 2


def test_without_a_roster_nothing_is_known_of_what_is_crossed() -> None:
    desk = Desk("c")
    (first,) = desk.step([ring(1)])
    (second,) = desk.step([port(2)])
    assert first.id != second.id


def test_receivers_are_told_of_the_part_in_the_alert_that_fires_already() -> None:
    desk, announce = Desk("c"), Announce("c")
    (fired,) = announce.step(desk.step([ring(1)], VIEW), roster=VIEW)
    (refined,) = announce.step(desk.step([port(2)], VIEW), roster=VIEW)
    assert (refined.labels, refined.starts, refined.firing) == (fired.labels, fired.starts, True)
    assert (fired.annotations["subject"], refined.annotations["subject"]) == (RING, "n3/nic2")
    assert refined.annotations["place"] == RING
    assert not list(announce.step(desk.step([ring(3, "normal", "gray")], VIEW), roster=VIEW))  # it goes on under that name


def test_a_path_that_only_ends_at_a_part_of_the_way_is_another_matter() -> None:
    """Else a slow pair of ports would make one fault of all that crosses either."""
    far = RosterRow("comm:2-rail2", "comm", crosses=("n7/nic2", "n8/nic2", "leaf09"))
    view, pair = View(0, {**VIEW.rows, far.subject: far}), "n1/nic2>n7/nic2"
    for order in ((RING, pair, far.subject), (pair, far.subject, RING)):
        desk, modes = Desk("c"), {pair: "slow_path"}
        assert len({i.id for s in order for i in desk.step([say(1, s, "gray", mode=modes.get(s, "slow_component"), side="service")], view)}) == 3
    desk = Desk("c")
    assert one(desk, ring(1)).id == one(desk, port(2, subject="n1/nic2>n3/nic2", mode="slow_path")).id  # between two of them


def test_who_crosses_everything_makes_no_one_fault_of_parts_that_are_slow_each_for_itself() -> None:
    desk = Desk("c")
    first = one(desk, ring(1))
    assert one(desk, port(2, mode="slow_component")).id == first.id
    assert one(desk, port(3, subject="n1/nic2", mode="slow_component")).id != first.id
    assert one(desk, port(4, "masked", subject="n2/nic2", mode="link_flap")).id != first.id


def test_of_several_ways_through_a_part_none_leads_it_and_two_of_its_parts_do_not_make_the_way_the_suspect() -> None:
    other = RosterRow("comm:1-rail9", "comm", crosses=("n3/nic2", "leaf05"))
    desk, view = Desk("c"), View(0, {**VIEW.rows, other.subject: other})
    same = [ring(1), port(2, mode="slow_component"), say(3, other.subject, "gray", mode="slow_component", side="service")]
    again = [port(4, "masked", "gray", mode="slow_component"), port(5, "gray", "masked", mode="slow_component")]
    last = [i for v in same + again for i in desk.step([v], view)][-1]
    assert (last.subject, len(desk.open)) == ("n3/nic2", 1)
    last = [i for v in [port(6, subject="n3/nic2/optic", mode="slow_component")] for i in desk.step([v], view)][-1]
    assert last.subject.startswith("n3/nic2")


def test_the_place_of_what_is_left_when_the_communicator_has_recovered_stays() -> None:
    desk = Desk("c")
    for verdict in (ring(1), port(2, "masked"), ring(3, "normal", "gray")):
        one(desk, verdict)
    assert one(desk, port(4, "gray", "masked")).place == RING


def test_hundreds_of_ways_through_one_switch_are_filed_in_no_time() -> None:
    """Each verdict asks all members about all others: what each crosses must not be walked through for it."""
    rows = {f"comm:{c}": RosterRow(f"comm:{c}", "comm", crosses=(*(f"n{c}-{k}/nic0" for k in range(600)), "leaf04")) for c in range(60)}
    desk, began = Desk("c"), process_time()
    for verdict in [port(1, subject="leaf04", mode="switch_fault"), *(say(2, name, "gray", mode="slow_component", side="service") for name in rows)]:
        list(desk.step([verdict], View(0, rows)))
    assert len(desk.open) == 1
    assert process_time() - began < 3.0  # a walk through all takes fifteen
