"""Ranks: groups, means over a look, bounded columns; a communicator ends with its members."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

import grayscope.collectors._ncclranks as module  # type: ignore[import-not-found]
from grayscope.catalogue import Catalogue
from grayscope.collectives import Operation
from grayscope.collectors._ncclinspector import Record, Writer  # type: ignore[import-not-found]
from grayscope.collectors._ncclpeople import People, Person  # type: ignore[import-not-found]


@pytest.fixture
def ranks() -> Any:
    return module.Ranks(Catalogue.load(), {})


def person(rank: int) -> Any:
    return Person(f"job:1/r{rank}", "1", "n1", rank, f"n1/gpu{rank}")


def record(member: int, seconds: float, *, comm: str = "a", name: str = "TP 0", size: int = 2, sequence: int = 1, kind: str = "allreduce", **more: Any) -> Any:
    operation = Operation(comm, sequence, member, size, kind, 1 << 20, seconds, more.get("start", math.nan), more.get("stop", math.nan))
    return Record(Writer(comm, name, member, size, "n1", member), operation, more.get("p2p", False), more.get("timed", True))


def cells(ranks: Any, table: str = "rank") -> dict[tuple[str, str], float]:
    batches = [b for b in ranks.batches(0, {}) if b.table == table]
    return {(s, m): float(b.values[0, i, j]) for b in batches for i, m in enumerate(b.metrics) for j, s in enumerate(b.subjects)}


def test_lateness_is_told_in_the_smallest_group_only(ranks: Any) -> None:
    people = [person(r) for r in range(4)]
    for r in range(4):
        ranks.take(people[r], record(r % 2, 0.001 if r == 0 else 0.003, comm=f"tp{r // 2}"))
        ranks.take(people[r], record(r, 0.001 if r < 2 else 0.004, comm="dp", name="DP 0", size=4))
    found = cells(ranks)
    assert found["job:1/r0", "collective_late_seconds"] == pytest.approx(0.001)
    assert found["job:1/r1", "collective_late_seconds"] == 0
    assert found["job:1/r1", 'collective_wait_seconds{group="tp"}'] == pytest.approx(0.002)
    assert found["job:1/r1", 'collective_wait_seconds{group="dp"}'] == 0
    assert {s for s, m in found if m == "collective_late_ratio"} == {p.subject for p in people}


def test_the_smallest_group_that_is_not_heard_whole_does_not_silence_a_larger_one(ranks: Any) -> None:
    for r in range(2):
        ranks.take(person(r), record(0, 0.002, comm=f"pp{r}", name="PP"))
        ranks.take(person(r), record(r, 0.001 * (r + 1)))
    assert cells(ranks)["job:1/r0", "collective_late_seconds"] == pytest.approx(0.0005)


def test_time_between_goes_on_from_look_to_look_and_a_pause_is_none(ranks: Any) -> None:
    one = person(0)
    looks = []
    for start in (0.0, 10_000.0, 700e6 + 20_000):
        ranks.take(one, record(0, 0.003, start=start, stop=start + 3000))
        looks.append(cells(ranks).get(("job:1/r0", "compute_seconds")))
    assert looks == [None, pytest.approx(0.007), 0.0]


def test_point_to_point_is_told_apart_and_cpu_times_are_not_told(ranks: Any) -> None:
    ranks.take(person(0), record(0, 0.002, kind="send", p2p=True))
    ranks.take(person(0), record(0, 0.5, timed=False))
    ranks.take(person(0), record(0, 0.5, size=1))
    assert cells(ranks) == {("job:1/r0", 'p2p_duration_seconds{group="tp",op="send"}'): pytest.approx(0.002)}
    assert ranks.rejected == {"cpu_time": 1, "alone": 1}


def test_columns_are_bounded(ranks: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COLUMNS", 3)
    for i in range(5):
        ranks.take(person(0), record(0, 0.1, comm=f"c{i}", name=f"name{'x' * i}"))
    assert len(cells(ranks)) == 3
    assert ranks.rejected == {"too_many_columns": 2}


def test_a_communicator_ends_when_its_last_member_does(ranks: Any, tmp_path: Path) -> None:
    people = People(tmp_path, "n1")
    both = [people.of("n1", pid) for pid in (1, 2)]
    for r in range(2):
        ranks.take(both[r], record(r, 0.001))
    assert {r.subject for r in ranks.rows(people, 10, [])} == {"job:unknown/n1-1", "job:unknown/n1-2", "comm:a"}
    del people.known["n1", 1, -1]
    rows = ranks.rows(people, 20, [both[0]])
    assert [(r.subject, r.until, r.crosses) for r in rows] == [("job:unknown/n1-1", 20, ()), ("comm:a", None, ("job:unknown/n1-2",))]
    del people.known["n1", 2, -1]
    assert {(r.subject, r.until) for r in ranks.rows(people, 30, [both[1]])} == {("job:unknown/n1-2", 30), ("comm:a", 30)}
    assert ranks.members == {}
