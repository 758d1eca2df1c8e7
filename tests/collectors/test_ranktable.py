"""Ranktable: cells to a batch, counters to increments, silence to nothing."""

from __future__ import annotations

from typing import Any

import pytest

import grayscope.collectors._ranktable as made  # type: ignore[import-not-found]
from grayscope.errors import InputError

CELL = ("job:1/r0", "steps_total")


@pytest.fixture
def table() -> Any:
    return made.table(None, {})


def step(table: Any, now: int, **totals: float) -> dict[str, float]:
    batches = table.batch("rank", now, {(f"job:1/{name}", "steps_total"): total for name, total in totals.items()})
    return {s: float(v) for b in batches for s, v in zip(b.subjects, b.values[0, 0], strict=True)}


def test_first_sight_and_resets_are_no_bursts(table: Any) -> None:
    assert step(table, 0, r0=1000) == {}
    assert step(table, 1, r0=1010, r1=5) == {"job:1/r0": 10}
    assert step(table, 2, r0=3, r1=6) == {"job:1/r0": 3, "job:1/r1": 1}
    assert step(table, 3, r0=4) == {"job:1/r0": 1}


def test_nothing_makes_no_batch(table: Any) -> None:
    assert table.batch("rank", 0, {}) == []


def test_who_and_what_says_nothing_is_left_out(table: Any) -> None:
    (batch,) = table.batch("rank", 0, {CELL: 5, ("job:1/r1", "step_seconds"): 0.5})
    assert (batch.subjects, batch.metrics, batch.values.tolist()) == (("job:1/r1",), ("step_seconds",), [[[0.5]]])


def test_names_that_churn_start_it_again(table: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(raw: object) -> None:
        raise InputError("too many")

    monkeypatch.setattr(table.rates, "batch", full)
    assert len(table.batch("rank", 0, {("job:1/r1", "step_seconds"): 0.5})) == 1
    assert table.rejected == {"too_many": 1}
