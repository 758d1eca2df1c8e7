from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from grayscope.errors import InputError
from grayscope.incident import Incident
from grayscope.results import LEDGER, incident_dict, tables
from grayscope.score import Part, score

MINUTE = 60_000_000
HOUR = 60 * MINUTE


def fault(subject: str = "n1/gpu0", state: str = "gray", began: int = 10 * MINUTE, ended: int | None = 70 * MINUTE, **more: Any) -> dict[str, Any]:
    return {"subject": subject, "mode": "slow_rank", "state": state, "began": began, "ended": ended, **more}


def said(*history: tuple[int, str, str], subject: str = "n1/gpu0", ended: int | None = None, rivals: tuple[str, ...] = (), name: str = "a") -> dict[str, Any]:
    severity = min((v for _, _, v in history), key=["page", "ticket", "notice"].index)
    pairs = [{"subject": r, "probability": 0.1} for r in rivals]
    return {"id": name, "subject": subject, "severity": severity, "mode": "slow_rank", "rivals": pairs, "history": history, "ended": ended}


def paged(minute: int, **more: Any) -> dict[str, Any]:
    return said((minute * MINUTE, "gray", "page"), **more)


def overall(truth: list[dict[str, Any]], incidents: list[dict[str, Any]], **more: Any) -> Part:
    return score(truth, incidents, 10.0, **more).overall


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


# -- figures --------------------------------------------------------------------------------------------------------


def test_figures_of_a_small_run_by_hand() -> None:
    rows = [fault("a/1"), fault("b/1"), fault("c/1"), {**fault("d/1", "masked"), "mode": "pcie_width"}]
    incidents = [
        paged(12, subject="a/1", name="1"), paged(40, subject="b", name="2"), paged(13, subject="x", name="3"),
        said((20 * MINUTE, "masked", "ticket"), subject="d/1", name="4"),
    ]  # fmt: skip
    result = score(rows, incidents, 10.0)
    figures = result.to_dict()["overall"]
    assert figures["precision"] == 0.75
    assert figures["recall"] == 0.75
    assert figures["f1"] == pytest.approx(0.75)
    assert figures["exact_share"] == pytest.approx(2 / 3)
    assert figures["delay_median_s"] == 600.0
    assert figures["delay_p90_s"] == pytest.approx(600 + 0.8 * 1200)
    assert [result.overall.recall_after(s) for s in (60, 120, 600, 1800)] == [0.0, 0.25, 0.5, 0.75]
    assert (result.modes["slow_rank"].recall, result.modes["slow_rank"].precision) == (2 / 3, 2 / 3)
    assert (result.modes["pcie_width"].recall, result.modes["pcie_width"].precision) == (1.0, 1.0)


def test_nothing_to_find_and_nothing_said_has_no_shares() -> None:
    figures = score([], [], 0.0).to_dict()["overall"]
    assert [figures[k] for k in ("precision", "recall", "f1", "delay_median_s", "false_pages_per_1000_gpu_weeks")] == [None] * 5


def test_until_forgets_what_was_said_later() -> None:
    rows = [fault(), fault("n5", began=100 * MINUTE)]
    incidents = [said((5 * MINUTE, "masked", "ticket"), (30 * MINUTE, "gray", "page")), paged(50, subject="n8", name="b")]
    early, middle, late = (overall(rows, incidents, until=t * MINUTE) for t in (20, 40, 200))
    assert [(p.recall, p.precision) for p in (early, middle, late)] == [(0.0, 0.0), (1.0, 1.0), (0.5, 0.5)]
    assert [i.severity for i in early.false] == ["ticket"]


def test_since_leaves_out_the_warm_up() -> None:
    part = overall([fault(), fault("n5", began=0, ended=5 * MINUTE)], [paged(3, subject="n8"), paged(20, name="b")], since=8 * MINUTE)
    assert (part.recall, part.precision) == (1.0, 1.0)


