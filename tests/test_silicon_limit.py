"""The bound of what anybody can find among parts that healthily differ: its arithmetic, and that it knows plain cases."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest


@pytest.fixture(scope="module")
def limit() -> Any:
    with mock.patch.object(sys, "path", [str(Path(__file__).parents[1] / "benchmarks"), *sys.path]):
        return importlib.import_module("silicon_limit")


def test_the_best_cut_for_a_precision(limit: Any) -> None:
    z, slow = np.array([9.0, 8.0, 3.0, 2.0, 1.0]), np.array([True, True, False, True, False])
    assert [limit.recall_at(z, slow, p) for p in (1.0, 0.75, 0.7)] == [pytest.approx(2 / 3), 1.0, 1.0]
    assert limit.recall_at(-z, slow, 1.0) == 0.0
    assert limit.recall_at(z, np.zeros(5, bool), 0.9) == 0.0


def test_a_part_slower_than_all_healthy_ones_stands_out_and_a_weak_one_does_not(limit: Any) -> None:
    z, slow = limit.drawn(64, 8, 0.02, False, 3)
    assert z[slow].mean() > 2.0 > abs(float(np.median(z[~slow])))
    found = limit.limits(8, 40)
    weak, strong = (figures["recall at precision 0.9"] for figures in found.values())
    assert weak < 0.4 < strong
