"""Arrowframe: a batch as an Arrow IPC stream that any Arrow reader opens: a time and one list of numbers per row, names in the head.

A single wide list costs 4 bytes a sample and is read at the speed of memory; one column per metric would cost five times that for one node.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from grayscope.batch import Batch
from grayscope.errors import InputError
from grayscope.frames import NAMES, VERSION, texts, versioned

KEY = b"grayscope"
TIME = pa.timestamp("us", "UTC")
#: Heads stay the same from tick to tick: bytes of them that are kept, read.
KEPT = 32 << 20


class Head(NamedTuple):
    """What a frame says about its numbers."""

    table: str
    subjects: tuple[str, ...]
    metrics: tuple[str, ...]


def encode(batch: Batch) -> bytes:
    """Return a batch as one stream: schema with the head, one record batch, end."""
    times = pa.array(batch.times, pa.int64()).cast(TIME)
    width = len(batch.metrics) * len(batch.subjects)
    flat = pa.array(np.ascontiguousarray(batch.values).reshape(-1))
    rows = pa.FixedSizeListArray.from_arrays(flat, width) if width else pa.array([[]] * len(times), pa.list_(pa.float32(), 0))
    roster = blake2b("\0".join(batch.subjects).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    head = {"grayscope": VERSION, "kind": "batch", "table": batch.table, "roster": roster, "metrics": batch.metrics, "subjects": batch.subjects}
    schema = pa.schema([("time", TIME), ("values", rows.type)], {KEY: json.dumps(head, separators=(",", ":")).encode()})
    out = pa.BufferOutputStream()
    with pa.ipc.new_stream(out, schema) as writer:
        writer.write_batch(pa.record_batch([times, rows], schema))
    return out.getvalue().to_pybytes()  # type: ignore[no-any-return]


def decode(frame: bytes) -> Batch:
    """Return the batch of a stream; `InputError` where it is none, or claims more than it brings."""
    try:
        messages = pa.ipc.MessageReader.open_stream(pa.BufferReader(frame))
        first, second = messages.read_next_message(), messages.read_next_message()
        if (first.type, second.type) != ("schema", "record batch"):
            raise InputError.at("stream", "messages", "a schema and a record batch", f"{first.type}, {second.type}")
        schema = pa.ipc.read_schema(first)
        head = _heads.of((schema.metadata or {}).get(KEY, b""))
        width = len(head.metrics) * len(head.subjects)
        if schema.names != ["time", "values"] or schema.field(0).type != TIME or not _list(schema.field(1).type, width):
            raise InputError.at("stream", "columns", f"time timestamp[us, UTC], values fixed_size_list<float>[{width}]", str(schema.remove_metadata()))
        _bounded(bytes(second.metadata), second.body.size, 8 + 4 * width)
        rows = pa.ipc.read_record_batch(second, schema)
        rows.validate(full=True)
        if rows.column(0).null_count or rows.column(1).null_count:
            raise InputError("stream: rows: expected none without time or values, found some")
        times: NDArray[np.int64] = rows.column(0).cast(pa.int64()).to_numpy().copy()
        flat: NDArray[np.float32] = rows.column(1).flatten().to_numpy(zero_copy_only=False).astype(np.float32)
    except (pa.ArrowException, StopIteration, EOFError, OSError, ValueError, MemoryError, struct.error) as error:
        raise InputError.at("stream", "Arrow IPC", "a schema and one record batch", str(error) or "its end") from error
    return Batch(head.table, times, head.subjects, head.metrics, flat.reshape(len(times), len(head.metrics), len(head.subjects)))


class _Heads:
    """Heads by their very bytes: nobody can pass another's off, and later stations see the same tuples again."""

    def __init__(self) -> None:
        self.known: dict[bytes, Head] = {}
        self.held = 0

    def of(self, raw: bytes) -> Head:
        found = self.known.get(raw)
        if found is None:
            found = _read(raw)
            if self.held + len(raw) > KEPT:
                self.known.clear()
                self.held = 0
            self.known[raw] = found
            self.held += len(raw)
        return found


_heads = _Heads()


def _read(raw: bytes) -> Head:
    if len(raw) > NAMES:
        raise InputError(f"head: expected at most {NAMES} bytes, found {len(raw)}")
    try:
        told: Mapping[str, Any] = versioned(json.loads(raw))
        table, metrics, subjects = texts([told["table"]])[0], texts(told["metrics"]), texts(told["subjects"])
    except (KeyError, ValueError, RecursionError) as error:
        raise InputError.at("head", "content", "JSON with table, metrics and subjects", error) from error
    if told.get("kind") != "batch":
        raise InputError.at("head", "kind", "batch", told.get("kind"))
    if len({*subjects}) < len(subjects) or len({*metrics}) < len(metrics):
        raise InputError("head: names: expected each subject and metric once, found some twice")
    return Head(table, tuple(subjects), tuple(metrics))


def _list(kind: pa.DataType, width: int) -> bool:
    return bool(pa.types.is_fixed_size_list(kind) and kind.value_type == pa.float32() and kind.list_size == width)


def _bounded(metadata: bytes, body: int, row: int) -> None:
    """Refuse a record batch that claims more rows than its body can hold, or unpacks to more than itself.

    Arrow would believe it and take the memory first. The flatbuffer is as Arrow's Message.fbs and RecordBatch say: field 2 of a
    message is its header, fields 0 and 3 of a record batch are its length and its compression.
    """
    header = _field(metadata, _at(metadata, 0), 2)
    batch = _at(metadata, header) if header else 0
    length = _field(metadata, batch, 0)
    rows = struct.unpack_from("<q", metadata, length)[0] if length else 0
    if not 0 <= rows <= body // row:
        raise InputError.at("stream", "rows", f"at most {body // row} in {body} bytes", rows)
    if _field(metadata, batch, 3):
        raise InputError("stream: body: expected plain buffers, found compressed ones: the broker compresses")


def _at(data: bytes, place: int) -> int:
    """Return where an offset of a flatbuffer leads."""
    return place + int(struct.unpack_from("<I", data, place)[0])


def _field(data: bytes, table: int, number: int) -> int:
    """Return where a field of a flatbuffer's table lies, 0 where it is not there."""
    vtable = table - int(struct.unpack_from("<i", data, table)[0])
    if vtable < 0:
        raise InputError.at("stream", "table", "inside its message", vtable)
    size = struct.unpack_from("<H", data, vtable)[0]
    inside = struct.unpack_from("<H", data, vtable + 4 + 2 * number)[0] if 4 + 2 * number < size else 0
    return table + int(inside) if inside else 0
