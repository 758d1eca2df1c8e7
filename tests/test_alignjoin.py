"""Align join: small parts become one where no cell is in two of them, and a tick is the same however it was cut."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from grayscope.alignjoin import Join, Part
from tests.aligning import T0, S, rows, run, station

NAMES = [f"n{i}/gpu{g}" for i in range(6) for g in range(4)]


def part(subjects: str, metrics: str, time: int = 1) -> Part:
    return time, tuple(subjects), tuple(metrics), np.arange(len(subjects) * len(metrics), dtype=np.float32).reshape(len(metrics), len(subjects))


def test_lists_of_metrics_without_a_common_one_stay_apart() -> None:
    found = Join().of([part("bc", "mn"), part("a", "mn", 2), part("ac", "x")])
    assert found is not None
    assert [(p[1], p[2]) for p in found] == [(("a", "b", "c"), ("m", "n")), (("a", "c"), ("x",))]
    np.testing.assert_array_equal(found[0][3], [[0, 0, 1], [1, 2, 3]])


@pytest.mark.parametrize("parts", [[part("ab", "m"), part("bc", "m")], [part("ab", "mn"), part("c", "nx")]])
def test_cells_that_may_be_in_two_parts_are_not_joined(parts: list[Part]) -> None:
    assert Join().of(parts) is None


def test_the_same_lists_give_the_same_names_in_whatever_order_they_come() -> None:
    join, some = Join(), [part("a", "m"), part("bc", "m")]
    (one,), (two,) = join.of(some) or [], join.of([*reversed(some)]) or []
    assert one[1] is two[1]


@pytest.mark.parametrize("seed", range(4))
def test_a_tick_is_the_same_however_it_was_cut(seed: int) -> None:
    rng = Random(seed)
    whole, cut = station(), station()
    for align in (whole, cut):
        run(align, [rows("gpu", [T0 + k * 10 * S], NAMES, value=k) for k in range(1, 6)], flush=False)
    for k in range(6, 12):
        time, some = T0 + k * 10 * S, [NAMES[i : i + 4] for i in range(0, len(NAMES), 4)]
        rng.shuffle(some)
        again = [some[0]] if k == 8 else []  # a node repeats itself
        one = run(whole, [rows("gpu", [time], [*NAMES], value=k), *(rows("gpu", [time], s, value=k) for s in again)], flush=False)
        many = run(cut, [rows("gpu", [time], s, value=k) for s in [*some[:3], *again, *some[3:]]], flush=False)
        assert [(t.time, t.subjects) for t in one] == [(t.time, t.subjects) for t in many]
        for a, b in zip(one, many, strict=True):
            np.testing.assert_array_equal(a.values, b.values)
    assert {name: n for name, n in whole.counts.items() if name not in ("late", "duplicate")} == \
           {name: n for name, n in cut.counts.items() if name not in ("late", "duplicate")}  # fmt: skip
    assert whole.counts["late"] + whole.counts["duplicate"] == cut.counts["late"] + cut.counts["duplicate"] == 4
