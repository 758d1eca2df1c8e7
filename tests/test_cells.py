"""Cells: each cell has its engine and its part of the roster, and a restart anywhere changes nothing that is said."""

from __future__ import annotations

import numpy as np
import pytest

from grayscope import assembly
from grayscope.batch import Batch
from grayscope.brokers.parquet import Parquet
from grayscope.cells import Cells
from grayscope.checkpoint import pack, unpack
from grayscope.engine import Engine
from grayscope.errors import InputError
from grayscope.event import Event
from grayscope.fleet import Fleet
from grayscope.fleet.faults import Fault
from grayscope.message import Message
from grayscope.roster import RosterRow
from grayscope.settings import Settings

PERIODS = {"nvlink": 60_000_000}


def engine(_: str = "") -> Engine:
    return assembly.engine(Settings(), periods=PERIODS)


@pytest.fixture(scope="module")
def messages(tmp_path_factory: pytest.TempPathFactory) -> list[Message]:
    path = tmp_path_factory.mktemp("cells") / "trace"
    Fleet(nodes=2, hours=0.4, seed=103, faults=[Fault("n001/gpu3", "thermal_throttle", "gray", 500.0, strength=0.2)]).write(path)
    found = list(Parquet(path).receive())
    # Out of order, late, from the future, and with events that wait.
    return [*found[:200], found[10], Event(1, "n001", "xid", "94"), *found[201:300], found[200], *found[300:]]


def said(cells: Cells, messages: list[Message], restarts: set[int]) -> list[str]:
    told = []
    for i, message in enumerate(messages):
        if i in restarts:
            state, cells = unpack(pack(cells.snapshot())), Cells(engine)
            cells.restore(state)
        outputs = [o for _, o in cells.introduce(message)] if isinstance(message, tuple) else [cells.step("c1", message)]
        told += [repr((o.verdicts, o.incidents, o.alerts, o.ledger, list(o.evidence))) for o in outputs]
    return [*told, repr(cells.engines["c1"].align.counts), repr(cells.engines["c1"].flush())]


@pytest.fixture(scope="module")
def whole(messages: list[Message]) -> list[str]:
    """What is said where nothing is ever stopped."""
    return said(Cells(engine), messages, set())


def test_a_restart_in_the_middle_of_open_ticks_changes_nothing(messages: list[Message], whole: list[str]) -> None:
    assert "'gray'" in "".join(whole)
    assert said(Cells(engine), messages, set(range(1, len(messages), 37))) == whole


def test_a_state_that_was_taken_stays_as_it_is_while_the_engine_goes_on(messages: list[Message]) -> None:
    cells, taken = Cells(engine), list[tuple[dict[str, np.ndarray], bytes]]()
    for i, message in enumerate(messages[:400]):
        _ = list(cells.introduce(message)) if isinstance(message, tuple) else [cells.step("c1", message)]
        if i in (150, 300):
            taken.append((state := cells.snapshot(), pack(state)))
    for state, then in taken:
        assert pack(state) == then


def test_a_restart_from_a_state_without_the_rows_that_never_move_changes_nothing(
    messages: list[Message], whole: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("grayscope.squeezed.LEAST", 1)
    monkeypatch.setattr("grayscope.squeezed.WIDTH", 1)
    assert said(Cells(engine), messages, set(range(1, len(messages), 150))) == whole


def row(subject: str, **keys: str) -> RosterRow:
    return RosterRow(subject, "gpu" if "/" in subject else "node", keys=keys)


def test_rows_go_where_they_belong() -> None:
    cells = Cells(engine)
    rows = (row("n1", cell="a"), row("n2", cell="b"), row("n1/gpu0"), row("n2/gpu0"), row("n9/gpu0", cell="b"), row("leaf1"))
    assert list(cells.introduce(rows)) == []
    for cell in "ab":
        cells.step(cell, Event(1, "site", "clock", "heartbeat"))
    names = {cell: {r.subject for r in e.align.roster.rows} for cell, e in cells.engines.items()}
    assert names == {"a": {"n1", "n1/gpu0", "leaf1"}, "b": {"n2", "n2/gpu0", "n9/gpu0", "leaf1"}}
    assert cells.news(rows) == ()
    assert [c for c, _ in cells.introduce([row("n1/gpu1")])] == ["a"]
    other = Cells(engine)
    other.restore(unpack(pack(cells.snapshot())))
    assert {c: e.align.roster.rows for c, e in other.engines.items()} == {c: e.align.roster.rows for c, e in cells.engines.items()}
    assert [c for c, _ in other.introduce([row("n2/gpu1")])] == ["b"]


def test_cells_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("grayscope.cells.LIMIT", 2)
    cells = Cells(engine)
    batch = Batch("gpu", np.array([10_000_000]), ("n1/gpu0",), ("gpu_power_watts",), np.ones((1, 1, 1), np.float32))
    for cell in "ab":
        cells.step(cell, batch)
    with pytest.raises(InputError, match="cell: expected one of the 2"):
        cells.step("c", batch)
