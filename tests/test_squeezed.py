"""Squeezed: the same bits come back, whatever is in the rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from grayscope import squeezed as module
from grayscope.checkpoint import pack, unpack
from grayscope.squeezed import squeezed, unsqueezed


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
def test_the_same_bits_come_back(dtype: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LEAST", 100)
    array: np.ndarray[Any, Any] = np.zeros((2, 5, 40), dtype)
    array[0, 1], array[0, 2, 7], array[1, 0, -1], array[1, 3] = 3, 1, 2, np.arange(40)
    if dtype is not np.int32:
        array[0, 3], array[0, 4, ::2], array[1, 4] = np.nan, -0.0, -0.0
    state = unpack(pack(squeezed("a|b", array)))
    assert state["a|b"].shape[0] == (4 if dtype is not np.int32 else 3)
    assert unsqueezed("a|b", state, array.shape).tobytes() == array.tobytes()


def test_small_narrow_and_empty_arrays_stay_as_they_are() -> None:
    for array in (np.zeros((2, 3), np.float32), np.zeros((1 << 15, 4), np.float32), np.zeros((0, 5), np.float32), np.zeros(1 << 17, np.int8)):
        found = squeezed("a", array)
        assert list(found) == ["a"]
        assert found["a"] is not array
        assert unsqueezed("a", found, array.shape).shape == array.shape
