"""Align: the same rows give the same ticks, however they are split, shuffled, doubled or hurried."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grayscope.align import Align, AlignSettings
from grayscope.batch import Batch
from grayscope.event import Event, heartbeat
from grayscope.message import Message
from grayscope.roster import RosterRow
from grayscope.tick import Tick

S = 1_000_000
T0 = 1_700_000_000 * S
LATENESS = 30 * S
PERIODS = {"gpu": 10 * S, "node": 20 * S}


class Cell(NamedTuple):
    """One value of one row."""

    table: str
    time: int
    subject: str
    metric: str
    value: float


def counter(name: str) -> bool:
    return name.endswith("_total")


def station(*, eager: bool = True, empty: int = 12, periods: dict[str, int] | None = None) -> Align:
    return Align(counter, PERIODS if periods is None else periods, AlignSettings(lateness=LATENESS, eager=eager, empty=empty))


def rows(table: str, times: Sequence[int], subjects: Sequence[str], metrics: Sequence[str] = ("watts",), value: float = 1.0) -> Batch:
    return Batch(table, np.array(times, np.int64), tuple(subjects), tuple(metrics), np.full((len(times), len(metrics), len(subjects)), value, np.float32))


def dense(cells: Iterable[Cell]) -> Batch:
    cells = list(cells)
    times, subjects, metrics = (list(dict.fromkeys(part)) for part in zip(*((c.time, c.subject, c.metric) for c in cells), strict=True))
    times.sort()
    values = np.full((len(times), len(metrics), len(subjects)), np.nan, np.float32)
    for c in cells:
        values[times.index(c.time), metrics.index(c.metric), subjects.index(c.subject)] = c.value
    return Batch(cells[0].table, np.array(times, np.int64), tuple(subjects), tuple(metrics), values)


def in_order(cells: Iterable[Cell]) -> list[Batch]:
    """One message per moment and table, oldest first."""
    found: dict[tuple[int, str], list[Cell]] = {}
    for c in sorted(cells):
        found.setdefault((c.time, c.table), []).append(c)
    return [dense(part) for _, part in sorted(found.items())]


def shuffled(cells: Sequence[Cell], rng: Random) -> list[Batch]:
    """Deliver single cells in any order that the lateness allows, in messages of any size."""
    arrival = sorted(cells, key=lambda c: c.time + rng.randrange(LATENESS))
    messages: list[list[Cell]] = []
    for c in arrival:
        last = messages[-1] if messages else []
        fits = last and last[0].table == c.table and all((c.time, c.subject, c.metric) != (o.time, o.subject, o.metric) for o in last)
        if fits and rng.random() < 0.6:
            last.append(c)
        else:
            messages.append([c])
    return [dense(rng.sample(m, len(m))) for m in messages]


def run(align: Align, messages: Iterable[Message], *, flush: bool = True) -> list[Tick]:
    ticks = [tick for m in messages for tick in align.step(m)]
    return ticks + list(align.flush() if flush else ())


def exact(ticks: Iterable[Tick]) -> list[tuple[object, ...]]:
    """Everything that later stations see, values bit for bit, by table and time."""
    found = [(t.table, t.time, t.subjects, t.metrics, t.values.tobytes(), t.fresh.tolist(), t.events) for t in ticks]
    return sorted(found, key=lambda t: (t[0], t[1]))


def make(rng: Random, *, many: bool, gaps: bool = True) -> list[Cell]:
    """Rows of two tables: newcomers, missing rows and metrics; with `many`, several rows a tick and unequal repeats."""
    cells = []
    for table, period, metrics in (("gpu", 10 * S, ("clock", "errors_total")), ("node", 20 * S, ("fan",))):
        for s in range(3):
            joins = rng.choice([0, 0, 3, 7])
            for tick in range(joins, 14):
                if gaps and rng.random() < 0.15:
                    continue
                for _ in range(rng.choice([1, 1, 2, 3]) if many else 1):
                    time = T0 + (tick + 1) * period - (rng.choice([0, 1, 4_321_000, 9 * S]) if many else 0)
                    reported = [m for m in metrics if rng.random() < 0.9 and tick >= joins + (m == "fan") * 2]
                    cells += [Cell(table, time, f"n{s}/{table}", m, float(rng.randrange(1, 50))) for m in reported]
    unique = {c[:4]: c for c in cells}
    cells = list(unique.values())
    for c in rng.sample(cells, len(cells) // 8):
        cells.append(c._replace(value=c.value + (rng.randrange(5) if many else 0)))
    return cells


def plain(cells: Sequence[Cell], lateness: int = LATENESS) -> dict[tuple[str, int], dict[tuple[str, str], float]]:
    """What every tick must hold, worked out the slow way and without any order."""
    out: dict[tuple[str, int], dict[tuple[str, str], float]] = {}
    for table in {c.table for c in cells}:
        period = PERIODS[table]
        stamps: dict[tuple[int, str, str], dict[int, float]] = {}
        for c in cells:
            if c.table == table:
                tick = -(-c.time // period) * period
                of = stamps.setdefault((tick, c.metric, c.subject), {})
                of[c.time] = max(of.get(c.time, c.value), c.value)
        warm = min(t for t, _, _ in stamps) + lateness
        first = {(m, s): min(t for t, m2, s2 in stamps if (m2, s2) == (m, s)) for _, m, s in stamps}
        for (tick, metric, subject), of in stamps.items():
            begun = first[metric, subject]
            if begun <= warm or begun + lateness < tick:
                out.setdefault((table, tick), {})[metric, subject] = sum(of.values()) if counter(metric) else of[max(of)]
    return out


def held(ticks: Iterable[Tick]) -> dict[tuple[str, int], dict[tuple[str, str], float]]:
    out: dict[tuple[str, int], dict[tuple[str, str], float]] = {}
    for t in ticks:
        for m, s in np.argwhere(~np.isnan(t.values)).tolist():
            out.setdefault((t.table, t.time), {})[t.metrics[m], t.subjects[s]] = float(t.values[m, s])
    return out


# -- order, splitting, repeats ------------------------------------------------------------------------------------------


@given(st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_ticks_do_not_depend_on_how_rows_arrive(rng: Random) -> None:
    cells = make(rng, many=True)
    wanted = run(station(eager=False), in_order(cells))
    assert held(wanted) == plain(cells)
    assert [(t.time, t.table) for t in wanted] == sorted((t.time, t.table) for t in wanted)
    for _ in range(2):
        other = station(eager=False)
        assert exact(run(other, shuffled(cells, rng))) == exact(wanted)
        assert other.counts["late"] == 0


@given(st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_early_closing_does_not_change_what_ticks_hold(rng: Random) -> None:
    cells = make(rng, many=False)
    wanted = run(station(eager=False), in_order(cells))
    assert held(wanted) == plain(cells)
    for _ in range(2):
        assert exact(run(station(), shuffled(cells, rng))) == exact(wanted)


@given(st.randoms(use_true_random=False))
@settings(max_examples=20, deadline=None, derandomize=True)
def test_the_roster_beforehand_changes_nothing_of_this(rng: Random) -> None:
    cells = make(rng, many=False)
    # n3 never reports, n1 leaves half-way, n2's GPU is another part from then on.
    half = T0 + 70 * S
    roster = tuple(RosterRow(f"n{i}/{t}", t, until=half if i == 1 else None) for i in (0, 1, 3) for t in PERIODS)
    swap = (RosterRow("n2/gpu", "gpu", until=half, keys={"serial": "a"}), RosterRow("n2/gpu", "gpu", since=half, keys={"serial": "b"}))
    cells = [c for c in cells if not (c.subject.startswith("n1/") and c.time >= half)]
    wanted = run(station(eager=False), [roster + swap, *in_order(cells)])
    for eager in (False, True):
        assert exact(run(station(eager=eager), [roster + swap, *shuffled(cells, rng)])) == exact(wanted)


@given(st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None, derandomize=True)
def test_events_do_not_depend_on_how_they_arrive(rng: Random) -> None:
    cells = make(rng, many=False, gaps=False)
    events = [Event(T0 + rng.randrange(300) * S, "n0/gpu", "xid", str(rng.randrange(3))) for _ in range(12)]
    ordered: list[Message] = sorted([*in_order(cells), *events], key=_time)
    wanted = run(station(eager=False), ordered)
    messages: list[Message] = [*shuffled(cells, rng), *events]
    late = sorted(messages, key=lambda m: _time(m) + rng.randrange(LATENESS - 15 * S) if isinstance(m, Event) else _time(m))
    assert [t[-1] for t in exact(run(station(eager=False), late))] == [t[-1] for t in exact(wanted)]
    seen = [e for t in wanted if t.table == "gpu" for e in t.events]
    times = [t.time for t in wanted if t.table == "gpu"]
    # A table that joins later need not see what all others have seen by then.
    due = {e for e in events if times[0] - LATENESS < e.time <= times[-1] - LATENESS}
    assert due <= set(seen) <= set(events)
    assert len(seen) == len(set(seen))


def _time(m: Message) -> int:
    assert not isinstance(m, tuple)
    return m.time if isinstance(m, Event) else int(m.times[-1])


@given(st.randoms(use_true_random=False))
@settings(max_examples=20, deadline=None, derandomize=True)
def test_infinities_are_no_values_however_they_arrive(rng: Random) -> None:
    made = make(rng, many=False)
    bad = {c: rng.choice([np.inf, -np.inf]) for c in dict.fromkeys(made) if rng.random() < 0.1}
    cells = [c._replace(value=bad.get(c, c.value)) for c in made]
    finite = [c for c in cells if np.isfinite(c.value)]
    ticks = run(station(eager=False), in_order(cells))
    assert held(ticks) == plain(finite)
    assert exact(run(station(), shuffled(cells, rng))) == exact(ticks)


def test_a_dense_batch_of_many_moments_is_the_same_as_its_slices() -> None:
    values = np.random.default_rng(1).normal(size=(30, 2, 5)).astype(np.float32)
    values[np.random.default_rng(2).random(values.shape) < 0.1] = np.nan
    times = T0 + 10 * S * np.arange(1, 31)
    subjects, metrics = tuple(f"n{i}" for i in range(5)), ("clock", "errors_total")
    whole = Batch("gpu", times, subjects, metrics, values)
    parts = [
        Batch("gpu", times[t : t + 1], subjects[s], metrics[m : m + 1], np.ascontiguousarray(values[t : t + 1, m : m + 1, s]))
        for t in range(30)
        for m in range(2)
        for s in (slice(0, 2), slice(2, 5))
    ]
    ticks = run(station(), [whole])
    assert exact(ticks) == exact(run(station(), parts)) == exact(run(station(eager=False), parts))
    assert len(ticks) == 30


# -- within a tick ------------------------------------------------------------------------------------------------------


def test_increments_add_and_gauges_replace_within_a_tick() -> None:
    cells = [Cell("gpu", T0 + k * S, "a", name, v) for k, v in ((1, 5.0), (4, 2.0), (9, 1.0)) for name in ("errors_total", "clock")]
    (tick,) = run(station(), in_order(cells))
    assert dict(zip(tick.metrics, tick.values[:, 0].tolist(), strict=True)) == {"errors_total": 8.0, "clock": 1.0}


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (1, 3, 0, 2)])
def test_a_repeat_is_one_row_and_the_larger_value_counts(order: tuple[int, ...]) -> None:
    cells = [Cell("gpu", T0 + S, "a", "errors_total", 5.0)]
    cells += [Cell("gpu", T0 + 4 * S, "a", "errors_total", v) for v in (2.0, 2.0, 30.0)]
    align = station()
    (tick,) = run(align, [dense([cells[i]]) for i in order])
    assert tick.values[0, 0] == 35.0
    assert align.counts["duplicate"] == 2
    assert align.counts["conflicting"] in (1, 2)


def test_an_equal_repeat_is_counted_but_conflicts_with_nothing() -> None:
    align = station()
    cells = [Cell("gpu", T0 + k * S, "a", "errors_total", 3.0) for k in (1, 2)]
    (tick,) = run(align, [dense([c]) for c in (*cells, *cells)])
    assert tick.values[0, 0] == 6.0
    assert (align.counts["duplicate"], align.counts["conflicting"]) == (2, 0)


def test_one_message_alone_is_not_copied_nor_changed() -> None:
    batch = rows("gpu", [T0], ["a", "b"])
    (tick,) = run(station(), [batch])
    assert np.shares_memory(tick.values, batch.values)


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


# -- clocks -------------------------------------------------------------------------------------------------------------

FLEET = tuple(f"n{i}" for i in range(8))


def fleet(align: Align, ticks: range, leave_out: str = "") -> list[Tick]:
    names = [n for n in FLEET if n != leave_out]
    return run(align, [rows("gpu", [T0 + k * 10 * S], [n]) for k in ticks for n in names], flush=False)


def test_one_wrong_clock_closes_nobodys_ticks() -> None:
    align = station()
    fleet(align, range(1, 10))
    ahead = [rows("gpu", [T0 + k * 10 * S + 3601 * S], ["n3"]) for k in range(10, 14)]
    assert run(align, ahead, flush=False) == []
    ticks = fleet(align, range(10, 20), leave_out="n3")
    assert align.counts["late"] == 0
    assert all(np.isfinite(np.delete(t.values, 3)).all() for t in ticks)
    run(align, [], flush=True)
    assert align.counts["clock_ahead"] == 4


def test_a_wrong_clock_that_speaks_first_is_overruled() -> None:
    align = station()
    run(align, [rows("gpu", [T0 + 86400 * S], ["n3"])], flush=False)
    ticks = fleet(align, range(1, 20), leave_out="n3")
    assert align.counts["late"] == 0
    assert np.isfinite(np.delete(ticks[-1].values, FLEET.index("n3") if "n3" in ticks[-1].subjects else [])).all()
    assert ticks[-1].time < T0 + 200 * S


def test_a_clock_of_1970_that_speaks_first_holds_nobody_back() -> None:
    align = station()
    run(align, [rows("gpu", [100 * S], ["n3"])], flush=False)
    for k in range(1, 20):
        fleet(align, range(k, k + 1), leave_out="n3")
        ticks = run(align, [rows("gpu", [(100 + 10 * k) * S], ["n3"])], flush=False)
    ticks = fleet(align, range(20, 30), leave_out="n3")
    assert ticks[-1].time >= T0 + 250 * S
    assert np.isfinite(np.delete(ticks[-1].values, 3)).all()
    assert align.counts["late"] >= 10


@pytest.mark.parametrize("first", [0, 1])
def test_of_two_nodes_the_one_without_battery_is_not_believed(first: int) -> None:
    align = station()
    pair = [[rows("gpu", [T0 + k * 10 * S], ["n0"]), rows("gpu", [k * 10 * S], ["n1"])] for k in range(1, 40)]
    ticks = run(align, [m for two in pair for m in (two[first], two[1 - first])], flush=False)
    assert align.now == T0 + 390 * S
    n0 = {t.time: t.values[0, t.subjects.index("n0")] for t in ticks if "n0" in t.subjects}
    assert all(n0[T0 + k * 10 * S] == 1.0 for k in range(6, 35))


def test_a_wrong_heartbeat_is_not_believed() -> None:
    align = station()
    fleet(align, range(1, 10))
    assert run(align, [heartbeat(T0 + 86400 * S, "n3")], flush=False) == []
    assert fleet(align, range(10, 12))[-1].time == T0 + 110 * S


def test_a_fleet_that_jumps_ahead_is_followed() -> None:
    align = station()
    fleet(align, range(1, 10))
    ticks = fleet(align, range(1000, 1010))
    assert T0 + 10_000 * S in [t.time for t in ticks]
    assert align.counts["clock_ahead"] == align.counts["late"] == 0


def test_the_only_node_left_is_followed_in_the_end() -> None:
    align = station()
    fleet(align, range(1, 10))
    ticks = run(align, [rows("gpu", [T0 + k * 10 * S], ["n3"]) for k in range(1000, 1060)], flush=False)
    assert ticks[-1].time >= T0 + 10_500 * S


def test_old_jumps_of_single_clocks_do_not_add_up_to_a_majority() -> None:
    align = station()
    fleet(align, range(1, 10))
    for i, name in enumerate(FLEET):
        start = 10 + i * 400  # more than an hour apart
        run(align, [rows("gpu", [T0 + start * 10 * S + 3700 * S], [name])], flush=False)
        fleet(align, range(start, start + 400, 5))
    assert align.now is not None
    assert align.now <= T0 + 4000 * 10 * S
    assert align.counts["late"] == 0
    assert len(align.clock.held) <= 1


# -- the roster ---------------------------------------------------------------------------------------------------------


def steps(align: Align, ticks: range, names: Sequence[str]) -> list[Tick]:
    return run(align, [rows("gpu", [T0 + k * 10 * S], names) for k in ticks], flush=False)


def test_a_subject_that_appears_and_leaves() -> None:
    align = station()
    gone = T0 + 200 * S
    run(align, [(RosterRow("a", "gpu"), RosterRow("b", "gpu", since=T0 + 100 * S, until=gone))])
    before = steps(align, range(1, 10), ["a"])
    during = steps(align, range(10, 20), ["a", "b"])
    after = steps(align, range(20, 30), ["a"])
    assert {t.subjects for t in before} == {("a",)}
    assert ("a", "b") in {t.subjects for t in during}
    assert after[-1].subjects == ("a",)
    assert [t.time for t in after if t.time >= gone and t.subjects != ("a",)] == []


def test_a_replaced_part_is_fresh_once() -> None:
    align = station()
    swap = T0 + 150 * S
    run(align, [(RosterRow("a", "gpu"), *(RosterRow("b", "gpu", since, until, {"serial": n}) for n, since, until in (("x", None, swap), ("y", swap, None))))])
    ticks = steps(align, range(1, 30), ["a", "b"])
    assert [(t.time, t.fresh.tolist()) for t in ticks if t.fresh.any()] == [(swap, [False, True])]


def test_learning_a_serial_number_is_no_replacement() -> None:
    align = station()
    learned = T0 + 150 * S
    run(align, [(RosterRow("a", "gpu", until=learned), RosterRow("a", "gpu", since=learned, keys={"serial": "y"}))])
    assert not any(t.fresh.any() for t in steps(align, range(1, 30), ["a"]))


def test_a_subject_that_moves_to_another_job_stays_and_shows_it() -> None:
    align = station()
    moves = T0 + 150 * S
    run(align, [(RosterRow("a", "gpu", until=moves, keys={"job": "1"}), RosterRow("a", "gpu", since=moves, keys={"job": "2"}))])
    ticks = steps(align, range(1, 30), ["a"])
    assert [t.roster.key("a", "job") for t in ticks] == ["1" if t.time < moves else "2" for t in ticks]
    assert len({id(t.subjects) for t in ticks}) == 1
    assert not any(t.fresh.any() for t in ticks)


def test_a_subject_of_another_table_is_refused() -> None:
    align = station()
    run(align, [(RosterRow("a", "gpu"), RosterRow("b", "node"))])
    ticks = steps(align, range(1, 12), ["a", "b"])
    assert {t.subjects for t in ticks} == {("a",)}
    assert align.counts["wrong_table"] == len(ticks) == 11


def test_repeating_the_roster_changes_nothing() -> None:
    align = station()
    row = (RosterRow("a", "gpu", keys={"job": "1"}),)
    run(align, [row])
    first = steps(align, range(1, 12), ["a"])
    run(align, [row])
    again = steps(align, range(12, 20), ["a"])
    assert again[-1].roster is first[-1].roster


def test_layouts_are_the_same_objects_while_nothing_changes() -> None:
    ticks = steps(station(), range(1, 30), ["b", "a"])
    assert len({(id(t.subjects), id(t.metrics)) for t in ticks}) == 1
    assert ticks[0].subjects == ("a", "b")


# -- bounds -------------------------------------------------------------------------------------------------------------


def test_memory_is_bounded_in_time() -> None:
    align = station()
    sizes = []
    for k in range(1, 3000):
        run(align, [rows("gpu", [T0 + k * 10 * S], ["a", "b"]), Event(T0 + k * 10 * S, "a", "xid", str(k)), heartbeat(T0 + k * 10 * S)], flush=False)
        gpu = align.tables["gpu"]
        sizes.append((len(gpu.pending), len(align.events), len(gpu.missing), sum(len(v[2][0]) for v in gpu.layout._place.values())))
    assert max(s[0] for s in sizes) <= 8
    assert max(s[1] for s in sizes) <= 8
    assert max(s[2] for s in sizes) <= 8
    assert max(s[3] for s in sizes) <= 1 << 20


def test_events_are_bounded_when_a_table_died_or_none_ever_lived(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("grayscope.align.EVENTS", 100)
    for first in ([], [rows("gpu", [T0], ["a"])]):
        align = station(empty=2)
        run(align, [*first, *(Event(T0 + k * S, "a", "xid", str(k)) for k in range(1000))], flush=False)
        assert len(align.events) <= 100
        assert align.counts["events_dropped"] + len(align.events) >= 900
        assert max(e.time for e in align.events) == T0 + 999 * S


def test_names_that_nobody_expects_are_forgotten_after_a_day() -> None:
    align = station()
    run(align, [(RosterRow("a", "gpu"),)])
    steps(align, range(1, 20), ["a", "job:1/r0"])
    sleepy = steps(align, range(20, 8000, 20), ["a"])
    assert sleepy[0].subjects == ("a", "job:1/r0")
    later = steps(align, range(8000, 9000, 20), ["a"])
    assert later[-1].subjects == ("a",)
    # Who is in the roster stays, whether or not it speaks.
    ticks = steps(align, range(9000, 18000, 20), ["other"])
    assert "a" in ticks[-1].subjects


def test_too_many_names_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("grayscope.aligntable.LIMIT", 10)
    align = station()
    ticks = run(align, [rows("gpu", [T0 + k * 10 * S], [f"x{k}y{i}" for i in range(4)]) for k in range(1, 20)])
    assert max(len(t.subjects) for t in ticks) <= 10
    assert align.counts["too_many"] > 0


def test_empty_batches_and_flushing_nothing() -> None:
    align = station()
    empty = Batch("gpu", np.array([], np.int64), (), (), np.empty((0, 0, 0), np.float32))
    assert run(align, [empty]) == []
    assert run(align, [Batch("gpu", np.array([T0]), (), ("clock",), np.empty((1, 1, 0), np.float32))]) == []
