"""Told: what people say as events, added to a trace or to a file of JSON lines; what is there already stays as it is."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from grayscope.errors import GrayscopeError, InputError, shorten
from grayscope.event import Event
from grayscope.frames import decode, encode
from grayscope.trace import Trace
from grayscope.tracefiles import TIME, read_table

#: Bytes of a file of events, and of one line in it; characters of a subject.
LARGEST, LINE, NAME = 16 << 20, 10_000, 256
COLUMNS = ("time", "subject", "source", "code", "text", "count", "arrived")


def add_to_trace(path: str | Path, events: Sequence[Event]) -> None:
    """Add events to a trace's events table; it is replaced at once, or left alone.

    They count as told before the trace's first row: a recorded order of arrival stays what it was.

    Raises
    ------
    InputError
        It is no trace, or its events cannot be read: names file and column.
    GrayscopeError
        It cannot be written.
    """
    trace = Trace.open(path)
    file = trace.path / "events.parquet"
    with _alone(trace.path):
        trace.arrived_events()  # says what is wrong with what is there
        old = read_table(file) if file.exists() else _schema(trace).empty_table()
        new = _rows(events, old.schema, file)
        _replace(pa.concat_tables([old, new], promote_options="permissive"), file)


def begins(trace: Trace) -> int:
    """Return the time of a trace's first row, microseconds."""
    return min((key for table in trace.tables for key, _, _ in trace.open_table(table).groups("time")[:1]), default=0)


def _schema(trace: Trace) -> pa.Schema:
    recorded = all(trace.open_table(table).has_arrived for table in trace.tables)
    kinds = {"time": TIME, "count": pa.int64(), "arrived": pa.int64()}
    return pa.schema([(name, kinds.get(name, pa.string())) for name in COLUMNS if name != "arrived" or recorded])


def _rows(events: Sequence[Event], schema: pa.Schema, file: Path) -> pa.Table:
    """Return events as rows of an existing table; a column that is not there cannot take a value."""
    told = [{"time": e.time, "subject": e.subject, "source": e.source, "code": e.code, "text": e.text, "count": e.count, "arrived": 0} for e in events]
    if "text" not in schema.names:
        raise InputError.at(file, "column text", "to be there", ", ".join(schema.names))
    kinds = {"time": pa.timestamp("us", "UTC"), "count": pa.int64(), "arrived": pa.int64()}
    try:
        return pa.table({f.name: _column([row.get(f.name) for row in told], kinds.get(f.name, pa.string()), f) for f in schema})
    except pa.ArrowException as error:
        raise InputError(f"{file}: its columns cannot take an event: {shorten(error)}") from error


def _column(values: list[Any], kind: pa.DataType, field: pa.Field) -> pa.Array:
    if field.name not in COLUMNS:
        return pa.nulls(len(values), field.type)
    made = pa.array(values, kind)
    if pa.types.is_dictionary(field.type):
        return made.cast(field.type.value_type).dictionary_encode().cast(field.type)
    return made if pa.types.is_null(field.type) else made.cast(field.type)


def _replace(table: pa.Table, file: Path) -> None:
    partial = file.with_name(f".{file.name}.partial")
    try:
        with partial.open("wb") as out:
            pq.write_table(table, out, compression="lz4")
            out.flush()
            os.fsync(out.fileno())
        if (found := pq.read_metadata(partial).num_rows) != table.num_rows:
            raise GrayscopeError(f"{file}: expected {table.num_rows} rows on disk, found {found}: left as it was")
        partial.replace(file)
    except OSError as error:
        raise GrayscopeError(f"{file}: cannot be written: {error.strerror}") from error
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Wait until nobody else of us changes what is in a folder."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise GrayscopeError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def add_to_file(path: str | Path, events: Sequence[Event]) -> None:
    """Append events to a file, one line of JSON each; made if need be.

    Raises
    ------
    GrayscopeError
        It cannot be written.
    InputError
        It would become larger than readers take, or does not end with a whole line.
    """
    path = Path(path)
    data = b"".join(encode(event) + b"\n" for event in events)
    try:
        with path.open("ab+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            size = file.seek(0, os.SEEK_END)
            if size + len(data) > LARGEST:
                raise InputError.at(path, "size", f"at most {LARGEST} bytes", size + len(data))
            if size and (file.seek(size - 1) or file.read(1)) != b"\n":
                data = b"\n" + data  # somebody's last line was cut: it must not take ours with it
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise GrayscopeError(f"{path}: cannot be written: {error.strerror}") from error


def read_file(path: str | Path) -> tuple[list[Event], list[str]]:
    """Return the events of a file, and one line on each line that is none; a file that is not there holds nothing.

    Raises
    ------
    InputError
        It is too large.
    GrayscopeError
        It cannot be read.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except FileNotFoundError:
        return [], []
    except OSError as error:
        raise GrayscopeError(f"{path}: cannot be read: {error.strerror}") from error
    if len(data) > LARGEST:
        raise InputError.at(path, "size", f"at most {LARGEST} bytes", "more")
    return read_lines(data, str(path))


def read_lines(data: bytes, where: str) -> tuple[list[Event], list[str]]:
    """Return the events of lines of JSON, and one line on each line that is none.

    Examples
    --------
    >>> read_lines(encode(Event(7, "n1", "feedback", "true", "ab12")) + b"\\n[]\\n", "f")[0]
    [Event(time=7, subject='n1', source='feedback', code='true', text='ab12', count=1)]
    """
    events, problems = list[Event](), list[str]()
    for n, line in enumerate(data.split(b"\n"), 1):
        if line.strip():
            try:
                events.append(_event(line, f"{where}: line {n}"))
            except InputError as error:
                problems.append(str(error))
    return events, problems


def _event(line: bytes, where: str) -> Event:
    if len(line) > LINE:
        raise InputError.at(where, "length", f"at most {LINE} bytes", len(line))
    found = decode(line.strip(), where)
    if not isinstance(found, Event):
        raise InputError.at(where, "kind", "event", type(found).__name__)
    if not found.subject or not found.subject.isprintable() or len(found.subject) > NAME:
        raise InputError.at(where, "subject", f"1 to {NAME} printable characters", found.subject)
    return found
