"""Desk: one fault is one incident, with a stable name, a history and an end."""

from __future__ import annotations

import pytest

from grayscope.desk import Desk
from grayscope.incident import incident_id
from grayscope.merging import KEEP
from tests.desked import late, one, say


def test_a_first_verdict_opens_an_incident() -> None:
    i = one(Desk("c"), say(10, "n1/gpu0", "masked", mode="hbm_row_spares"))
    assert (i.subject, i.place, i.state, i.severity, i.mode, i.began, i.noticed, i.ended) == (
        "n1/gpu0", "n1/gpu0", "masked", "ticket", "hbm_row_spares", 9, 10, None,
    )  # fmt: skip
    assert i.id == incident_id("c", "n1/gpu0", 10) != incident_id("d", "n1/gpu0", 10)
    assert i.history == ((10, "masked", "ticket"),)
    assert i.summary == "n1/gpu0 is masked: n1/gpu0 does masked"


def test_normal_about_nobody_is_nothing() -> None:
    desk = Desk("c")
    assert list(desk.step([say(1, "n1", "normal", "gray")])) == []
    one(desk, say(2, "n1/gpu0", "gray"))
    assert list(desk.step([say(3, "n1", "normal", "gray")])) == []


def test_severity_by_state() -> None:
    found = {s: one(Desk("c"), say(1, "a", s)).severity for s in ("gray", "masked", "failed", "unknown")}
    assert found == {"gray": "page", "masked": "ticket", "failed": "ticket", "unknown": "notice"}


def test_what_contains_or_lies_within_joins_and_neighbours_do_not() -> None:
    desk = Desk("c")
    first = one(desk, say(1, "n1/gpu0", "masked"))
    assert one(desk, say(2, "n1/gpu0/pcie", "masked")).id == first.id
    assert one(desk, say(3, "n1/gpu0/pcie", "masked")).place == "n1/gpu0"
    assert one(desk, say(4, "n1/gpu00", "masked")).id != first.id
    assert one(desk, say(5, "n1/gpu1", "masked")).id != first.id
    whole = one(desk, say(6, "n1", "masked"))
    assert (whole.id, whole.place) == (first.id, "n1")
    assert len(desk.open) == 3


def test_escalation_keeps_the_id_and_puts_the_graver_first() -> None:
    desk = Desk("c")
    first = one(desk, say(1, "n1/gpu0", "masked"))
    up = one(desk, say(5, "n1/gpu0", "gray", "masked"))
    assert (up.id, up.severity, up.escalated, up.state) == (first.id, "page", 5, "gray")
    other = one(desk, say(6, "n1/gpu0/pcie", "masked"))
    assert (other.subject, other.severity) == ("n1/gpu0", "page")
    ((rival, probability),) = other.rivals
    assert rival == "n1/gpu0/pcie"
    assert probability == pytest.approx(1 / 3)
    assert other.probability + sum(p for _, p in other.rivals) == 1.0


def test_a_part_that_is_graver_takes_the_lead() -> None:
    desk = Desk("c")
    first = one(desk, say(1, "n1", "masked"))
    up = one(desk, say(2, "n1/gpu3", "gray"))
    assert (up.id, up.subject, up.place, up.escalated) == (first.id, "n1/gpu3", "n1", 2)
    assert [r[0] for r in up.rivals] == ["n1"]


def test_a_failure_pages_only_if_it_grew_out_of_a_page() -> None:
    desk = Desk("c")
    one(desk, say(1, "a", "gray"))
    grown = one(desk, say(2, "a", "failed", "gray"))
    assert (grown.state, grown.severity) == ("failed", "page")
    assert one(desk, say(3, "b", "failed")).severity == "ticket"


