"""Recorder and origins: what a dump says, and who holds up whom."""

from __future__ import annotations

from typing import Any

import pytest

from grayscope.errors import InputError
from grayscope.origins import suspects
from grayscope.recorder import Operation, read

#: Four ranks: two tensor pairs, crossed by two data pairs.
GROUPS = {"0": [0, 1, 2, 3], "t0": [0, 1], "t1": [2, 3], "d0": [0, 2], "d1": [1, 3]}


def entry(order: int, group: str, sequence: int, local: int = 0, **other: Any) -> dict[str, Any]:
    return {"record_id": order, "pg_id": local, "process_group": (group, "G"), "collective_seq_id": sequence, "state": "scheduled", **other}


def send(order: int, group: str, sequence: int, name: str) -> dict[str, Any]:
    return entry(order, group, 0, p2p_seq_id=sequence, is_p2p=True, profiling_name=name)


def document(rank: int, entries: list[dict[str, Any]], status: dict[str, Any] | None = None) -> dict[str, Any]:
    config = {name: {"name": name, "desc": f"group {name}", "ranks": str(ranks)} for name, ranks in GROUPS.items() if rank in ranks}
    return {"version": "2.9", "pg_config": config, "pg_status": status or {}, "entries": entries}


def found(*entries: list[dict[str, Any]] | None) -> list[tuple[tuple[int, ...], str, tuple[int, ...], bool]]:
    dumps = {r: read(r, document(r, e), f"dump {r}") for r, e in enumerate(entries) if e is not None}
    return [(s.ranks, s.operation.group, s.waiting, s.entered) for s in suspects(dumps)]


def test_the_one_that_did_not_enter() -> None:
    assert found([entry(1, "0", 5)], [entry(1, "0", 5)], [], [entry(1, "0", 5)]) == [((2,), "0", (0, 1, 3), False)]


def test_two_of_one_group() -> None:
    assert [f[0] for f in found([entry(1, "0", 5)], [], [], [entry(1, "0", 5)])] == [(1,), (2,)]


def test_nested_groups_are_walked_to_the_origin() -> None:
    """0 and 1 wait for 2 and 3 in the data groups; 2 waits for 3 in its tensor group; 3 waits for nobody."""
    said = found([entry(8, "d0", 9)], [entry(8, "d1", 9)], [entry(8, "t1", 4)], [])
    assert said == [((3,), "d1", (1, 2), False)]


def test_one_that_is_behind_because_it_waits_is_no_origin() -> None:
    said = found([], [entry(1, "t0", 3)], [entry(1, "0", 6)], [entry(1, "0", 6)])
    assert said == [((0,), "0", (1, 2, 3), False)]


def test_entered_and_held_up_by_something_older() -> None:
    """All have entered 0:7; 1 has something older in its way, which 0 has finished and waits for nobody in."""
    older = [entry(1, "t0", 3, state="completed"), entry(2, "0", 7)]
    assert found(older, [entry(1, "t0", 3), entry(2, "0", 7)], [entry(2, "0", 7)], [entry(2, "0", 7)]) == [((1,), "0", (0, 2, 3), True)]


def test_ranks_that_wait_for_each_other_cannot_be_told_apart() -> None:
    said = found([entry(1, "t0", 3)], [entry(1, "d1", 5)], [entry(1, "0", 9)], [entry(1, "0", 9)])
    assert said == [((0, 1, 3), "0", (2,), False)]
    # 0 and 1 have enqueued the same two operations in different order.
    said = found([entry(2, "0", 7)], [entry(1, "t0", 3), entry(2, "0", 7)], [entry(2, "0", 7)], [entry(2, "0", 7)])
    assert said == [((0, 1), "0", (2, 3), True)]


def test_point_to_point_counts_apart() -> None:
    waits = [send(1, "d0", 40, "nccl:recv 0<-1")]
    assert found(waits, [], [entry(1, "d0", 50, state="completed")], []) == [((2,), "d0", (0,), False)]  # 50 collectives are no 40th message
    assert found(waits, [], [send(1, "d0", 41, "nccl:send 1->0")], []) == [((0,), "d0", (2,), False)]


def test_a_rank_without_a_dump_is_named_and_says_so() -> None:
    dumps = {r: read(r, document(r, [entry(1, "0", 5)]), r) for r in (0, 1, 3)}
    (suspect,) = suspects(dumps)
    assert (suspect.ranks, suspect.dumped) == ((2,), False)


def test_nobody_waits_for_anybody() -> None:
    everywhere = [entry(1, "0", 5)]
    assert found([], [], [], []) == []
    assert found(everywhere, everywhere, everywhere, everywhere) == []


def test_the_number_of_a_group_is_local() -> None:
    """Rank 1 knows group 0 by another number than rank 0, and its status says that it has entered."""
    ours = read(0, document(0, [entry(1, "0", 5, local=0)]), 0)
    theirs = read(1, document(1, [entry(1, "0", 4, local=3)], {"0": {"last_enqueued_collective": 1}, "3": {"last_enqueued_collective": "5"}}), 1)
    assert theirs.reached == {("0", False): 5}
    assert ours.pending[0].operation == Operation("0", False, 5)
    assert [s.ranks for s in suspects({0: ours, 1: theirs})] == [(2,), (3,)]


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ([], "dump: expected a dict with a version, found list"),
        ({"entries": []}, "dump: expected a dict with a version"),
        ({"version": "2", "entries": 5}, "entries: value: expected a list"),
        ({"version": "2", "entries": [7]}, "entry 0: value: expected a dict, found int"),
        ({"version": "2", "entries": [{"process_group": "ab"}]}, "entry 0: process_group: expected (name, description), found ab"),
        ({"version": "2", "entries": [entry(1, "0", 5) | {"collective_seq_id": "x"}]}, "entry 0: collective_seq_id: expected a whole number, found x"),
        ({"version": "2", "entries": [entry(1, "0", 1 << 70)]}, "entry 0: collective_seq_id: expected a whole number"),
        ({"version": "2", "pg_config": {"0": {"ranks": "__import__('os')"}}}, "pg_config 0: ranks: expected a list of numbers"),
        ({"version": "2", "pg_config": {"0": {"ranks": "[" * 9000}}}, "pg_config 0: ranks: expected a list of numbers"),
        ({"version": "2", "pg_config": {"0": 1}}, "pg_config 0: expected a dict, found int"),
        ({"version": "2", "pg_status": [1]}, "pg_status: expected a dict, found list"),
    ],
)
def test_what_is_no_dump_is_named(wrong: Any, text: str) -> None:
    with pytest.raises(InputError) as error:
        read(0, wrong, "dump_0")
    assert text in str(error.value)
    assert str(error.value).startswith("dump_0")
    assert len(str(error.value)) < 400
