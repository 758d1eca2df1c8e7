"""Align: who is expected, who is fresh, who moved and who is refused."""

from __future__ import annotations

from grayscope.roster import RosterRow
from tests.aligning import T0, S, run, station, steps


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


def test_a_communicator_inside_one_machine_is_another_one_on_another_machine() -> None:
    moves, name, rail = T0 + 150 * S, "comm:1-node4", "comm:1-rail0"
    align = station()
    there = [(name, {"node": "n5", "job": "1"}, None, moves), (name, {"node": "n63", "job": "1"}, moves, None)]
    along = [(rail, {"job": "1"}, None, moves), (rail, {"job": "1", "rail": "rail:0"}, moves, None)]
    run(align, [tuple(RosterRow(s, "gpu", since, until, keys) for s, keys, since, until in (*there, *along))])
    ticks = steps(align, range(1, 15), [name, rail])
    told = align.snapshot()
    ticks += steps(align, range(15, 30), [name, rail])
    assert [(t.time, t.fresh.tolist()) for t in ticks if t.fresh.any()] == [(moves, [True, False])]
    after = station()
    after.restore(told)
    assert any(t.fresh.any() for t in steps(after, range(15, 30), [name, rail]))


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
