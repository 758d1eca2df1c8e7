"""Checkpoint: arrays come back as they were; what is none of ours is refused."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from grayscope.checkpoint import VERSION, pack, unpack
from grayscope.errors import InputError

STATE: dict[str, np.ndarray[Any, Any]] = {
    "a/b": np.arange(6, dtype=np.float32).reshape(2, 3), "empty": np.empty((0, 4), np.int64), "text": np.array('{"ä": 1}'),
    "names": np.array(["n1", "n22"]), "none": np.array([], np.str_), "flags": np.array([True, False]), "nan": np.array([np.nan, np.inf]),
}  # fmt: skip


def test_arrays_come_back_as_they_were() -> None:
    found = unpack(pack(STATE))
    assert list(found) == list(STATE)
    for name, array in STATE.items():
        assert found[name].shape == array.shape
        assert found[name].dtype.kind == array.dtype.kind
        np.testing.assert_array_equal(found[name], array)
    found["a/b"][0, 0] = 7  # they are one's own


def test_objects_are_not_kept() -> None:
    with pytest.raises(TypeError, match="x: object"):
        pack({"x": np.array([{}], object)})


def _with(**changes: object) -> bytes:
    head = json.dumps({"grayscope": VERSION, "kind": "state", "arrays": [["x", "<f4", [2], 8]]} | changes).encode()
    return len(head).to_bytes(8, "little") + head + bytes(8)


HOSTILE = [
    b"", b"\x00" * 8, pack(STATE)[:-1], pack(STATE) + b"x", _with(grayscope=VERSION + 1), _with(grayscope=VERSION - 1),
    _with(arrays=[["x", "|O", [1], 8]]), _with(arrays=3),
    _with(arrays=[["x", "<f4", [1 << 40], 8]]), _with(arrays=[["x", "<f4", [2], 1 << 50]]), (1 << 60).to_bytes(8, "little"),
]  # fmt: skip


@pytest.mark.parametrize("data", HOSTILE)
def test_what_is_none_is_refused(data: bytes) -> None:
    with pytest.raises(InputError):
        unpack(data)
