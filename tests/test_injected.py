"""Injected: the halves of a recording are as long as each other."""

from __future__ import annotations

import importlib

import pytest


@pytest.mark.usefixtures("benchmarks")
@pytest.mark.parametrize(("first", "last", "early", "late"), [(1, 344, 172, 173), (0, 5, 2, 3), (0, 4, 2, 2)])
def test_halves_are_equally_long(first: int, last: int, early: int, late: int) -> None:
    halved = importlib.import_module("injected").halved
    assert halved(first, last) == (early, late)
    assert early - first == last - late
