"""Matrix: rows, columns and cells of a matrix of pairs are told apart."""

from __future__ import annotations

import numpy as np

from grayscope.matrix import Mesh, polish
from grayscope.roster import RosterRow, View
from grayscope.tick import Tick


def tick(rows: list[RosterRow]) -> Tick:
    subjects = tuple(sorted(r.subject for r in rows))
    return Tick("path", 10, 10, View(1, {r.subject: r for r in rows}), subjects, (), np.empty((0, len(subjects)), np.float32), np.zeros(len(subjects), bool))


def test_ends_come_from_keys_else_from_what_is_crossed() -> None:
    rows = [
        RosterRow("p", "path", keys={"source": "a", "target": "b"}, crosses=("a", "leaf", "b")), RosterRow("q", "path", crosses=("b", "a")),
        RosterRow("r", "path", crosses=("a", "x", "b")), RosterRow("s", "path", keys={"source": "a", "target": "a"}),
    ]  # fmt: skip
    mesh = Mesh.of(tick(rows))
    assert (mesh.ends, mesh.path.tolist(), mesh.source.tolist(), mesh.directed) == (("a", "b"), [0, 1], [0, 1], True)


def test_pairs_measured_one_way_count_for_both_ends() -> None:
    rows = [RosterRow(f"{a}{b}", "path", crosses=(a, b)) for a, b in ("ab", "ac", "ad", "bc", "bd", "cd")]
    mesh = Mesh.of(tick(rows))
    assert not mesh.directed
    out, into = polish(np.array([[0, 0, 1, 0, 1, 1]], np.float32), mesh)
    assert out.tolist() == into.tolist() == [[0, 0, 0, 1]]


def test_a_hot_cell_moves_neither_row_nor_column() -> None:
    pairs = [(a, b) for a in range(6) for b in range(6) if a != b]
    rows = [RosterRow(f"{a}>{b}", "path", crosses=(str(a), str(b))) for a, b in pairs]
    mesh, values = Mesh.of(tick(rows)), np.zeros((1, 30), np.float32)
    values[0, 7] = 9
    out, into = polish(values, mesh)
    assert not out.any()
    assert not into.any()


def test_an_end_of_two_paths_is_not_known() -> None:
    pairs = [(a, b) for a in range(5) for b in range(5) if a != b and (a != 4 or b < 2)]
    mesh = Mesh.of(tick([RosterRow(f"{a}>{b}", "path", crosses=(str(a), str(b))) for a, b in pairs]))
    out, into = polish(np.zeros((1, len(pairs)), np.float32), mesh)
    assert np.isnan(out[0]).tolist() == [False] * 4 + [True]
    assert np.isfinite(into).all()
