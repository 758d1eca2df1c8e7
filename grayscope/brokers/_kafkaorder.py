"""Kafkaorder: in which order a worker took the records of its partitions, as messages, and how it is played again.

Item ``["t", from, to]`` (telemetry) and ``["e", from, to]`` (events) are offsets, `to` is not included; ``["r", frame]`` are new rows
of the roster, told in full, for that topic forgets.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from grayscope.errors import InputError
from grayscope.frames import VERSION, frames, versioned
from grayscope.roster import RosterRow

Item = list[Any]
#: Bytes of one piece of the roster, and of one message.
PIECE, LARGEST = 100_000, 700_000
TOPICS = {"t": "telemetry", "e": "events"}


class Order:
    """What was taken since the last commit."""

    def __init__(self) -> None:
        self.items: list[Item] = []

    def __len__(self) -> int:
        return len(self.items)

    def took(self, kind: str, offset: int) -> None:
        """Note one record.

        Examples
        --------
        >>> order = Order()
        >>> for offset in (4, 5, 9):
        ...     order.took("t", offset)
        >>> order.took("e", 1)
        >>> order.items
        [['t', 4, 10], ['e', 1, 2]]
        """
        last = self.items[-1] if self.items else None
        if last is not None and last[0] == kind:
            last[2] = offset + 1  # offsets between them are marks of transactions
        else:
            self.items.append([kind, offset, offset + 1])

    def met(self, rows: tuple[RosterRow, ...]) -> None:
        """Note new rows of the roster."""
        self.items += (["r", frame.decode()] for frame in frames(rows, PIECE))

    def frames(self, sequence: int, periods: dict[str, float]) -> Iterator[bytes]:
        """Yield the messages that say so; each but the last says that there is more."""
        pieces: list[list[Item]] = [[]]
        size = 0
        for item in self.items:
            weight = 40 if item[0] != "r" else 2 * len(item[1])
            if size + weight > LARGEST and pieces[-1]:
                pieces.append([])
                size = 0
            pieces[-1].append(item)
            size += weight
        for i, items in enumerate(pieces):
            told = {"grayscope": VERSION, "kind": "order", "sequence": sequence, "more": i + 1 < len(pieces), "periods": periods, "items": items}
            yield json.dumps(told, separators=(",", ":")).encode()


def read_order(value: bytes, where: str) -> dict[str, Any]:
    """Return what an order message tells; `InputError` where it is none."""
    try:
        told = versioned(json.loads(value))
        if told["kind"] != "order" or not isinstance(told["sequence"], int):
            raise InputError.at(where, "kind", "order", told["kind"])
        for kind, *rest in told["items"]:
            if not (kind == "r" and isinstance(rest[0], str)) and not (kind in TOPICS and [type(x) for x in rest] == [int, int]):
                raise InputError.at(where, "item", "a topic with two offsets, or rows", kind)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise InputError.at(where, "content", "an order of messages", error) from error
    return told


def ends(orders: Iterable[Mapping[str, Any]], kind: str) -> tuple[int, int]:
    """Return the stretch of a topic that some orders cover, (0, 0) where none."""
    spans = [item for told in orders for item in told["items"] if item[0] == kind]
    return (spans[0][1], spans[-1][2]) if spans else (0, 0)
