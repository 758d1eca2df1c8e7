"""Kafkarestore: finds the newest whole checkpoint of a lane, and plays again what was taken since, in the recorded order."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any

from grayscope.brokers._kafkacheckpoint import chunk_key, slot_of
from grayscope.brokers._kafkaclients import Reader
from grayscope.brokers._kafkaorder import ends, read_order
from grayscope.errors import InputError
from grayscope.frames import VERSION, decode, versioned
from grayscope.roster import RosterRow

#: Records from the end of the state's partition within which the newest manifest is looked for first.
WINDOW = 64
#: Bytes of a state that are believed.
LARGEST = 8 << 30


def manifest_bytes(told: Mapping[str, Any]) -> bytes:
    """Return the message that makes a checkpoint whole."""
    return json.dumps({"grayscope": VERSION, "kind": "manifest", **told}, separators=(",", ":")).encode()


def manifests(reader: Reader, topic: str, number: int, tell: Callable[[str], None] = lambda _: None) -> Iterator[dict[str, Any]]:
    """Yield what the manifests of a lane tell, the newest first; those that cannot be read are passed over, and `tell` is told why."""
    begin, end = reader.bounds(topic, number)
    high, window = end, WINDOW
    while high > begin:
        low = max(begin, high - window)
        found = [r for r in reader.read(topic, number, low, high) if r.key == str(number).encode() and r.value]
        for record in reversed(found):
            try:
                yield _manifest(record.value)
            except InputError as error:
                tell(f"the checkpoint at {topic}/{number}@{record.offset} cannot be used: {error}")
        high, window = low, 16 * window


def _manifest(value: bytes) -> dict[str, Any]:
    try:
        told = versioned(json.loads(value))
        whole = all(type(told[key]) is int and told[key] >= 0 for key in ("sequence", "order", "chunks", "size", "first"))
        places = isinstance(told["places"], dict) and all(type(p) is int for p in told["places"].values())
    except (ValueError, KeyError, RecursionError) as error:
        raise InputError.at("manifest", "content", "JSON that names a checkpoint", error) from error
    if not (whole and places and told["size"] <= LARGEST):
        raise InputError.at("manifest", "numbers", "whole ones, and a size that is believed", told)
    return told


def state_of(reader: Reader, topic: str, number: int, told: Mapping[str, Any]) -> bytes:
    """Return the state that a manifest is about; `InputError` where pieces of it have gone or are others."""
    _, end = reader.bounds(topic, number)
    wanted = {chunk_key(number, slot_of(told), i): i for i in range(told["chunks"])}
    pieces: dict[int, bytes] = {}
    for record in reader.read(topic, number, told["first"], end):
        if record.key in wanted and record.value is not None:
            pieces.setdefault(wanted[record.key], record.value)
        if len(pieces) == told["chunks"]:
            break
    state = b"".join(pieces[i] for i in sorted(pieces))
    if len(state) != told["size"] or blake2b(state, digest_size=16).hexdigest() != told["digest"]:
        raise InputError.at(f"{topic}/{number}", f"checkpoint {told['sequence']}", f"{told['size']} bytes in {told['chunks']} pieces", f"{len(state)} bytes")
    return state


def orders_from(reader: Reader, topic: str, number: int, start: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (offset, what it tells) of the order messages from an offset on."""
    begin, end = reader.bounds(topic, number)
    for record in reader.read(topic, number, max(begin, start), end):
        yield record.offset, read_order(record.value or b"", f"{topic}/{number}@{record.offset}")


def apply_order(
    orders: Sequence[Mapping[str, Any]], number: int, sources: Mapping[str, tuple[Reader, str]], rows: Callable[[tuple[RosterRow, ...]], None],
    record: Callable[[Any], None],
) -> int:  # fmt: skip
    """Hand over rows and records in the recorded order; return how many records were no longer there.

    Parameters
    ----------
    sources : mapping of str to (Reader, str)
        A reader of its own for each kind, and the topic.
    """
    streams = {kind: _Stream(reader.read(topic, number, *ends(orders, kind))) for kind, (reader, topic) in sources.items()}
    lost = 0
    for told in orders:
        for kind, *rest in told["items"]:
            if kind == "r":
                found = decode(rest[0].encode())
                assert isinstance(found, tuple)
                rows(found)
                continue
            some = False
            for taken in streams[kind].until(rest[1]):
                record(taken)
                some = True
            lost += not some
    return lost


class _Stream:
    """Records one after another, with a look at the next."""

    def __init__(self, records: Iterator[Any]) -> None:
        self.records = records
        self.next: Any = None

    def until(self, stop: int) -> Iterator[Any]:
        """Yield the records below an offset."""
        while True:
            found = self.next if self.next is not None else next(self.records, None)
            self.next = None
            if found is None:
                return
            if found.offset >= stop:
                self.next = found
                return
            yield found
