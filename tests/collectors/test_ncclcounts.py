"""Counts: totals that never fall because a communicator came or went; gaps are lost records until a dump counts them itself."""

from __future__ import annotations

from typing import Any

import pytest

import grayscope.collectors._ncclcounts as counting  # type: ignore[import-not-found]

RANK = "job:1/r0"


@pytest.fixture
def counts() -> Any:
    return counting.Counts()


def total(counts: Any, metric: str) -> float | None:
    found: float | None = counts.totals().get((RANK, metric))
    return found


def test_a_new_communicator_adds_and_an_old_number_does_not(counts: Any) -> None:
    for comm, number in (("a", 5), ("a", 6), ("b", 1), ("a", 4), ("b", 2), ("a", 6)):
        counts.reached(RANK, comm, number)
    assert total(counts, counting.SEQUENCE) == 8
    assert total(counts, counting.DROPPED) == 0


def test_gaps_count_until_a_dump_says(counts: Any) -> None:
    counts.reached(RANK, "a", 1)
    counts.reached(RANK, "a", 5)
    assert total(counts, counting.DROPPED) == 3
    counts.dropped(RANK, "a", 100)
    counts.reached(RANK, "a", 50)
    counts.dropped(RANK, "a", 107)
    counts.dropped(RANK, "a", 2)
    assert total(counts, counting.DROPPED) == 10


def test_one_source_tells_progress(counts: Any) -> None:
    counts.counted(RANK, "a", 1200)
    counts.reached(RANK, "a", 7)
    counts.counted(RANK, "a", 1210)
    counts.counted(RANK, "a", 1205)
    assert total(counts, counting.SEQUENCE) == 1210
    other = counting.Counts()
    other.reached(RANK, "a", 7)
    other.counted(RANK, "a", 1200)
    assert total(other, counting.SEQUENCE) == 7


def test_only_who_is_shown_is_told(counts: Any) -> None:
    counts.reached(RANK, "a", 7)
    counts.begin([])
    assert counts.totals() == {}
    counts.show(RANK)
    assert total(counts, counting.SEQUENCE) == 7
    counts.begin([RANK])
    counts.show(RANK)
    assert counts.totals() == {}


def test_a_process_with_several_members_has_lanes_from_then_on(counts: Any) -> None:
    assert [counts.lane("n", 1, "a", m) for m in (0, 0, 1, 0)] == [-1, -1, 1, 0]
    assert counts.lane("n", 2, "a", 0) == -1


def test_memory_is_bounded(counts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "MOST", 10)
    for i in range(11):
        counts.reached(f"job:1/r{i}", "a", 1)
    counts.begin([])
    counts.show("job:1/r0")
    assert counts.totals() == {}