def test_intervals_of_the_ledger() -> None:
    row = {**fault(state="masked"), "mechanism": "hbm_row_spares", "exhausted_at": 500 * MINUTE}
    never = {**fault("n2/gpu0", "masked"), "mechanism": "hbm_row_spares", "exhausted_at": None}

    def entry(minute: int, low: int | None, high: int | None, subject: str = "n1/gpu0", mechanism: str = "hbm_row_spares") -> dict[str, Any]:
        times = {"time": minute * MINUTE, "exhausted_low": low and low * MINUTE, "exhausted_high": high and high * MINUTE}
        return {**dict.fromkeys(LEDGER.names), "subject": subject, "mechanism": mechanism, **times}

    entries = [
        entry(20, 400, 600), entry(21, 510, 600), entry(22, 400, None), entry(23, None, None), entry(5, 400, 600), entry(20, 1, 2, mechanism="hbm_ecc"),
        entry(20, 400, 600, "n2/gpu0"), entry(20, 400, None, "n2/gpu0"), entry(20, 1, 2, "n3"),
    ]  # fmt: skip
    ledger = pa.Table.from_pylist(entries, LEDGER)
    assert score([row, never], [], 1.0, ledger=ledger).intervals == 3 / 5
    assert score([row, never], [], 1.0, ledger=ledger).overall.ledger == (3, 5)
    assert score([row], [], 1.0).intervals is None
    worn = {**never, "mode": "worn"}
    by_mode = {m: p.ledger for m, p in score([row, worn], [], 1.0, ledger=ledger).modes.items()}
    assert by_mode == {"slow_rank": (2, 3), "worn": (1, 2)}
    gray = {**row, "state": "gray", "began": 70 * MINUTE, "ended": None}
    assert score([row, gray], [], 1.0, ledger=pa.Table.from_pylist([entry(70, 400, 600)], LEDGER)).overall.ledger == (1, 1)  # one fault in two rows


def test_the_ledger_is_asked_by_another_name_too_and_not_about_look_alikes() -> None:
    row = {**fault(state="masked"), "mechanism": "fec_margin", "exhausted_at": 500 * MINUTE, "also": ["leaf1/p2"]}
    times = {"time": 20 * MINUTE, "exhausted_low": None, "exhausted_high": 600 * MINUTE}
    ledger = pa.Table.from_pylist([{**dict.fromkeys(LEDGER.names), "subject": "leaf1/p2", "mechanism": "fec_margin", **times}], LEDGER)
    assert score([row], [], 1.0, ledger=ledger).overall.ledger == (1, 1)
    assert score([{**row, "state": "benign"}], [], 1.0, ledger=ledger).overall.ledger == (0, 0)


def test_tables_json_and_records_give_the_same_score() -> None:
    history = ((20 * MINUTE, "gray", "page"),)
    incident = Incident("a", "n1", "n1", "gray", "page", "", 0, 20 * MINUTE, history=history, rivals=(("n1/gpu0", 0.4),), ended=HOUR)
    table = tables([], [incident], [], {})["incidents"]
    truth = pa.table({k: [v] for k, v in fault().items()} | {"began": pa.array([datetime(1970, 1, 1, 0, 10, tzinfo=UTC)], pa.timestamp("ns", "UTC"))})
    found = [score(t, i, 1.0).to_dict() for t in ([fault()], truth) for i in (table, [incident_dict(incident)])]
    assert found[0] == found[1] == found[2] == found[3]
    assert found[0]["overall"]["delay_median_s"] == 600.0


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


def truth_of_many() -> list[dict[str, Any]]:
    rows = [fault(f"n{i}/gpu{i % 8}", ("masked", "gray", "failed")[i % 3], began=(10 + 7 * i) * MINUTE, ended=(60 + 7 * i) * MINUTE) for i in range(24)]
    return [*rows, fault("n50", "benign"), {**fault("n3/nic0/port", "masked"), "mode": "fec_margin", "also": ["leaf:1/port:9"], "ended": None}]


def test_an_oracle_scores_one() -> None:
    truth = truth_of_many()
    told = [
        said((r["began"], r["state"], "page" if r["state"] == "gray" else "ticket"), subject=r["subject"], ended=r["ended"], name=str(k))
        for k, r in enumerate(truth)
        if r["state"] != "benign"
    ]
    figures = overall(truth, told).to_dict()
    assert [figures[k] for k in ("precision", "recall", "f1", "exact_share", "state_right_share")] == [1.0] * 5
    assert [figures[k] for k in ("delay_median_s", "delay_p90_s", "false", "repeats", "false_pages_per_1000_gpu_weeks")] == [0.0, 0.0, 0, 0, 0.0]
    assert figures["recall_after_s"]["60"] == 1.0


