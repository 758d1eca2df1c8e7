"""Score: figures of small runs by hand, also at base rates."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from grayscope.errors import InputError
from grayscope.incident import Incident
from grayscope.results import tables
from grayscope.saidrows import incident_dict
from grayscope.score import score
from tests.scored import HOUR, MINUTE, fault, overall, paged, said

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


def test_who_waits_before_they_believe_loses_what_is_short() -> None:
    rows = [fault("a/1"), fault("b/1")]
    incidents = [
        {**paged(12, subject="a/1", name="1"), "ended": 17 * MINUTE}, {**paged(12, subject="x", name="2"), "ended": 14 * MINUTE},
        paged(13, subject="y", name="3"), paged(13, subject="b/1", name="4"),
    ]  # fmt: skip
    part = score(rows, incidents, 10.0).overall
    assert [part.patient(60 * m) for m in (0, 2, 3, 5, 6)] == [(1.0, 200.0), (1.0, 200.0), (1.0, 100.0), (1.0, 100.0), (0.5, 100.0)]
    assert score([], incidents, 10.0).overall.patient(0) is None


def test_rows_of_one_fault_that_follow_each_other_are_one_fault() -> None:
    rows = [fault(began=0, ended=10 * MINUTE), fault(began=10 * MINUTE, ended=20 * MINUTE), fault(began=200 * MINUTE, ended=210 * MINUTE), fault("n5")]
    late, early = (overall(rows, [paged(15, subject="n5", name="a"), paged(at, name="b", ended=(at + 5) * MINUTE)]) for at in (205, 15))
    assert (late.faults, late.to_dict()["faults_found"], len(late.found)) == ((2, 3), 2, 2)
    assert (early.faults, len(early.found)) == ((2, 3), 3)


def test_who_was_found_by_an_earlier_trouble_beside_it_and_then_named_counts_as_named() -> None:
    rows = [fault("n4/gpu1"), fault("n5/gpu1")]
    before = [paged(5, subject=f"{node}/gpu1/pcie", name=node) for node in ("n4", "n5")]
    part = overall(rows, [*before, paged(20, subject="n4/gpu1", name="own")])
    assert [(f.exact, f.named) for f in part.finds] == [(False, True), (False, False)]
    assert (part.to_dict()["exact_share"], part.to_dict()["named_share"]) == (0.0, 0.5)


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


def test_tables_json_and_records_give_the_same_score() -> None:
    history = ((20 * MINUTE, "gray", "page"),)
    incident = Incident("a", "n1", "n1", "gray", "page", "", 0, 20 * MINUTE, history=history, rivals=(("n1/gpu0", 0.4),), ended=HOUR)
    table = tables([], [incident], [], {})["incidents"]
    truth = pa.table({k: [v] for k, v in fault().items()} | {"began": pa.array([datetime(1970, 1, 1, 0, 10, tzinfo=UTC)], pa.timestamp("ns", "UTC"))})
    found = [score(t, i, 1.0).to_dict() for t in ([fault()], truth) for i in (table, [incident_dict(incident)])]
    assert found[0] == found[1] == found[2] == found[3]
    assert found[0]["overall"]["delay_median_s"] == 600.0


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


def test_who_names_every_fault_at_once_is_kept_below_one_by_a_trouble_beside_it() -> None:
    rows = [fault("n4", "masked"), {**fault("n4/nic2", "masked", began=20 * MINUTE), "mode": "fec_margin"}, fault("n7/gpu1")]
    part = overall(rows, [])
    assert part.best == (2, 3, 1)
    assert (part.to_dict()["exact_share_at_best"], part.to_dict()["repeats_at_best"]) == (pytest.approx(2 / 3), 1)
    assert overall([rows[0], rows[2]], []).best == (2, 2, 0)
