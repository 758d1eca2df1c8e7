"""Align: nothing that it remembers grows without end."""

from __future__ import annotations

import numpy as np
import pytest

from grayscope.batch import Batch
from grayscope.event import Event, heartbeat
from grayscope.roster import RosterRow
from tests.aligning import T0, S, rows, run, station, steps


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
