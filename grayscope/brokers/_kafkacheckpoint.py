"""Kafkacheckpoint: one checkpoint on its way out, a few pieces at a time; whole only with the manifest that comes last."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from hashlib import blake2b
from itertools import islice
from typing import Any


def chunk_key(number: int, slot: int, i: int) -> bytes:
    """Return the key of one piece of a lane's state.

    Examples
    --------
    >>> chunk_key(3, 1, 0)
    b'[3, 1, 0]'
    """
    return json.dumps([number, slot, i]).encode()


def slot_of(told: Mapping[str, Any]) -> int:
    """Return where the pieces of a manifest are; older ones are found by its sequence."""
    return int(told.get("slot", told["sequence"]))


class Writing:
    """Delivery: pieces in order; `manifest` may be sent once `whole`.

    Parameters
    ----------
    number : int
        Of the lane.
    slot : int
        Names the pieces: not that of the checkpoint that holds.
    told : dict
        What the state goes up to.
    pieces : iterator of bytes
        Of a state that nobody changes any more.
    """

    def __init__(self, number: int, slot: int, told: dict[str, Any], pieces: Iterator[bytes]) -> None:
        self.number, self.slot, self.told, self.pieces = number, slot, told, pieces
        self.keys: list[bytes] = []
        self.whole = False
        self._first: Any = None  # the client's future of where the first one went
        self._size, self._digest = 0, blake2b(digest_size=16)

    def send(self, out: Callable[[bytes, bytes], Any], most: int | None = None) -> None:
        """Send the next pieces, at most so many, and note that it was all."""
        sent = 0
        for piece in islice(self.pieces, most):
            key = chunk_key(self.number, self.slot, len(self.keys))
            future = out(key, piece)
            self._first = self._first or future
            self.keys.append(key)
            self._size += len(piece)
            self._digest.update(piece)
            sent += 1
        self.whole = most is None or sent < most

    def manifest(self) -> dict[str, Any]:
        """Return what makes it whole; all that was sent must be acknowledged by now."""
        first = int(self._first.get(timeout=0).offset)
        return {**self.told, "slot": self.slot, "chunks": len(self.keys), "size": self._size, "first": first, "digest": self._digest.hexdigest()}
