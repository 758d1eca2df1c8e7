"""Arrowframe: a batch as an Arrow IPC stream that any Arrow reader opens: a time and one list of numbers per row, names in the head.

A single wide list costs 4 bytes a sample and is read at the speed of memory; one column per metric would cost five times that for one node.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from grayscope.batch import Batch
from grayscope.errors import InputError
from grayscope.frames import MARK, NAMES, VERSION, texts, versioned

KEY = b"grayscope"
TIME = pa.timestamp("us", "UTC")
T = TypeVar("T")
#: Heads stay the same from tick to tick: bytes of them that are kept, read.
KEPT = 32 << 20


class Head(NamedTuple):
    """What a frame says about its numbers."""

    table: str
    subjects: tuple[str, ...]
    metrics: tuple[str, ...]


def encode(batch: Batch) -> bytes:
    """Return a batch as one stream: schema with the head, one record batch, end."""
    times = _column(batch.times, TIME, np.dtype(np.int64))
    width = len(batch.metrics) * len(batch.subjects)
    flat = _column(batch.values.reshape(-1), pa.float32(), np.dtype(np.float32))
    rows = pa.FixedSizeListArray.from_arrays(flat, width) if width else pa.array([[]] * len(times), pa.list_(pa.float32(), 0))
    roster = blake2b("\0".join(batch.subjects).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    head = {"grayscope": VERSION, "kind": "batch", "table": batch.table, "roster": roster, "metrics": batch.metrics, "subjects": batch.subjects}
    schema = pa.schema([("time", TIME), ("values", rows.type)], {KEY: json.dumps(head, separators=(",", ":")).encode()})
    out = pa.BufferOutputStream()
    with pa.ipc.new_stream(out, schema) as writer:
        writer.write_batch(pa.record_batch([times, rows], schema))
    return out.getvalue().to_pybytes()  # type: ignore[no-any-return]


class Shape(NamedTuple):
    """What a frame says before its numbers, how many rows there are, and at which bytes of it their times and values begin."""

    head: Head
    rows: int
    times: int
    values: int
    size: int


def decode(frame: bytes) -> Batch:
    """Return the batch of a stream; `InputError` where it is none, or claims more than it brings.

    All before the numbers is the same from tick to tick: what Arrow has read and found right once is not read again.
    """
    start = bytes(frame[: _before(frame)])
    shape = _shapes.known.get(start)
    if shape is None or shape.size != len(frame):
        batch, places = _decode(frame)
        if places is not None and start:
            _shapes.keep(start, Shape(Head(batch.table, batch.subjects, batch.metrics), len(batch.times), *places, len(frame)))
        return batch
    head, count = shape.head, len(shape.head.metrics) * len(shape.head.subjects)
    times = np.frombuffer(frame, np.int64, shape.rows, shape.times).copy()
    values = np.frombuffer(frame, np.float32, shape.rows * count, shape.values).copy()
    return Batch(head.table, times, head.subjects, head.metrics, values.reshape(shape.rows, len(head.metrics), len(head.subjects)))


def _before(frame: bytes) -> int:
    """Return how many bytes come before the numbers, 0 where that is not clear."""
    at = 0
    for _ in range(2):  # schema, record batch
        if len(frame) < at + 8 or frame[at : at + 4] != MARK:
            return 0
        at += 8 + int(struct.unpack_from("<I", frame, at + 4)[0])
    return at if at <= len(frame) else 0


def _decode(frame: bytes) -> tuple[Batch, tuple[int, int] | None]:
    """Return the batch, and where its times and values lie in the frame if they lie there as they are."""
    try:
        messages = pa.ipc.MessageReader.open_stream(pa.BufferReader(frame))
        first, second = messages.read_next_message(), messages.read_next_message()
        if (first.type, second.type) != ("schema", "record batch"):
            raise InputError.at("stream", "messages", "a schema and a record batch", f"{first.type}, {second.type}")
        schema = pa.ipc.read_schema(first)
        raw = (schema.metadata or {}).get(KEY, b"")
        head = _heads.known.get(raw) or _heads.keep(raw, _read(raw))
        width = len(head.metrics) * len(head.subjects)
        if schema.names != ["time", "values"] or schema.field(0).type != TIME or not _list(schema.field(1).type, width):
            raise InputError.at("stream", "columns", f"time timestamp[us, UTC], values fixed_size_list<float>[{width}]", str(schema.remove_metadata()))
        _bounded(bytes(second.metadata), second.body.size, 8 + 4 * width)
        rows = pa.ipc.read_record_batch(second, schema)
        rows.validate(full=True)
        if rows.column(0).null_count or rows.column(1).null_count:
            raise InputError("stream: rows: expected none without time or values, found some")
        places = _places(frame, rows)
        times: NDArray[np.int64] = _numbers(rows.column(0), np.dtype(np.int64))
        flat: NDArray[np.float32] = _numbers(rows.column(1).flatten(), np.dtype(np.float32))
    except (pa.ArrowException, StopIteration, EOFError, OSError, ValueError, MemoryError, struct.error) as error:
        raise InputError.at("stream", "Arrow IPC", "a schema and one record batch", str(error) or "its end") from error
    return Batch(head.table, times, head.subjects, head.metrics, flat.reshape(len(times), len(head.metrics), len(head.subjects))), places


def _column(values: NDArray[Any], name: pa.DataType, kind: np.dtype[Any]) -> pa.Array:
    """Return numbers as a column. Arrow's own ways to numpy and back load pandas where that is installed: 30 MB for nothing."""
    return pa.Array.from_buffers(name, len(values), [None, pa.py_buffer(np.ascontiguousarray(values, kind))])


def _numbers(column: pa.Array, kind: np.dtype[Any]) -> NDArray[Any]:
    """Return a copy of a column's values, NaN where there is none."""
    present, values = column.buffers()
    if not len(column) or values is None:
        return np.empty(0, kind)
    found = np.frombuffer(values, kind, len(column), kind.itemsize * column.offset).copy()
    if column.null_count:
        known = np.unpackbits(np.frombuffer(present, np.uint8), bitorder="little")[column.offset : column.offset + len(column)]
        found[known == 0] = np.nan
    return found


def _places(frame: bytes, rows: pa.RecordBatch) -> tuple[int, int] | None:
    lists = rows.column(1)
    times, values = rows.column(0).buffers()[1], lists.values.buffers()[1]
    if times is None or values is None or rows.column(0).offset or lists.offset or lists.values.offset:
        return None
    begin = pa.py_buffer(frame).address
    found = times.address - begin, values.address - begin
    inside = all(at >= 0 and at + size <= len(frame) for at, size in zip(found, (8 * rows.num_rows, 4 * len(lists.values)), strict=True))
    return found if inside else None


class _Kept(Generic[T]):
    """What was read, by its very bytes: nobody can pass another's off, and later stations see the same tuples again."""

    def __init__(self) -> None:
        self.known: dict[bytes, T] = {}
        self.held = 0

    def keep(self, raw: bytes, found: T) -> T:
        if self.held + len(raw) > KEPT:
            self.known.clear()
            self.held = 0
        self.held += len(raw) if raw not in self.known else 0
        self.known[raw] = found
        return found


_heads, _shapes, _metrics = _Kept[Head](), _Kept[Shape](), _Kept[tuple[str, ...]]()


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
    same = "\0".join(metrics).encode("utf-8", "surrogatepass")  # many nodes send the same list
    known = _metrics.known.get(same)
    return Head(table, tuple(subjects), known if known == tuple(metrics) else _metrics.keep(same, tuple(metrics)))


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
