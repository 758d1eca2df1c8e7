"""Tracefiles: Parquet files of a trace, read by row group into plain arrays; whatever is wrong in them is named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from grayscope.catalogue import Catalogue
from grayscope.errors import InputError, shorten

#: Longer names are refused: they come from outside, and nobody could read them.
LONGEST = 512
NOT_METRICS = frozenset({"time", "subject", "arrived"})
TIME = pa.timestamp("us")


def open_parquet(path: Path) -> pq.ParquetFile:
    """Open a Parquet file, or say in one line why that is impossible."""
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: not a readable Parquet file: {shorten(error)}") from error


def read_table(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a small Parquet file as a whole."""
    file = open_parquet(path)
    try:
        return file.read(columns=columns)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: damaged Parquet file: {shorten(error)}") from error


def times_of(column: pa.ChunkedArray | pa.Array, where: str) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return microseconds (finer is truncated) and which rows have a time at all."""
    if not pa.types.is_timestamp(column.type):
        raise InputError.at(where, "column time", "timestamp", column.type)
    valid = np.asarray(pc.is_valid(column))
    unit = {"s": 1_000_000, "ms": 1000, "us": 1, "ns": 1}[column.type.unit]
    whole = np.asarray(pc.fill_null(pc.cast(column, pa.int64(), safe=False), 0))
    return (whole // 1000 if column.type.unit == "ns" else whole * unit), valid


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Rows of one table as arrays; `subject` indexes `names`.

    Parameters
    ----------
    time : ndarray of int64, shape [N]
    subject : ndarray of int32, shape [N]
    arrived : ndarray of int64, shape [N], or None
    values : tuple of ndarray of float32 or float64, each of shape [N]
        One per metric of the file's plan.
    """

    time: NDArray[np.int64]
    subject: NDArray[np.int32]
    arrived: NDArray[np.int64] | None
    values: tuple[NDArray[np.floating[Any]], ...]

    def take(self, which: Any) -> Rows:
        """Return the rows that an index or a mask names."""
        arrived = None if self.arrived is None else self.arrived[which]
        return Rows(self.time[which], self.subject[which], arrived, tuple(v[which] for v in self.values))

    @staticmethod
    def join(*some: Rows) -> Rows:
        """Return them all, one after the other."""
        came = [r.arrived for r in some if r.arrived is not None]
        values = tuple(np.concatenate(columns) for columns in zip(*(r.values for r in some), strict=True))
        time, subject = np.concatenate([r.time for r in some]), np.concatenate([r.subject for r in some])
        return Rows(time, subject, np.concatenate(came) if len(came) == len(some) else None, values)


class TableFiles:
    """All files of one table: which column is which metric, and their rows by row group.

    Parameters
    ----------
    paths : sequence of Path
        Read in name order.
    catalogue : Catalogue
        Resolves aliases; an unknown column keeps its name.
    counts : dict
        Rejected rows by reason are added here.
    """

    def __init__(self, table: str, paths: Sequence[Path], catalogue: Catalogue, counts: dict[str, int]) -> None:
        self.table, self.counts = table, counts
        self.files = [(path, open_parquet(path)) for path in sorted(paths)]
        self.names: dict[str, int] = {}
        self.said: dict[bytes, tuple[str, ...]] = {}  # lists of subjects that a reader has put into words, and how many names they have
        self.names_said = 0
        plan: dict[str, list[tuple[str, float]]] = {}
        for path, file in self.files:
            for column in _metric_columns(path, file, counts):
                name, factor = catalogue.resolve(column) or (column, 1.0)
                if (column, factor) not in plan.setdefault(name, []):
                    plan[name].append((column, factor))
        self.plan = dict(sorted(plan.items()))
        self.metrics = tuple(self.plan)
        self.factors = np.array([columns[0][1] for columns in self.plan.values()], np.float64)
        self.has_arrived = bool(self.files) and all("arrived" in f.schema_arrow.names for _, f in self.files)

    @property
    def rows(self) -> int:
        """Return the number of rows in all files."""
        return sum(f.metadata.num_rows for _, f in self.files)

    def groups(self, key: str) -> list[tuple[int, int, int]]:
        """Return (smallest key, file, row group) of every row group, in that order; `key` is ``time`` or ``arrived``."""
        found = []
        for i, (path, file) in enumerate(self.files):
            full = (g for g in range(file.num_row_groups) if file.metadata.row_group(g).num_rows)
            found += [(_least(path, file, g, key), i, g) for g in full]
        return sorted(found)

    def all(self) -> Iterator[Rows]:
        """Yield the rows of every row group by time."""
        return (self.read(i, g) for _, i, g in self.groups("time"))

    def read(self, i: int, g: int) -> Rows:
        """Return the good rows of one row group; the others are counted."""
        path, file = self.files[i]
        try:
            table = file.read_row_group(g)
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{path}: row group {g} is damaged: {shorten(error)}") from error
        time, good = times_of(table["time"], str(path))
        self._count("null_time", ~good)
        subject = self._subjects(table["subject"])
        self._count("bad_subject", good & (subject < 0))
        good &= subject >= 0
        arrived = np.asarray(pc.fill_null(pc.cast(table["arrived"], pa.int64()), 0)) if self.has_arrived else None
        values = tuple(self._values(table, path, g, columns) for columns in self.plan.values())
        rows = Rows(time, subject, arrived, values)
        return rows if good.all() else rows.take(good)

    def _count(self, reason: str, mask: NDArray[np.bool_]) -> None:
        n = int(mask.sum())
        if n:
            self.counts[reason] = self.counts.get(reason, 0) + n

    def _subjects(self, column: pa.ChunkedArray) -> NDArray[np.int32]:
        """Return an index into `names` per row; -1 for a name that cannot be one."""
        coded = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
        coded = coded if pa.types.is_dictionary(coded.type) else coded.dictionary_encode()
        codes = [self._code(name) for name in coded.dictionary.to_pylist()]
        index = np.asarray(pc.fill_null(coded.indices, len(codes)))
        numbers: NDArray[np.int32] = np.array([*codes, -1], np.int32)[index]
        return numbers

    def _code(self, name: str | None) -> int:
        if not name or len(name) > LONGEST or not name.isprintable():
            return -1
        return self.names.setdefault(name, len(self.names))

    def _values(self, table: pa.Table, path: Path, g: int, columns: list[tuple[str, float]]) -> NDArray[np.floating[Any]]:
        there = [(c, f) for c, f in columns if c in table.column_names]
        if not there:
            return np.full(table.num_rows, np.nan, np.float32)
        out = _numbers(table[there[0][0]])
        if there[0][1] != columns[0][1]:
            out = out * (there[0][1] / columns[0][1])
        for name, factor in there[1:]:
            other = _numbers(table[name]) * (factor / columns[0][1])
            both = np.flatnonzero(np.isfinite(out) & np.isfinite(other))
            if both.size:
                what = f"columns {there[0][0]} and {name}"
                raise InputError.at(path, what, "one value per metric and subject", f"both for {table['subject'][int(both[0])]} in row group {g}")
            out = np.where(np.isnan(out), other, out)
        return out


