"""Tableread: a CSV or Parquet file as polars frames of bounded size, with the map's column names."""

from __future__ import annotations

import codecs
import io
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

from grayscope.errors import InputError, shorten
from grayscope.plugins import nearest

from ._tablemap import InputMap

#: Rows of a Parquet batch and bytes of a CSV block: what is held in memory at once.
ROWS, BLOCK = 1 << 18, 1 << 23
CSV = {".csv": ",", ".tsv": "\t", ".txt": ","}
PARQUET = (".parquet", ".pq")


class Source:
    """One file, opened and its header read.

    CSV cells stay text (`null_values` become null, bytes that are no text become U+FFFD); rows with a wrong number of
    cells are skipped and counted in `counts["bad_row"]`. Parquet columns keep their type, times lose their zone (UTC).

    Parameters
    ----------
    path : path
    how : InputMap
        Its `format` overrides what the suffix says.

    Raises
    ------
    InputError
        The file is missing, empty, truncated, or neither CSV nor Parquet; it names the file.
    """

    def __init__(self, path: Path, how: InputMap) -> None:
        self.path, self.how, self.counts = path, how, Counter[str]()
        if not path.is_file():
            raise InputError(f"{path}: no such file")
        suffix = next((s for s in reversed(path.suffixes) if s.lower() not in (".gz", ".bz2", ".zst", ".lz4")), "").lower()
        form = how.format or ("csv" if suffix in CSV else "parquet" if suffix in PARQUET else None)
        if form is None:
            raise InputError.at(path, "format", f"one of {', '.join((*CSV, *PARQUET))} (or format in [input])", suffix or "no suffix")
        self.csv = form == "csv"
        self.separator = how.separator or CSV.get(suffix, ",")
        with self._clearly():
            header = self._open_csv(pc.ConvertOptions(), Counter()).schema.names if self.csv else pq.ParquetFile(path).schema_arrow.names
        self.original = self._renamed(header)  # ours -> the file's

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns, after renaming."""
        return tuple(self.original)

    def require(self, column: str, why: str, also: Iterable[str] = ()) -> None:
        """Raise unless there is such a column; `also` are names made on the way."""
        if column == "*" or (column.startswith("^") and column.endswith("$")):  # polars would take them for patterns
            raise InputError(f"{self.path}: a column called {column!r}, which {why} needs: give it another name with rename in [input]")
        if column not in self.original and column not in (known := set(also)):
            hint = shorten(nearest(column, known | set(self.original)), 400)
            raise InputError(f"{self.path}: no column {column!r}, which {why} needs: {hint}")

    def batches(self, columns: Iterable[str]) -> Iterator[pl.DataFrame]:
        """Yield the file piece by piece, in its order, with `columns` only (at least one); counts afresh."""
        self.counts.clear()
        wanted = {self.original[c]: c for c in columns}
        with self._clearly():
            for batch in self._read_csv(list(wanted)) if self.csv else pq.ParquetFile(self.path).iter_batches(ROWS, columns=list(wanted)):
                batch.validate(full=True)  # offsets and texts: what is wrong here would crash further on
                frame = pl.from_arrow(pa.table({f"c{i}": _plain(batch.column(old)) for i, old in enumerate(wanted)}))
                assert isinstance(frame, pl.DataFrame)
                frame.columns = list(wanted.values())  # afterwards: polars has its own idea of an empty name
                yield frame

    def _read_csv(self, columns: list[str]) -> Any:
        convert = pc.ConvertOptions(
            include_columns=columns, column_types=dict.fromkeys(columns, pa.string()), null_values=list(self.how.null_values),
            strings_can_be_null=True, quoted_strings_can_be_null=True,
        )  # fmt: skip
        return self._open_csv(convert, self.counts)

    def _open_csv(self, convert: Any, counts: Counter[str]) -> Any:
        def skip(row: Any) -> str:
            del row
            counts["bad_row"] += 1
            return "skip"

        parse = pc.ParseOptions(delimiter=self.separator, newlines_in_values=True, invalid_row_handler=skip)
        stream = _Text(pa.input_stream(self.path, compression="detect"), self.how.encoding)
        return pc.open_csv(stream, pc.ReadOptions(use_threads=False, block_size=BLOCK), parse, convert)

    def _renamed(self, header: list[str]) -> dict[str, str]:
        twice = [n for n, k in Counter(header).items() if k > 1]
        if twice:
            raise InputError.at(self.path, "header", "every column once", f"{twice[0]!r} several times")
        for old in self.how.rename:
            if old not in header:
                raise InputError(f"{self.path}: no column {old!r}, which [input] rename needs: {shorten(nearest(old, header), 400)}")
        ours = {self.how.rename.get(n, n): n for n in header}
        if len(ours) < len(header):
            raise InputError.at(self.path, "[input] rename", "names that differ from each other and from the file's", sorted(self.how.rename.values()))
        return ours

    @contextmanager
    def _clearly(self) -> Iterator[None]:
        """Say which file it was when Arrow or the system gives up."""
        try:
            yield
        except (pa.ArrowException, pl.exceptions.PolarsError, OSError, UnicodeDecodeError) as error:
            raise InputError.at(self.path, "file", f"a whole {'CSV' if self.csv else 'Parquet'} file", str(error).partition("\n")[0]) from error


class _Text(io.RawIOBase):
    """A byte stream that is valid UTF-8 whatever the source holds."""

    def __init__(self, source: Any, encoding: str) -> None:
        super().__init__()
        self.source, self.left = source, b""
        self.decoder = codecs.getincrementaldecoder(encoding)("replace")

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        parts, held = [self.left], len(self.left)
        while size < 0 or held < size:
            data = self.source.read(BLOCK)
            parts.append(self.decoder.decode(data, not data).encode())
            held += len(parts[-1])
            if not data:
                break
        whole = b"".join(parts)
        found, self.left = (whole, b"") if size < 0 else (whole[:size], whole[size:])
        return found


def _plain(column: Any) -> Any:
    """Return a column whose times are plain UTC: a zone's name is foreign text."""
    zoned = pa.types.is_timestamp(column.type) and column.type.tz is not None
    return column.cast(pa.timestamp(column.type.unit)) if zoned else column
