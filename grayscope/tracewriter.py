"""Tracewriter: write a trace incrementally and put it in place at once; a broken run leaves nothing behind."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from grayscope.batch import Batch
from grayscope.errors import GrayscopeError, InputError, UsageError, shorten
from grayscope.event import Event
from grayscope.roster import RosterRow
from grayscope.tracefiles import TIME

#: Rows that are gathered before a row group is written.
GROUP = 131_072
#: Columns up to which layouts are joined; one layout alone may have more.
WIDEST = 512
STAMP = pa.timestamp("us", "UTC")
TRUTH = pa.schema(
    [("subject", pa.string()), ("mode", pa.string()), ("state", pa.string()), ("began", TIME), ("ended", TIME), ("mechanism", pa.string()),
     ("exhausted_at", TIME), ("also", pa.list_(pa.string())), ("note", pa.string())]
)  # fmt: skip
#: A column that is written where a row has it: how many times more often than in real fleets its like was planted.
ACCELERATION = pa.field("x-acceleration", pa.float64())


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the operating system says while `path` is written into one clear error."""
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        if isinstance(error, pa.ArrowException) and not isinstance(error, OSError):
            raise
        raise GrayscopeError(f"{path}: cannot be written: {getattr(error, 'strerror', None) or shorten(error)}") from error


