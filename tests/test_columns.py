"""Columns: memory that follows subjects and metrics as they come, go and are replaced."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from grayscope.columns import Columns, Field, Memory, common
from grayscope.roster import View
from grayscope.tick import Tick

FIELDS = {"cell": Field(np.float32, -1.0), "deep": Field(np.int32, 0, (3,)), "own": Field(np.int64, 7, per_metric=False)}


def tick(subjects: Sequence[str], metrics: Sequence[str], fresh: Sequence[str] = (), table: str = "gpu") -> Tick:
    shape = (len(metrics), len(subjects))
    return Tick(table, 0, 1, View(0, {}), tuple(subjects), tuple(metrics), np.zeros(shape, np.float32), np.array([s in fresh for s in subjects], bool))


names = st.lists(st.sampled_from("abcdef"), unique=True, max_size=6)


@given(st.lists(st.tuples(names, st.lists(st.sampled_from("xyz"), unique=True, max_size=3), names), max_size=12))
@settings(deadline=None, derandomize=True)
def test_it_remembers_what_stays_and_forgets_what_leaves(script: list[tuple[list[str], list[str], list[str]]]) -> None:
    """Against a dictionary that is rebuilt every time."""
    columns = Columns(FIELDS)
    cells: dict[tuple[str, str], float] = {}
    own: dict[str, int] = {}
    for step, (subjects, metrics, fresh) in enumerate(script):
        columns.follow(tick(subjects, metrics, fresh))
        cells = {(m, s): -1.0 if s in fresh else cells.get((m, s), -1.0) for m in metrics for s in subjects}
        own = {s: 7 if s in fresh else own.get(s, 7) for s in subjects}
        a = columns.arrays
        assert a["cell"].tolist() == [[cells[m, s] for s in subjects] for m in metrics]
        assert a["own"].tolist() == [own[s] for s in subjects]
        assert a["deep"].shape == (3, len(metrics), len(subjects))
        for i, m in enumerate(metrics):
            for j, s in enumerate(subjects):
                a["cell"][i, j] = cells[m, s] = 100 * step + 10 * i + j
        for j, s in enumerate(subjects):
            a["own"][j] = own[s] = step
    assert columns.ticks == len(script)


def test_nothing_moves_while_nothing_changes() -> None:
    columns = Columns(FIELDS)
    columns.follow(tick("ab", "x"))
    before = columns.arrays["cell"]
    columns.follow(tick("ab", "x"))
    assert columns.arrays["cell"] is before


def test_tables_are_kept_apart_and_restored_bit_for_bit() -> None:
    memory = Memory(FIELDS)
    memory.of(tick("ab", "xy")).arrays["cell"][:] = [[1.5, np.nan], [-0.0, 3.0]]
    memory.of(tick(["a|b", "ü"], "y", table="node")).arrays["own"][:] = [4, 5]
    memory.of(tick("", "", table="empty"))
    state = memory.snapshot()
    other = Memory(FIELDS)
    other.restore(state)
    memory.tables["gpu"].arrays["cell"][:] = 0  # the snapshot is a copy
    again = other.snapshot()
    assert again.keys() == state.keys()
    assert all(again[k].tobytes() == state[k].tobytes() for k in state)
    assert other.tables["node"].subjects == ("a|b", "ü")
    assert other.of(tick("ba", "xy")).arrays["cell"][0].tolist()[1] == 1.5
    assert other.tables["gpu"].ticks == 2


def test_a_snapshot_is_plain_arrays() -> None:
    memory = Memory(FIELDS)
    memory.of(tick("ab", "x"))
    assert all(isinstance(v, np.ndarray) and v.dtype != object for v in memory.snapshot().values())


@given(names, names)
@settings(deadline=None, derandomize=True)
def test_common_names_are_found_in_both_orders(old: list[str], new: list[str]) -> None:
    then, now = common(tuple(old), tuple(new))
    assert [(old[a], b) for a, b in zip(then.tolist(), now.tolist(), strict=True)] == [(name, i) for i, name in enumerate(new) if name in old]
    assert not then.flags.writeable  # every memory of a table is given the same
