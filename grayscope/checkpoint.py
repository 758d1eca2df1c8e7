"""Checkpoint: named arrays as bytes and back, for the engine's state on its way through a broker; nothing in them is ever run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from grayscope.errors import InputError

VERSION = 1
#: Kinds of numpy's types that may be in a state: truth, whole numbers, numbers, text.
KINDS = "biufU"
State = Mapping[str, np.ndarray[Any, Any]]


def pack(state: State) -> bytes:
    """Return a state as one piece: length of the head, a head in JSON, then every array's bytes.

    Examples
    --------
    >>> {name: a.tolist() for name, a in unpack(pack({"x": np.array([1.5]), "t": np.array("ab")})).items()}
    {'x': [1.5], 't': 'ab'}
    """
    entries, bodies = [], []
    for name, array in state.items():
        if array.dtype.kind not in KINDS:
            raise TypeError(f"{name}: {array.dtype} cannot be kept")
        # numpy takes four bytes for a letter
        body = json.dumps(array.tolist()).encode() if array.dtype.kind == "U" else np.ascontiguousarray(array).tobytes()
        entries.append([name, array.dtype.str, list(array.shape), len(body)])
        bodies.append(body)
    head = json.dumps({"grayscope": VERSION, "kind": "state", "arrays": entries}, separators=(",", ":")).encode()
    return b"".join([len(head).to_bytes(8, "little"), head, *bodies])


def unpack(data: bytes) -> dict[str, np.ndarray[Any, Any]]:
    """Return the state that `pack` took.

    Raises
    ------
    InputError
        It is none, or of a later version.
    """
    try:
        size = int.from_bytes(data[:8], "little")
        told = json.loads(data[8 : 8 + size])
        if told["grayscope"] > VERSION:
            raise InputError(f"state: grayscope: expected version {VERSION} or older, found {told['grayscope']}")
        found, at, view = {}, 8 + size, memoryview(data)
        for name, dtype, shape, length in told["arrays"]:
            found[name] = _array(view[at : at + length], np.dtype(dtype), tuple(shape))
            at += length
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise InputError.at("state", "content", "a head and the arrays that it names", error) from error
    if at != len(data):
        raise InputError.at("state", "size", f"{at} bytes", len(data))
    return found


def _array(body: memoryview, dtype: np.dtype[Any], shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    if dtype.kind not in KINDS:
        raise ValueError(f"type {dtype}")
    if dtype.kind == "U":
        return np.array(json.loads(bytes(body)), dtype).reshape(shape)
    return np.frombuffer(body, dtype).reshape(shape).copy()
