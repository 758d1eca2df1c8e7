"""Frames: one message as bytes, in the broker and where it has to wait on disk; docs/messages.md describes them for others."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from grayscope.batch import Batch
from grayscope.errors import InputError, shorten
from grayscope.event import Event
from grayscope.message import Message
from grayscope.roster import RosterRow

#: Version of the format of all frames; a reader refuses what is newer.
VERSION = 1
#: Bytes of one frame, and of the part of it that holds names.
LARGEST, NAMES = 256 << 20, 64 << 20
#: With these bytes an encapsulated Arrow message begins.
MARK = b"\xff\xff\xff\xff"


def encode(message: Message) -> bytes:
    """Return a message as bytes: numbers as an Arrow IPC stream, an event or roster rows as JSON.

    Examples
    --------
    >>> from grayscope.event import heartbeat
    >>> encode(heartbeat(7, "n1"))
    b'{"grayscope":1,"kind":"event","time":7,"subject":"n1","source":"clock","code":"heartbeat","text":"","count":1}'
    >>> decode(encode(heartbeat(7, "n1")))
    Event(time=7, subject='n1', source='clock', code='heartbeat', text='', count=1)
    """
    if isinstance(message, Batch):
        from grayscope import arrowframe  # where nothing is sent, nobody pays for pyarrow

        return arrowframe.encode(message)
    if isinstance(message, Event):
        e = message
        told: dict[str, Any] = {"time": e.time, "subject": e.subject, "source": e.source, "code": e.code, "text": e.text, "count": e.count}
        return _json("event", told)
    rows = [{"subject": r.subject, "table": r.table, "since": r.since, "until": r.until, "keys": dict(r.keys), "crosses": r.crosses} for r in message]
    return _json("roster", {"rows": rows})


def decode(frame: bytes, where: str = "frame") -> Message:
    """Return the message of a frame.

    Raises
    ------
    InputError
        It is none of ours, or of a later version; says what was expected and found. Nothing that a frame holds is ever run, and
        nothing larger than the frame itself is made of it.
    """
    try:
        if not 2 <= len(frame) <= LARGEST:
            raise InputError(f"size: expected 2 to {LARGEST} bytes, found {len(frame)}")
        if frame[:4] == MARK:
            from grayscope import arrowframe

            return arrowframe.decode(frame)
        if frame[:1] == b"{":
            return _told(frame)
        raise InputError.at("start", "bytes", "those of an Arrow IPC stream or of a JSON object", bytes(frame[:8]).hex(" "))
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def frames(message: Message, largest: int) -> Iterator[bytes]:
    """Yield a message in as many frames as it takes for each to have at most `largest` bytes.

    A batch is cut by times, then by subjects, then by metrics; roster rows one from another.

    Raises
    ------
    InputError
        What cannot be cut (an event, one row of the roster) is larger than that.
    """
    frame = encode(message)
    if len(frame) <= largest:
        yield frame
        return
    pieces = list(_pieces(message, -(-len(frame) // largest)))
    if len(pieces) < 2:
        raise InputError(f"message: expected at most {largest} bytes for what cannot be split, found {len(frame)}")
    for piece in pieces:
        yield from frames(piece, largest)


def _pieces(message: Message, count: int) -> Iterator[Message]:
    if isinstance(message, Event):
        return
    if not isinstance(message, Batch):
        yield from (message[cut] for cut in _cuts(len(message), count))
        return
    b = message
    if len(b.times) > 1:
        yield from (Batch(b.table, b.times[cut], b.subjects, b.metrics, b.values[cut]) for cut in _cuts(len(b.times), count))
    elif len(b.subjects) > 1:
        yield from (Batch(b.table, b.times, b.subjects[cut], b.metrics, b.values[:, :, cut]) for cut in _cuts(len(b.subjects), count))
    else:
        yield from (Batch(b.table, b.times, b.subjects, b.metrics[cut], b.values[:, cut]) for cut in _cuts(len(b.metrics), count))


def _cuts(length: int, count: int) -> Iterator[slice]:
    step = max(-(-length // count), 1)
    return (slice(at, at + step) for at in range(0, length, step))


def _json(kind: str, told: Mapping[str, Any]) -> bytes:
    return json.dumps({"grayscope": VERSION, "kind": kind, **told}, separators=(",", ":")).encode()


def _told(frame: bytes) -> Event | tuple[RosterRow, ...]:
    """Return what a JSON object tells; keys that this version does not know are passed over."""
    if len(frame) > NAMES:
        raise InputError(f"size: expected at most {NAMES} bytes, found {len(frame)}")
    try:
        told = versioned(json.loads(frame))
        if told.get("kind") == "event":
            return _event(told)
        if told.get("kind") == "roster":
            return tuple(_row(row) for row in told["rows"])
    except KeyError as error:
        raise InputError(f"content: expected the key {error}, found none") from error
    except (ValueError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise InputError.at("content", "JSON", "a message", error) from error
    raise InputError.at("head", "kind", "event or roster", told.get("kind"))


def _event(told: Mapping[str, Any]) -> Event:
    words = texts([told["subject"], told["source"], told["code"], told.get("text", "")])
    return Event(_whole(told["time"]), words[0], words[1], words[2], words[3], _whole(told.get("count", 1)))


def _row(row: Mapping[str, Any]) -> RosterRow:
    keys, crosses = row.get("keys", {}), row.get("crosses", [])
    texts([row["subject"], row["table"], *keys, *keys.values(), *crosses])
    since, until = (None if row.get(end) is None else _whole(row[end]) for end in ("since", "until"))
    return RosterRow(row["subject"], row["table"], since, until, dict(keys), tuple(crosses))


def versioned(told: Any) -> dict[str, Any]:
    """Return the head of a frame if this version can read it."""
    if not isinstance(told, dict):
        raise InputError.at("head", "content", "a JSON object", told)
    version = told.get("grayscope")
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise InputError.at("head", "grayscope", f"a version from 1 to {VERSION}", version)
    if version > VERSION:
        raise InputError(f"head: grayscope: expected version {VERSION} or older, found {shorten(version)}: update this reader first")
    return told


def texts(values: Any) -> list[str]:
    """Return `values` if they are a list of text."""
    if not isinstance(values, list) or not all(isinstance(v, str) for v in values):
        raise InputError.at("message", "names", "text", values)
    return values


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 2**63:
        raise InputError.at("message", "time or count", "a whole number of 64 bits", value)
    return value
