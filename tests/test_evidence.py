"""Evidence: findings as columns, and back."""

from __future__ import annotations

import math

import pyarrow as pa

from grayscope.evidence import NOTHING, SCHEMA, Evidence, Finding

A = Finding(5, "n1/gpu0", "service", "slower", 7.5, "slow_rank", "", "step_seconds", 1.2, 1.0, 7, 3, why="é\n")
B = Finding(6, "n1", "redundancy", "ledger", 8.0, left=0.25, exhausted_low=10, exhausted_at=20, exhausted_high=30)


def test_findings_come_back_as_they_went_in() -> None:
    assert repr(list(Evidence([A, B]))) == repr([A, B])
    assert Evidence([A, B]).column("subject").tolist() == ["n1/gpu0", "n1"]
    assert all(type(v) in (int, float, str) for f in Evidence([A, B]) for v in f)


def test_nothing_has_no_rows() -> None:
    assert (len(NOTHING), list(NOTHING), NOTHING.column("time").tolist()) == (0, [], [])
    assert Evidence.join([]) is NOTHING
    assert Evidence.join([NOTHING, Evidence()]) is NOTHING


def test_joining_keeps_the_order_and_copies_no_single_part() -> None:
    one = Evidence([A])
    assert Evidence.join([NOTHING, one]) is one
    assert [f.time for f in Evidence.join([one, NOTHING, Evidence([B, A])])] == [5, 6, 5]


def test_arrow_has_the_schema_and_nulls_where_nothing_is_known() -> None:
    table = Evidence([A, B]).to_arrow()
    assert table.schema == SCHEMA
    rows = table.to_pylist()
    assert (rows[0]["mechanism"], rows[0]["exhausted_at"], rows[0]["mode"]) == (None, None, "slow_rank")
    assert (rows[1]["metric"], rows[1]["left"], rows[1]["since"]) == (None, 0.25, None)
    assert math.isnan(rows[0]["left"])
    assert table["exhausted_at"].cast(pa.int64()).to_pylist() == [None, 20]
    assert NOTHING.to_arrow().schema == SCHEMA
