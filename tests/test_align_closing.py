"""Align: when a tick closes, and what comes too late for it."""

from __future__ import annotations

import numpy as np

from grayscope.event import heartbeat
from grayscope.roster import RosterRow
from tests.aligning import T0, S, rows, run, station

# -- late ---------------------------------------------------------------------------------------------------------------


def test_late_rows_are_counted_and_left_out() -> None:
    align = station(eager=False)
    ticks = run(align, [rows("gpu", [T0 + k * 10 * S for k in range(1, 9)], ["a", "b"]), rows("gpu", [T0 + 20 * S], ["a"], value=9.0)])
    assert align.counts["late"] == 1
    assert [t.values.max() for t in ticks] == [1.0] * 8


def test_a_row_within_the_lateness_counts() -> None:
    align = station(eager=False)
    messages = [rows("gpu", [T0 + k * 10 * S for k in (1, 2)], ["a"]), rows("gpu", [T0 + 39 * S], ["a"]), rows("gpu", [T0 + 10 * S], ["b"], value=9.0)]
    ticks = run(align, messages)
    assert align.counts["late"] == 0
    assert ticks[0].values.tolist() == [[1.0, 9.0]]


# -- closing ------------------------------------------------------------------------------------------------------------


def test_a_complete_tick_closes_at_once_and_others_at_the_watermark() -> None:
    align = station()
    run(align, [rows("gpu", [T0 + k * 10 * S for k in range(1, 9)], ["a", "b"])], flush=False)
    assert run(align, [rows("gpu", [T0 + 90 * S], ["a"])], flush=False) == []
    assert [t.time for t in run(align, [rows("gpu", [T0 + 90 * S], ["b"])], flush=False)] == [T0 + 90 * S]
    assert run(align, [rows("gpu", [T0 + 100 * S], ["a"]), rows("gpu", [T0 + 129 * S], ["a"])], flush=False) == []
    assert [t.time for t in run(align, [heartbeat(T0 + 130 * S)], flush=False)] == [T0 + 100 * S]


def test_subjects_that_report_several_times_a_tick_are_not_hurried() -> None:
    align = station()
    times = [T0 + k * 5 * S for k in range(1, 31)]
    ticks = run(align, [rows("gpu", [t], [name], ["errors_total"]) for t in times for name in ("a", "b")])
    assert align.counts["late"] == 0
    assert {float(v) for t in ticks for v in t.values.ravel()} == {2.0}


def test_nothing_closes_early_when_told_so() -> None:
    align = station(eager=False)
    ticks = run(align, [rows("gpu", [T0 + k * 10 * S], ["a"]) for k in range(1, 9)], flush=False)
    assert ticks[-1].time == T0 + 50 * S


def test_who_is_expected_and_silent_holds_a_tick_open() -> None:
    align = station()
    roster = tuple(RosterRow(name, "gpu") for name in ("a", "b"))
    run(align, [roster, rows("gpu", [T0 + k * 10 * S for k in range(1, 9)], ["a"])], flush=False)
    ticks = run(align, [rows("gpu", [T0 + 90 * S], ["a"])], flush=False)
    assert [t.time for t in ticks] == [T0 + 60 * S]
    assert ticks[0].subjects == ("a", "b")
    assert np.isnan(ticks[0].values[:, 1]).all()


def test_heartbeats_close_ticks_and_a_silent_table_falls_asleep() -> None:
    align = station(empty=3)
    run(align, [rows("gpu", [T0 + 10 * S], ["a"])], flush=False)
    ticks = [t for k in range(2, 30) for t in run(align, [heartbeat(T0 + k * 10 * S)], flush=False)]
    assert [t.time for t in ticks] == [T0 + k * 10 * S for k in (1, 2, 3, 4)]
    assert [bool(np.isnan(t.values).all()) for t in ticks] == [False, True, True, True]
    # It wakes with its next row and does not make up for the night.
    assert [t.time for t in run(align, [rows("gpu", [T0 + 300 * S], ["a"])])] == [T0 + 300 * S]


def test_tables_tick_in_order_of_time_and_name() -> None:
    align = station(eager=False)
    messages = [m for k in range(1, 12) for m in (rows("node", [T0 + k * 20 * S], ["n"]), rows("gpu", [T0 + k * 20 * S - 10 * S, T0 + k * 20 * S], ["g"]))]
    order = [(t.time, t.table) for t in run(align, messages)]
    assert order == sorted(order)
    assert len(order) == 33