def test_an_empty_result_scores_nothing() -> None:
    figures = overall(truth_of_many(), []).to_dict()
    assert (figures["recall"], figures["precision"], figures["f1"], figures["false"]) == (0.0, None, 0.0, 0)


def test_who_accuses_everybody_finds_all_and_pays_for_it() -> None:
    truth = truth_of_many()
    names = [f"n{i}/gpu{g}" for i in range(60) for g in range(8)] + [f"n{i}/nic0/port" for i in range(60)]
    always = [(30 * k * MINUTE, "gray", "page") for k in range(12)]
    part = overall(truth, [said(*always, subject=name, name=name) for name in names])
    assert part.recall == 1.0
    assert part.precision == pytest.approx(25 / len(names), abs=0.01)
    assert part.f1 is not None
    assert part.f1 < 0.1
    assert part.false_rate("page") == pytest.approx(100 * (len(names) - part.matched - len(part.repeats)))


def test_who_accuses_the_whole_site_finds_nothing() -> None:
    part = overall(truth_of_many(), [paged(0, subject="site")])
    assert (part.recall, part.precision) == (0.0, 0.0)


# -- base rates -----------------------------------------------------------------------------------------------------


def sped(row: dict[str, Any], times: float) -> dict[str, Any]:
    return {**row, "x-acceleration": times}


def test_precision_at_base_rates_weighs_what_was_planted_too_often() -> None:
    rows = [sped(fault(), 10.0), sped(fault("n5"), 4.0)]
    part = overall(rows, [paged(20, name="a"), paged(20, subject="n5", name="b"), paged(20, subject="n9", name="c")])
    assert part.precision == pytest.approx(2 / 3)
    assert part.precision_at_base_rates == pytest.approx((0.1 + 0.25) / (0.1 + 0.25 + 1.0))
    assert part.to_dict()["precision_at_base_rates"] == part.precision_at_base_rates


def test_a_false_incident_about_a_planted_look_alike_weighs_as_little() -> None:
    rows = [sped(fault(), 10.0), sped(fault("n7", "benign"), 20.0)]
    part = overall(rows, [paged(20, name="a"), paged(20, subject="n7", name="b")])
    assert part.precision == 0.5
    assert part.precision_at_base_rates == pytest.approx(0.1 / 0.15)


def test_base_rates_are_not_shown_where_no_row_tells_them() -> None:
    part = overall([fault()], [paged(20)])
    assert part.precision_at_base_rates is None
    assert "precision_at_base_rates" not in part.to_dict()


def test_a_state_that_nobody_knows_is_an_error_that_names_the_row() -> None:
    with pytest.raises(InputError, match=r"state of n1/gpu0: expected one of masked, gray, failed, benign, found grey"):
        overall([fault(state="grey")], [])


def test_who_says_nothing_has_an_f1_of_nothing() -> None:
    part = overall([fault()], [])
    assert (part.precision, part.recall, part.f1) == (None, 0.0, 0.0)


def test_an_interval_is_asked_once_about_the_fault_that_uses_up_first() -> None:
    row = {**fault(state="masked"), "mechanism": "hbm_row_spares", "exhausted_at": 500 * MINUTE}
    lot = {**fault("batch:lot=7", "masked"), "mode": "batch_defect", "mechanism": "hbm_row_spares", "exhausted_at": None, "also": ["n1/gpu0", "n1/gpu1"]}
    times = {"time": 20 * MINUTE, "exhausted_low": 400 * MINUTE, "exhausted_high": 600 * MINUTE, "mechanism": "hbm_row_spares"}
    ledger = pa.Table.from_pylist([{**dict.fromkeys(LEDGER.names), "subject": s, **times} for s in ("n1/gpu0", "n1/gpu1")], LEDGER)
    parts = score([row, lot], [], 1.0, ledger=ledger).modes
    assert (parts["slow_rank"].ledger, parts["batch_defect"].ledger) == ((1, 1), (0, 1))
