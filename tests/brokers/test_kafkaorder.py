"""Kafkaorder: the order of messages as a message, cut where it is too long, and played again as it was."""

from __future__ import annotations

from typing import Any

import pytest

from grayscope.brokers import _kafkaorder
from grayscope.brokers._kafkaorder import Order, ends, read_order
from grayscope.brokers._kafkarestore import apply_order
from grayscope.errors import InputError
from grayscope.roster import RosterRow


class Record:
    def __init__(self, topic: str, offset: int) -> None:
        self.topic, self.offset = topic, offset


class FakeReader:
    """Holds records at even offsets."""

    def read(self, topic: str, partition: int, start: int, stop: int) -> Any:
        return (Record(topic, n) for n in range(start, stop) if n % 2 == 0)


def test_what_was_taken_is_played_again_in_the_same_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_kafkaorder, "LARGEST", 150)
    order, taken = Order(), list[Any]()
    rows = (RosterRow("n1", "node"),)
    order.met(rows)
    taken.append(rows)
    for kind, offset in (("t", 4), ("t", 8), ("e", 2), ("t", 10), ("e", 4), ("e", 8), ("t", 12)):
        order.took(kind, offset)
    taken += [("t", 4), ("t", 6), ("t", 8), ("e", 2), ("t", 10), ("e", 4), ("e", 6), ("e", 8), ("t", 12)]
    told = [read_order(frame, "x") for frame in order.frames(3, {"": 10.0})]
    assert len(told) > 1
    assert [m["more"] for m in told] == [True] * (len(told) - 1) + [False]
    assert {m["sequence"] for m in told} == {3}
    assert (ends(told, "t"), ends(told, "e")) == ((4, 13), (2, 9))
    found: list[Any] = []
    reader: Any = FakeReader()
    lost = apply_order(told, 0, {"t": (reader, "t"), "e": (reader, "e")}, found.append, lambda r: found.append((r.topic, r.offset)))
    assert (found, lost) == (taken, 0)


@pytest.mark.parametrize(
    "value",
    [b"", b"[]", b'{"grayscope":2,"kind":"order","sequence":1,"items":[]}', b'{"grayscope":1,"kind":"event","sequence":1,"items":[]}',
     b'{"grayscope":1,"kind":"order","sequence":"1","items":[]}', b'{"grayscope":1,"kind":"order","sequence":1,"items":[["x",1,2]]}',
     b'{"grayscope":1,"kind":"order","sequence":1,"items":[["t",1]]}', b'{"grayscope":1,"kind":"order","sequence":1,"items":[[]]}'],
)  # fmt: skip
def test_what_is_no_order_is_refused(value: bytes) -> None:
    with pytest.raises(InputError):
        read_order(value, "order/0@1")
