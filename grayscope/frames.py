"""Frames: one message as bytes, where it has to wait on disk."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np

from grayscope.batch import Batch
from grayscope.errors import InputError
from grayscope.event import Event
from grayscope.message import Message
from grayscope.roster import RosterRow

#: Bytes of one frame, and of the part of it that holds names.
LARGEST, NAMES = 256 << 20, 64 << 20
LENGTH = struct.Struct("<I")


def encode(message: Message) -> bytes:
    """Return a message as bytes: the length of a JSON head, the head, and for a batch its times and values, little-endian.

    Examples
    --------
    >>> from grayscope.event import heartbeat
    >>> decode(encode(heartbeat(7, "n1")))
    Event(time=7, subject='n1', source='clock', code='heartbeat', text='', count=1)
    """
    payload = b""
    if isinstance(message, Batch):
        head: Any = ["batch", message.table, message.subjects, message.metrics]
        payload = message.times.astype("<i8").tobytes() + message.values.astype("<f4").tobytes()
    elif isinstance(message, Event):
        head = ["event", message.time, message.subject, message.source, message.code, message.text, message.count]
    else:
        head = ["roster", *([r.subject, r.table, r.since, r.until, dict(r.keys), r.crosses] for r in message)]
    named = json.dumps(head, separators=(",", ":")).encode()
    return LENGTH.pack(len(named)) + named + payload


def decode(frame: bytes, where: str = "frame") -> Message:
    """Return the message of a frame.

    Raises
    ------
    InputError
        It is none of ours; says what was expected and found. Nothing that a frame holds is ever run.
    """
    if not LENGTH.size <= len(frame) <= LARGEST:
        raise InputError.at(where, "size", f"{LENGTH.size} to {LARGEST} bytes", len(frame))
    (size,) = LENGTH.unpack_from(frame)
    if size > min(len(frame) - LENGTH.size, NAMES):
        raise InputError.at(where, "head", f"at most {min(len(frame) - LENGTH.size, NAMES)} bytes", size)
    try:
        kind, *rest = json.loads(frame[LENGTH.size : LENGTH.size + size])
        if kind == "batch":
            return _batch(rest, frame[LENGTH.size + size :])
        if kind == "event":
            return _event(rest)
        if kind == "roster":
            return tuple(_row(*row) for row in rest)
    except InputError:
        raise
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError) as error:
        raise InputError.at(where, "content", "a message", error) from error
    raise InputError.at(where, "kind", "batch, event or roster", kind)


def _batch(head: list[Any], payload: bytes) -> Batch:
    table, subjects, metrics = head
    names = (*_texts(subjects), *_texts(metrics), *_texts([table]))
    row = 8 + 4 * len(subjects) * len(metrics)
    if len(payload) % row or not names:
        raise InputError.at("batch", "size", f"a multiple of {row} bytes", len(payload))
    count = len(payload) // row
    times = np.frombuffer(payload, "<i8", count).astype(np.int64)
    values = np.frombuffer(payload, "<f4", offset=8 * count).astype(np.float32)
    return Batch(table, times, tuple(subjects), tuple(metrics), values.reshape(count, len(metrics), len(subjects)))


def _event(head: list[Any]) -> Event:
    time, subject, source, code, text, count = head
    _texts([subject, source, code, text])
    return Event(_whole(time), subject, source, code, text, _whole(count))


def _row(subject: str, table: str, since: int | None, until: int | None, keys: dict[str, str], crosses: list[str]) -> RosterRow:
    _texts([subject, table, *keys, *keys.values(), *crosses])
    ends = (None if since is None else _whole(since), None if until is None else _whole(until))
    return RosterRow(subject, table, *ends, keys, tuple(crosses))


def _texts(values: list[Any]) -> list[str]:
    if not isinstance(values, list) or not all(isinstance(v, str) for v in values):
        raise InputError.at("message", "names", "text", values)
    return values


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 2**63:
        raise InputError.at("message", "time or count", "a whole number of 64 bits", value)
    return value
