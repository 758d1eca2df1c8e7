"""Align: the same rows give the same ticks, however they are split, shuffled, doubled or hurried."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grayscope.batch import Batch
from grayscope.event import Event
from grayscope.message import Message
from grayscope.roster import RosterRow
from tests.aligning import LATENESS, PERIODS, T0, Cell, S, dense, exact, held, in_order, make, plain, rows, run, shuffled, station

# -- order, splitting, repeats ------------------------------------------------------------------------------------------
# What Hypothesis calls true randomness is a generator with a seed that it draws: quick, and the same in each run.


@given(st.randoms(use_true_random=True))
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


@given(st.randoms(use_true_random=True))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_early_closing_does_not_change_what_ticks_hold(rng: Random) -> None:
    cells = make(rng, many=False)
    wanted = run(station(eager=False), in_order(cells))
    assert held(wanted) == plain(cells)
    for _ in range(2):
        assert exact(run(station(), shuffled(cells, rng))) == exact(wanted)


@given(st.randoms(use_true_random=True))
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


@given(st.randoms(use_true_random=True))
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


@given(st.randoms(use_true_random=True))
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