def test_the_end_comes_with_the_last_member_and_tells_the_worst() -> None:
    desk = Desk("c")
    one(desk, say(1, "n1/gpu0", "masked"))
    one(desk, say(2, "n1/gpu0", "gray", "masked"))
    one(desk, say(3, "n1/gpu0/pcie", "masked"))
    less = one(desk, say(4, "n1/gpu0/pcie", "normal", "masked"))
    assert (less.ended, less.rivals, less.probability) == (None, (), 1.0)
    one(desk, say(5, "n1/gpu0", "masked", "gray"))
    end = one(desk, say(6, "n1/gpu0", "normal", "masked"))
    assert (end.ended, end.state, end.severity) == (6, "gray", "page")
    assert [h[1] for h in end.history] == ["masked", "gray", "masked"]
    assert (desk.open, desk.members) == ({}, {})
    assert one(desk, say(7, "n1/gpu0", "gray")).id != end.id


def test_the_end_of_the_first_suspect_hands_over_to_the_gravest_of_the_rest() -> None:
    desk = Desk("c")
    one(desk, say(1, "n1/gpu0", "gray"))
    one(desk, say(2, "n1/gpu0/pcie", "masked"))
    left = one(desk, say(3, "n1/gpu0", "normal", "gray"))
    assert (left.subject, left.state, left.severity, left.ended) == ("n1/gpu0/pcie", "masked", "ticket", None)
    assert left.summary == "n1/gpu0/pcie is masked: n1/gpu0/pcie does masked"
    assert one(desk, say(4, "n1/gpu0/pcie", "normal", "masked")).severity == "page"


def test_a_recovery_goes_to_the_incident_that_holds_the_subject() -> None:
    desk = Desk("c")
    a = one(desk, say(1, "n1/gpu0", "gray"))
    b = one(desk, say(2, "n1/gpu1", "gray"))
    assert one(desk, say(3, "n1", "unknown")).id == a.id
    end = one(desk, say(4, "n1/gpu1", "normal", "gray"))
    assert (end.id, end.ended) == (b.id, 4)
    assert list(desk.open) == [a.id]


def test_evidence_and_history_are_bounded() -> None:
    desk = Desk("c")
    for t in range(1, 200):
        i = one(desk, say(t, "a", "gray" if t % 2 else "masked"))
    assert len(i.evidence) == KEEP
    assert len(i.history) <= 200
    assert i.evidence[-1]["time"] == 199


def test_restore_gives_the_same_incidents() -> None:
    script = [say(1, "n1/gpu0", "masked"), say(2, "n1/gpu0", "gray", "masked"), say(3, "n1/gpu1", "gray"), say(4, "n1", "unknown"),
              say(5, "n1/gpu0", "normal", "gray"), say(6, "n1/gpu1", "normal", "gray"), say(7, "n1", "normal", "unknown")]  # fmt: skip
    straight, desk = Desk("c"), Desk("c")
    for verdict in script:
        other = Desk("c")
        other.restore(desk.snapshot())
        desk = other
        assert list(desk.step([verdict])) == list(straight.step([verdict]))
    assert desk.open == {}


def test_a_mode_may_be_quieter_than_its_state() -> None:
    slow = say(5, "n1", "gray", mode="slow_silicon", side="service")
    assert one(Desk("c"), slow).severity == "ticket"  # slow ever since: no reason to wake anybody
    assert one(Desk("c"), say(5, "n1", "gray", mode="pcie_width", side="service")).severity == "page"
    assert one(Desk("c"), say(5, "n1", "gray", mode="hbm_row_spares", side="service")).severity == "page"


def test_the_whole_takes_the_lead_over_its_part_and_an_end_over_its_path() -> None:
    for part, whole in (("n1/gpu3", "n1"), ("n7>n2", "n7")):
        desk = Desk("c")
        opened = one(desk, say(5, part, "gray"))
        joined = one(desk, say(7, whole, "gray", mode="slow_rank"))
        assert (joined.id, joined.subject, [s for s, _ in joined.rivals]) == (opened.id, whole, [part])


