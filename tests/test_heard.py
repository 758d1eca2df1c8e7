"""Heard: the kernels give the very bits of the plain array code that says what they mean."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from grayscope import heard

F = np.float32
Array = np.ndarray[Any, Any]
SHAPE, STILL, FROZEN, LIVELY, ENOUGH, MUCH, FREE = (5, 37), 3, 9, F(0.8), 6, 1.6, 0.5
ONE = np.zeros(SHAPE[1], np.int64)


def ticks(seed: int) -> Iterator[Array]:
    """Yield values with holes, silent subjects, equal neighbours in time and one frozen cell."""
    rng = np.random.default_rng(seed)
    for t in range(120):
        values = rng.integers(0, 12, SHAPE).astype(F)
        values[rng.random(SHAPE) < 0.1] = np.nan
        values[:, rng.random(SHAPE[1]) < 0.2] = np.nan
        values[:, 4:9] = np.nan if t % 3 else values[:, 4:9]
        values[2, 11] = 7.0 if t > 60 else t
        values[0, 3] = np.inf if t % 7 == 0 else values[0, 3]
        yield values


def heeded(values: Array, regular: Array, a: dict[str, Array]) -> tuple[int, bool]:
    came = np.isfinite(values)
    a["absent"] = np.where(came, 0, a["absent"] + 1).astype(np.int32)
    a["habit"] = a["habit"] + (came - a["habit"]) * F(0.05)
    a["habit"][regular & ~came] = np.maximum(a["habit"][regular & ~came], F(0.51))
    changed, awake = came & (values != a["last"]), came & (a["still"] < STILL)
    a["longest"] = np.where(changed & (a["lively"] > LIVELY), np.maximum(a["longest"], a["still"]), a["longest"])
    a["lively"] = a["lively"] + np.where(awake, (changed & np.isfinite(a["last"])) - a["lively"], F(0)) * F(0.05)
    a["still"] = np.where(changed, 0, a["still"] + came).astype(np.int32)
    a["last"] = np.where(came, values, a["last"])
    return int(a["absent"][regular].max(initial=0)), bool(((a["still"] >= FROZEN) & (a["lively"] > LIVELY)).any())


@pytest.mark.parametrize("seed", range(3))
def test_cells_are_heeded_bit_for_bit(seed: int) -> None:
    a: dict[str, Array] = {name: np.zeros(SHAPE, F) for name in ("habit", "lively")}
    a |= {name: np.zeros(SHAPE, np.int32) for name in ("absent", "still", "longest")}
    a["last"] = np.full(SHAPE, np.nan, F)
    b = {name: array.copy() for name, array in a.items()}
    seen = set()
    for values in ticks(seed):
        regular, came, usual = np.empty(SHAPE, bool), np.empty(SHAPE[1], bool), np.empty(SHAPE[1], bool)
        heard.present(values, b["habit"], regular, came, usual)
        assert (regular == (a["habit"] > 0.5)).all()
        assert (came == np.isfinite(values).any(axis=0)).all()
        assert (usual == regular.any(axis=0)).all()
        got = heard.heed(values, regular, b["habit"], b["absent"], b["last"], b["still"], b["lively"], b["longest"], STILL, FROZEN, LIVELY)
        assert got == heeded(values, regular, a)
        assert all(np.array_equal(a[k], b[k], equal_nan=True) for k in a)
        seen.add(got)
    assert {stuck for _, stuck in seen} == {True, False}
    assert max(longest for longest, _ in seen) > 3
    assert 0 < b["longest"].max() < FROZEN


def paced(came: Array, a: dict[str, Array], free: float, group: Array) -> list[float]:
    gap, known = (a["quiet"] + 1).astype(F), a["rows"] > 0
    away = np.minimum(np.abs(gap - a["pace"]) / a["pace"], F(1))
    a["uneven"] = a["uneven"] + np.where(came & known, (away - a["uneven"]) * F(0.1), F(0))
    a["pace"] = a["pace"] + np.where(came & known, (np.minimum(gap, 2 * a["pace"] + 1) - a["pace"]) * F(0.1), F(0))
    a["quiet"] = np.where(came, 0, a["quiet"] + 1).astype(np.int32)
    a["rows"] = a["rows"] + came
    usual = np.zeros(int(group.max()) + 1, F)
    for g in range(len(usual)):
        of = group == g
        settled = (a["rows"] >= ENOUGH) & of
        if 2 * int(settled.sum()) > int(of.sum()) and np.median(a["uneven"][settled]) <= free:
            usual[g] = np.sort(a["pace"][settled])[(int(settled.sum()) - 1) // 2]
    own, edge = usual[group], F(4 * MUCH) * a["pace"]
    wrong = (a["rows"] >= ENOUGH) & (own > 0) & ((a["pace"] > (MUCH * own.astype(float)).astype(F)) | (F(MUCH) * a["pace"] < own)) & (a["quiet"] <= edge)
    a["off"] = np.where(wrong, a["off"] + 1, 0).astype(np.int32)
    return usual.tolist()


def told(seed: int, free: float, group: Array = ONE) -> tuple[list[list[float]], dict[str, Array]]:
    """Return what the kernel says of every tick and what it keeps, the same as the plain code."""
    a: dict[str, Array] = {"pace": np.ones(SHAPE[1], F), "uneven": np.zeros(SHAPE[1], F)}
    a |= {name: np.zeros(SHAPE[1], np.int32) for name in ("quiet", "rows", "off")}
    b = {name: array.copy() for name, array in a.items()}
    said = []
    for values in ticks(seed):
        came, usual = np.asarray(np.isfinite(values).any(axis=0)), np.full(int(group.max()) + 1, -1, F)
        heard.pace(came, b["pace"], b["uneven"], b["quiet"], b["rows"], b["off"], group, usual, ENOUGH, MUCH, free)
        said.append(usual.tolist())
        assert said[-1] == paced(came, a, free, group)
        assert all(np.array_equal(a[k], b[k]) for k in a)
    return said, b


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("groups", [1, 3, 9])
def test_the_pace_is_kept_bit_for_bit(seed: int, groups: int) -> None:
    said, kept = told(seed, FREE, np.arange(SHAPE[1]) % groups)
    assert max(said[0]) == 0.0 < min(said[-1])
    assert kept["off"].max() > 20


def test_beside_their_own_kind_nobody_is_slow() -> None:
    """Those that come every third time, in a group of their own."""
    group = ((np.arange(SHAPE[1]) >= 4) & (np.arange(SHAPE[1]) < 9)).astype(np.int64)
    assert told(0, FREE, group)[1]["off"].max() == 0


def test_where_most_keep_no_time_nobody_has_a_wrong_pace() -> None:
    said, kept = told(0, 0.05)
    assert max(said) == [0.0]
    assert kept["off"].max() == 0
