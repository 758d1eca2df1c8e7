"""Checkpoint: named arrays as bytes and back, for the engine's state on its way through a broker; nothing in them is ever run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from grayscope.errors import InputError

#: Of all that a state holds: one that another version wrote is not taken, for what its arrays mean may be something else.
VERSION = 13
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
    return b"".join(_parts(state))


def pieces(state: dict[str, np.ndarray[Any, Any]], size: int) -> Iterator[bytes]:
    """Yield what `pack` returns in pieces of `size` bytes, the last one smaller; never holds more than one of them beside the state.

    Arrays are taken out of the state once they are told, so that it shrinks while it goes out.

    Examples
    --------
    >>> state = {"x": np.arange(5)}
    >>> [len(p) for p in pieces(dict(state), 60)], b"".join(pieces(dict(state), 60)) == pack(state)
    ([60, 49], True)
    """
    waiting = bytearray()
    for part in _parts(state, state.pop):
        view = memoryview(part)
        while len(view):
            taken = view[: size - len(waiting)]
            waiting += taken
            view = view[len(taken) :]
            if len(waiting) == size:
                yield bytes(waiting)
                waiting.clear()
    if waiting:
        yield bytes(waiting)


def _parts(state: State, take: Callable[[str], np.ndarray[Any, Any]] | None = None) -> Iterator[bytes | memoryview]:
    if refused := [f"{name}: {a.dtype}" for name, a in state.items() if a.dtype.kind not in KINDS]:
        raise TypeError(f"{refused[0]} cannot be kept")
    take = take or state.__getitem__
    entries: list[list[Any]] = [[name, a.dtype.str, list(a.shape), a.nbytes] for name, a in state.items()]
    texts = {}
    for entry in entries:
        if "U" in entry[1]:  # numpy takes four bytes for a letter, so these are the first to go
            texts[entry[0]] = json.dumps(take(entry[0]).tolist()).encode()
            entry[3] = len(texts[entry[0]])
    head = json.dumps({"grayscope": VERSION, "kind": "state", "arrays": entries}, separators=(",", ":")).encode()
    yield len(head).to_bytes(8, "little")
    yield head
    for name, *_ in entries:
        yield texts.pop(name) if name in texts else np.ascontiguousarray(take(name)).reshape(-1).view(np.uint8).data


def unpack(data: bytes) -> dict[str, np.ndarray[Any, Any]]:
    """Return the state that `pack` took.

    Raises
    ------
    InputError
        It is none, or another version's.
    """
    try:
        size = int.from_bytes(data[:8], "little")
        told = json.loads(data[8 : 8 + size])
        if told["grayscope"] != VERSION:
            raise InputError.at("state", "grayscope", f"version {VERSION}", told["grayscope"])
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