def test_a_member_that_is_lost_for_another_reason_goes_where_it_belongs() -> None:
    desk = Desk("c")
    hot = {"mode": "thermal_throttle", "side": "condition"}
    first = one(desk, say(1, "n1", "masked", mode="fan_degraded", side="condition"))
    for k in range(3):
        one(desk, say(2 + k, f"n1/gpu{k}", "gray", **hot))
    wire = one(desk, say(6, "n1/gpu2/pcie", "masked", mode="pcie_errors", side="redundancy"))
    left, joined = desk.step([say(7, "n1/gpu2", "failed", "gray", mode="gpu_lost", side="health")])
    assert (left.id, left.subject, left.mode, left.state) == (first.id, "n1", "fan_degraded", "gray")
    assert (joined.id, joined.subject, joined.state) == (wire.id, "n1/gpu2/pcie", "failed")
    other = Desk("c")
    other.restore(desk.snapshot())
    end = say(9, "n1/gpu2", "normal", "failed")
    assert list(desk.step([end])) == list(other.step([end]))
    assert desk.where.holder("n1/gpu2") is None


def test_a_member_that_is_lost_for_another_reason_is_an_incident_where_it_belongs_nowhere() -> None:
    desk = Desk("c")
    one(desk, say(1, "n1", "masked", mode="fan_degraded", side="condition"))
    one(desk, say(2, "n1/gpu2", "gray", mode="thermal_throttle", side="condition"))
    left, new = desk.step([say(7, "n1/gpu2", "failed", "gray", mode="gpu_lost", side="health")])
    assert (left.subject, left.state) == ("n1", "masked")
    assert (new.subject, new.noticed, new.mode, new.severity) == ("n1/gpu2", 7, "gpu_lost", "page")  # it was paged for before


def test_parts_that_a_second_trouble_of_their_machine_slows_are_one_incident() -> None:
    desk = Desk("c")
    lost = one(desk, say(1, "n1", "masked", mode="power_cap", side="redundancy"))
    one(desk, say(2, "n1", "masked", "masked", mode="power_cap", side="redundancy", also=("bond_degraded",)))
    assert {one(desk, late(3 + g, g)).id for g in range(8)} == {lost.id}
    assert one(desk, late(12, 3, "masked")).subject == "n1"


def test_a_machine_whose_name_changes_to_its_other_trouble_keeps_its_parts() -> None:
    desk = Desk("c")
    first = one(desk, say(1, "n1", "gray", mode="bond_degraded", side="service"))
    assert one(desk, late(2, 1)).id == first.id
    (again,) = desk.step([say(3, "n1", "masked", "gray", mode="power_cap", side="redundancy", also=("bond_degraded",))])
    assert (again.id, again.subject, len(desk.open)) == (first.id, "n1", 1)
    other = Desk("c")
    other.restore(desk.snapshot())
    assert one(other, late(4, 2)).id == first.id


def test_a_part_that_is_slow_beside_a_lost_spare_alone_stays_the_culprit() -> None:
    desk = Desk("c")
    lost = one(desk, say(1, "n1", "masked", mode="power_cap", side="redundancy"))
    slow = one(desk, late(2, 1))
    assert (slow.subject, slow.id != lost.id) == ("n1/gpu1", True)
    fan = one(desk, say(3, "n2", "masked", mode="fan_degraded", side="redundancy", also=("power_cap",)))
    assert one(desk, say(4, "n2/gpu1/pcie", "masked", mode="pcie_width", side="redundancy")).id != fan.id


def test_what_the_data_cannot_tell_from_an_open_suspect_joins_it_until_the_data_can() -> None:
    desk = Desk("c")
    first = one(desk, say(1, "spine2", "masked", mode="slow_path", side="service"))
    lost = {"mode": "switch_fault", "side": "redundancy"}
    assert one(desk, say(2, "spine4", "masked", rivals=(("spine2", 0.6), ("spine1", 0.1)), **lost)).id == first.id
    told = one(desk, say(3, "spine2", "masked", "masked", rivals=(("spine4", 0.02), ("spine1", 0.01)), **lost))
    assert (told.id, told.subject, round(told.probability, 2)) == (first.id, "spine2", 0.97)
    assert one(desk, say(4, "spine9", "masked", rivals=(("spine7", 0.6),), **lost)).id != first.id