class TraceWriter:
    """Write a trace directory; use it as a context manager.

    Everything goes to a folder beside the final one, which takes its place on `close`. Columns may differ from call to
    call: a row has NaN in those that others brought. What came after a part was written begins a further file.

    Parameters
    ----------
    path : path
        Must not exist, unless `overwrite` and it is a trace.
    cluster, note : str
    tables : mapping, optional
        trace.json's section: ``{"gpu": {"period_s": 10, "counters": "cumulative"}}``.
    metrics : mapping, optional
        trace.json's section: what the catalogue does not know.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, TraceWriter(Path(folder, "t")) as out:
    ...     out.rows("gpu", np.array([0]), ["n1/gpu0"], {"gpu_power_watts": np.array([300.0])})
    """

    def __init__(
        self, path: str | Path, *, cluster: str = "cluster", note: str = "", tables: Mapping[str, Mapping[str, Any]] | None = None,
        metrics: Mapping[str, Mapping[str, Any]] | None = None, overwrite: bool = False,
    ) -> None:  # fmt: skip
        self.path = Path(path)
        if self.path.exists() and not (overwrite and (self.path / "trace.json").exists()):
            raise UsageError(f"{self.path}: exists already: name a new directory")
        self.cluster, self.note = cluster, note
        self.tables = {t: dict(d) for t, d in (tables or {}).items()}
        self.metrics = {m: dict(d) for m, d in (metrics or {}).items()}
        self._work = self.path.with_name(f".{self.path.name}.partial")
        with writing(self.path):
            shutil.rmtree(self._work, ignore_errors=True)
            self._work.mkdir(parents=True)
        self._open: dict[str, _Table] = {}
        self._events: list[tuple[Event, int | None]] = []
        self._roster: list[tuple[RosterRow, int | None]] = []
        self._truth: list[Mapping[str, Any]] = []
        self._closed = False

    def describe(self, tables: Mapping[str, Mapping[str, Any]] | None = None, metrics: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        """Add to trace.json."""
        for table, entry in (tables or {}).items():
            self.tables.setdefault(table, {}).update(entry)
        self.metrics |= {m: dict(d) for m, d in (metrics or {}).items()}

    def rows(
        self, table: str, times: NDArray[np.int64], subjects: Sequence[str] | pa.Array | NDArray[np.object_], columns: Mapping[str, NDArray[np.floating[Any]]],
        arrived: NDArray[np.int64] | None = None,
    ) -> None:  # fmt: skip
        """Add long rows in any order: one time, one subject and one value per column each; NaN is not reported."""
        if table not in self._open:
            if not table.replace("_", "").isalnum() or table in ("roster", "events", "truth"):
                raise InputError.at(self.path, "table", "a name of letters, digits and _", table)
            self._open[table] = _Table(self._work / table)
        data = {"time": pa.array(np.asarray(times, np.int64)).cast(TIME), "subject": pa.array(subjects, pa.string())}
        data |= {name: _numbers(column) for name, column in columns.items()}
        if arrived is not None:
            data["arrived"] = pa.array(arrived, pa.int64())
        with writing(self.path):
            self._open[table].add(pa.table(data))

    def batch(self, batch: Batch, arrived: int | None = None) -> None:
        """Add a dense batch; rows without any value are left out. `arrived` numbers the whole batch."""
        there = np.isfinite(batch.values).any(axis=1)
        t, s = np.nonzero(there)
        if not len(t):
            return
        names = np.array(batch.subjects, object)
        order = np.full(len(t), arrived, np.int64) if arrived is not None else None if batch.arrived is None else batch.arrived[t, s]
        self.rows(batch.table, batch.times[t], names[s], {m: batch.values[t, i, s] for i, m in enumerate(batch.metrics)}, order)

    def event(self, event: Event, arrived: int | None = None) -> None:
        """Add one event."""
        self._events.append((event, arrived))

    def roster(self, rows: Iterable[RosterRow], arrived: int | None = None) -> None:
        """Add roster rows; a row with the same subject, table and since replaces the older one."""
        self._roster += ((row, arrived) for row in rows)

    def truth(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Add rows of truth.parquet: keys as its columns, times in microseconds."""
        self._truth += rows

    def close(self) -> None:
        """Finish all files and put the trace in place."""
        if self._closed:
            return
        self._closed = True
        try:
            with writing(self.path):
                self._finish()
        except BaseException:
            shutil.rmtree(self._work, ignore_errors=True)
            raise

    def _finish(self) -> None:
        for table in self._open.values():
            table.close()
        if self._roster:
            pq.write_table(_roster_table(self._roster), self._work / "roster.parquet", compression="lz4")
        if self._events:
            pq.write_table(_event_table(self._events), self._work / "events.parquet", compression="lz4")
        if self._truth:
            schema = TRUTH.append(ACCELERATION) if any(row.get(ACCELERATION.name) is not None for row in self._truth) else TRUTH
            rows = [{name: row.get(name) for name in schema.names} for row in self._truth]
            pq.write_table(pa.Table.from_pylist(rows, schema), self._work / "truth.parquet", compression="lz4")
        tables = {t: d for t, d in self.tables.items() if t in self._open and d}
        document = {"format": "grayscope-trace", "version": 1, "cluster": self.cluster, "note": self.note, "tables": tables, "metrics": self.metrics}
        (self._work / "trace.json").write_text(json.dumps(document, indent=1) + "\n", "utf-8")
        if self.path.exists():
            shutil.rmtree(self.path)
        self._work.rename(self.path)

    def discard(self) -> None:
        """Throw away what was written so far."""
        self._closed = True
        for table in self._open.values():
            table.abandon()
        shutil.rmtree(self._work, ignore_errors=True)

    def __enter__(self) -> TraceWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()


class _Table:
    """One table's file, or files where columns came that the first had not."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.waiting: list[pa.Table] = []
        self.filled = 0
        self.parts = 0
        self.writer: pq.ParquetWriter | None = None
        self.schema: pa.Schema | None = None
        self.layout: pa.Schema | None = None  # what waits, and what is written, have room in it

    def add(self, rows: pa.Table) -> None:
        joined = rows.schema if self.layout is None else _joined(self.layout, rows.schema)
        if joined is None:
            self.flush()
        self.layout = joined or rows.schema
        self.waiting.append(rows)
        self.filled += rows.num_rows
        if self.filled >= GROUP:
            self.flush()

    def flush(self) -> None:
        if not self.waiting:
            return
        assert self.layout is not None
        layout = self.layout
        rows = pa.concat_tables(_padded(rows, layout) for rows in self.waiting).sort_by([("time", "ascending"), ("subject", "ascending")])
        self.waiting, self.filled = [], 0
        if rows.schema != self.schema:
            self._next(rows.schema)
        assert self.writer is not None
        for start in range(0, rows.num_rows, GROUP):
            self.writer.write_table(rows.slice(start, GROUP))

    def _next(self, schema: pa.Schema) -> None:
        if self.writer is not None:
            self.writer.close()
        self.path.mkdir(exist_ok=True)
        self.parts += 1
        self.schema = schema
        floats = [f.name for f in schema if pa.types.is_floating(f.type)]
        self.writer = pq.ParquetWriter(
            self.path / f"{self.parts:06d}.parquet", schema, compression="lz4", use_dictionary=["subject"],
            use_byte_stream_split=floats, write_statistics=["time", "arrived"] if "arrived" in schema.names else ["time"],
        )  # fmt: skip

    def close(self) -> None:
        self.flush()
        if self.writer is not None:
            self.writer.close()
            self.writer = None
        if self.parts == 1:
            (self.path / "000001.parquet").rename(self.path.with_suffix(".parquet"))
            self.path.rmdir()

    def abandon(self) -> None:
        if self.writer is not None:
            with suppress(OSError, pa.ArrowException):  # it is thrown away in any case
                self.writer.close()
            self.writer = None


def _joined(one: pa.Schema, other: pa.Schema) -> pa.Schema | None:
    """Return a layout with room for both, None where there is none: rows with a place in the order of arrival and rows without do not mix."""
    if one.equals(other):
        return one
    kinds = {f.name: f.type for f in one}
    for f in other:
        # Of two widths the wider: it holds the narrower's numbers exactly.
        kinds[f.name] = f.type if kinds.get(f.name, f.type) == f.type else pa.float64()
    if ("arrived" in one.names) != ("arrived" in other.names) or len(kinds) > max(len(one), len(other), WIDEST):
        return None
    return one if list(kinds.items()) == list(zip(one.names, one.types, strict=True)) else pa.schema(kinds.items())


def _padded(rows: pa.Table, layout: pa.Schema) -> pa.Table:
    if rows.schema.equals(layout):
        return rows
    empty = pa.array(np.full(rows.num_rows, np.nan, np.float32))
    return pa.table({f.name: (rows[f.name] if f.name in rows.column_names else empty).cast(f.type) for f in layout}, schema=layout)


def _numbers(column: NDArray[np.floating[Any]]) -> pa.Array:
    array = np.asarray(column)
    return pa.array(array if array.dtype in (np.float32, np.float64) else array.astype(np.float64))


def _event_table(events: list[tuple[Event, int | None]]) -> pa.Table:
    events = sorted(events, key=lambda e: (e[0], e[1] or 0))
    data = {
        "time": pa.array([e.time for e, _ in events]).cast(TIME),
        **{name: pa.array([getattr(e, name) for e, _ in events], pa.string()) for name in ("subject", "source", "code", "text")},
        "count": pa.array([e.count for e, _ in events], pa.int64()),
    }
    return pa.table(_with_arrived(data, [a for _, a in events]))


def _roster_table(rows: list[tuple[RosterRow, int | None]]) -> pa.Table:
    rows = list({(r.subject, r.table, r.since): (r, a) for r, a in rows}.values())
    rows.sort(key=lambda ra: (ra[0].subject, ra[0].table, ra[0].since or -(2**63)))
    keys = sorted({k for r, _ in rows for k in r.keys})
    data = {
        "subject": pa.array([r.subject for r, _ in rows], pa.string()),
        "table": pa.array([r.table for r, _ in rows], pa.string()),
        "since": pa.array([r.since for r, _ in rows], pa.int64()).cast(TIME),
        "until": pa.array([r.until for r, _ in rows], pa.int64()).cast(TIME),
        **{k: pa.array([r.keys.get(k) for r, _ in rows], pa.string()) for k in keys if k not in ("subject", "table", "since", "until", "crosses", "arrived")},
        "crosses": pa.array([list(r.crosses) or None for r, _ in rows], pa.list_(pa.string())),
    }
    return pa.table(_with_arrived(data, [a for _, a in rows]))


def _with_arrived(data: dict[str, pa.Array], arrived: list[int | None]) -> dict[str, pa.Array]:
    return {**data, "arrived": pa.array(arrived, pa.int64())} if any(a is not None for a in arrived) else data