def _metric_columns(path: Path, file: pq.ParquetFile, counts: dict[str, int]) -> Iterator[str]:
    schema = file.schema_arrow
    for needed in ("time", "subject"):
        if needed not in schema.names:
            raise InputError.at(path, f"column {needed}", "to be there", f"columns {', '.join(schema.names[:20])}")
    if not _is_text(schema.field("subject").type):
        raise InputError.at(path, "column subject", "string", schema.field("subject").type)
    if not pa.types.is_timestamp(schema.field("time").type):
        raise InputError.at(path, "column time", "timestamp", schema.field("time").type)
    for field in schema:
        if field.name in NOT_METRICS:
            continue
        if len(field.name) > LONGEST or not field.name.isprintable():
            counts["bad_column"] = counts.get("bad_column", 0) + 1
        elif pa.types.is_integer(field.type) or pa.types.is_floating(field.type) or pa.types.is_boolean(field.type):
            yield field.name
        else:
            raise InputError.at(path, f"column {shorten(field.name)}", "numbers", field.type)


def _is_text(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _numbers(column: pa.ChunkedArray) -> NDArray[np.floating[Any]]:
    """Return a column as floats, null as NaN; float32 stays, everything else becomes float64."""
    wide = pa.float32() if column.type in (pa.float32(), pa.float16(), pa.bool_()) else pa.float64()
    if column.type == wide and column.null_count == 0:
        return np.asarray(column.combine_chunks())
    if column.type == pa.bool_():
        column = pc.cast(column, pa.uint8())
    filled = pc.fill_null(pc.cast(column, wide, safe=False), float("nan"))
    return np.asarray(filled.combine_chunks() if isinstance(filled, pa.ChunkedArray) else filled)


def _least(path: Path, file: pq.ParquetFile, g: int, key: str) -> int:
    """Return the smallest key of a row group, read off its statistics where the file has them."""
    index = file.schema_arrow.names.index(key)
    statistics = file.metadata.row_group(g).column(index).statistics
    if statistics is not None and statistics.has_min_max and key == "arrived":
        return int(statistics.min)
    try:
        column = file.read_row_group(g, columns=[key])[key]
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: row group {g} is damaged: {shorten(error)}") from error
    if key == "arrived":
        return int(pc.min(column).as_py() or 0)
    time, valid = times_of(column, str(path))
    return int(time[valid].min()) if valid.any() else 0


def table_paths(path: Path, reserved: Mapping[str, Any] | frozenset[str]) -> dict[str, list[Path]]:
    """Return the files of every table in a trace directory: ``gpu.parquet`` or the files in ``gpu/``."""
    found: dict[str, list[Path]] = {}
    for entry in sorted(path.iterdir()):
        if entry.is_file() and entry.suffix == ".parquet" and entry.stem not in reserved:
            found.setdefault(entry.stem, []).append(entry)
        elif entry.is_dir() and (parts := sorted(entry.glob("*.parquet"))):
            found.setdefault(entry.name, []).extend(parts)
    return found
