"""Trace: a recorded trace on disk: what it is, who is in it, what happened and what was really wrong."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from grayscope.catalogue import Catalogue
from grayscope.errors import InputError, shorten
from grayscope.event import Event
from grayscope.plugins import nearest
from grayscope.roster import Roster, RosterRow
from grayscope.tracefiles import TableFiles, read_table, table_paths, times_of
from grayscope.wording import utc

VERSION = 1
RESERVED = frozenset({"roster", "events", "truth"})
KEYS = ("format", "version", "cluster", "note", "tables", "metrics")
TABLE_KEYS = ("period_s", "counters")
ROSTER_COLUMNS = frozenset({"subject", "table", "since", "until", "crosses", "arrived"})
LARGEST_JSON = 64 << 20


@dataclass(frozen=True, eq=False)
class Trace:
    """A trace directory, opened and checked as far as its small files go.

    Parameters
    ----------
    path : Path
    cluster, note : str
    catalogue : Catalogue
        The packaged one with what trace.json adds.
    described : mapping
        The ``tables`` section of trace.json.
    files : mapping of str to list of Path
        Per table.
    """

    path: Path
    cluster: str
    note: str
    catalogue: Catalogue
    described: Mapping[str, Mapping[str, Any]]
    files: Mapping[str, list[Path]]
    counts: dict[str, int] = field(default_factory=dict)

    @classmethod
    def open(cls, path: str | Path) -> Trace:
        """Open a trace directory.

        Raises
        ------
        InputError
            It is none: names the file and the key.
        """
        path = Path(path)
        if not path.is_dir():
            raise InputError(f"{path}: expected a trace directory, found {'a file' if path.exists() else 'nothing'}")
        document = _document(path / "trace.json")
        files = table_paths(path, RESERVED)
        if not files:
            raise InputError(f"{path}: an empty trace: expected at least one table such as gpu.parquet")
        for table in document.get("tables", {}):
            if table not in files:
                raise InputError(f"{path / 'trace.json'}: tables: {table!r} has no file {table}.parquet: {nearest(table, files)}")
        catalogue = Catalogue.load().with_metrics(document.get("metrics", {}), str(path / "trace.json"))
        return cls(path, document.get("cluster", path.name), document.get("note", ""), catalogue, document.get("tables", {}), files)

    @property
    def tables(self) -> tuple[str, ...]:
        """Return the tables, sorted."""
        return tuple(sorted(self.files))

    @property
    def counters(self) -> dict[str, str]:
        """Return per table whether counters are ``cumulative`` or ``increments``."""
        return {t: self.described.get(t, {}).get("counters", "cumulative") for t in self.tables}

    @cached_property
    def periods(self) -> dict[str, int]:
        """Return the period of every table in microseconds: as described, else the median distance found."""
        found = {}
        for table in self.tables:
            told = self.described.get(table, {}).get("period_s")
            found[table] = round(told * 1e6) if told else _period(self.open_table(table))
        return found

    @cached_property
    def roster(self) -> Roster:
        """Return who exists; empty where the trace has no roster."""
        return Roster(row for row, _ in self.roster_rows())

    def roster_rows(self) -> list[tuple[RosterRow, int]]:
        """Return the roster's rows with their order of arrival (0 where it was not recorded)."""
        file = self.path / "roster.parquet"
        return list(_roster(read_table(file), file)) if file.exists() else []

    def events(self) -> list[Event]:
        """Return all events by time."""
        return sorted(event for event, _ in self.arrived_events())

    def arrived_events(self) -> list[tuple[Event, int]]:
        """Return the events with their order of arrival (0 where it was not recorded)."""
        file = self.path / "events.parquet"
        return list(_events(read_table(file), file, self.counts)) if file.exists() else []

    def truth(self) -> pa.Table | None:
        """Return what was really wrong, None where nobody knows."""
        file = self.path / "truth.parquet"
        if not file.exists():
            return None
        table = read_table(file)
        for name in ("subject", "mode", "state", "began"):
            if name not in table.column_names:
                raise InputError.at(file, f"column {name}", "to be there", ", ".join(table.column_names))
        return table

    def digest(self) -> str:
        """Return 32 hexadecimal digits that stand for the contents of all files."""
        total = hashlib.blake2b(digest_size=16)
        files = [f for paths in self.files.values() for f in paths]
        files += [self.path / name for name in ("trace.json", "roster.parquet", "events.parquet") if (self.path / name).exists()]
        for file in sorted(files):
            total.update(f"{file.relative_to(self.path).as_posix()}\0{file.stat().st_size}\0".encode())
            with file.open("rb") as stream:
                while chunk := stream.read(1 << 20):
                    total.update(chunk)
        return total.hexdigest()

    def open_table(self, table: str) -> TableFiles:
        """Open one table's files."""
        return TableFiles(table, self.files[table], self.catalogue, self.counts)


def _document(file: Path) -> dict[str, Any]:
    if not file.exists():
        raise InputError(f"{file.parent}: not a trace: trace.json is missing")
    if file.stat().st_size > LARGEST_JSON:
        raise InputError.at(file, "size", f"at most {LARGEST_JSON} bytes", file.stat().st_size)
    try:
        document = json.loads(file.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file}: not JSON: {shorten(error)}") from error
    if not isinstance(document, dict) or document.get("format") != "grayscope-trace":
        raise InputError.at(file, "format", '"grayscope-trace"', document.get("format") if isinstance(document, dict) else type(document).__name__)
    if document.get("version") != VERSION:
        raise InputError.at(file, "version", VERSION, document.get("version"))
    _known(file, "", document, KEYS)
    for key, kind in (("cluster", str), ("note", str), ("tables", dict), ("metrics", dict)):
        if key in document and not isinstance(document[key], kind):
            raise InputError.at(file, key, kind.__name__, document[key])
    for section in ("tables", "metrics"):
        for name, entry in document.get(section, {}).items():
            if not isinstance(entry, dict):
                raise InputError.at(file, f"{section}.{shorten(name)}", "an object", entry)
    for table, entry in document.get("tables", {}).items():
        _known(file, f"tables.{table}: ", entry, TABLE_KEYS)
        period = entry.get("period_s", 1)
        if isinstance(period, bool) or not isinstance(period, (int, float)) or not 1e-3 <= period <= 1e9:
            raise InputError.at(file, f"tables.{table}.period_s", "a positive number of seconds", period)
        if entry.get("counters", "cumulative") not in ("cumulative", "increments"):
            raise InputError.at(file, f"tables.{table}.counters", "cumulative or increments", entry["counters"])
    return document


def _known(file: Path, where: str, entry: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for key in entry:
        if key not in known and not key.startswith("x-"):
            raise InputError(f"{file}: {where}unknown key {shorten(key)!r}: {nearest(key, known)}")


def _period(files: TableFiles) -> int:
    """Return the median distance between rows of one subject in the first row group that shows one."""
    for rows in files.all():
        order = np.lexsort((rows.time, rows.subject))
        step, same = np.diff(rows.time[order]), np.diff(rows.subject[order]) == 0
        if (same & (step > 0)).any():
            return int(np.median(step[same & (step > 0)]))
    return 10_000_000


def _roster(table: pa.Table, file: Path) -> Iterator[tuple[RosterRow, int]]:
    for name in ("subject", "table"):
        if name not in table.column_names:
            raise InputError.at(file, f"column {name}", "to be there", ", ".join(table.column_names))
    moments = {}
    for name in ("since", "until"):
        if name in table.column_names and not pa.types.is_null(table[name].type):
            stamp, valid = times_of(table[name], f"{file}: {name}")
            moments[name] = [int(t) if v else None for t, v in zip(stamp.tolist(), valid.tolist(), strict=True)]
    keys = [c for c in table.column_names if c not in ROSTER_COLUMNS]
    for key in keys:
        if not (pa.types.is_string(table[key].type) or pa.types.is_large_string(table[key].type) or pa.types.is_null(table[key].type)):
            raise InputError.at(file, f"column {shorten(key)}", "string", table[key].type)
    for i, row in enumerate(table.drop_columns([*moments]).to_pylist()):  # nanoseconds cannot be made datetimes
        if not isinstance(row["subject"], str) or not isinstance(row["table"], str) or not row["subject"].isprintable():
            raise InputError.at(file, f"row {i}", "a printable subject and table", f"{row['subject']!r}, {row['table']!r}")
        since, until = (moments[k][i] if k in moments else None for k in ("since", "until"))
        if since is not None and until is not None and until <= since:
            raise InputError.at(file, f"row {i} ({shorten(row['subject'])})", "until after since", f"{utc(since)} to {utc(until)}")
        crosses = tuple(c for c in row.get("crosses") or () if c)
        yield RosterRow(row["subject"], row["table"], since, until, {k: row[k] for k in keys if row[k]}, crosses), row.get("arrived") or 0


def _events(table: pa.Table, file: Path, counts: dict[str, int]) -> Iterator[tuple[Event, int]]:
    for name in ("time", "subject", "source", "code"):
        if name not in table.column_names:
            raise InputError.at(file, f"column {name}", "to be there", ", ".join(table.column_names))
    time, valid = times_of(table["time"], str(file))
    for i, row in enumerate(table.drop_columns(["time"]).to_pylist()):  # nanoseconds cannot be made datetimes
        if not valid[i] or not isinstance(row["subject"], str) or not row["subject"].isprintable():
            counts["bad_event"] = counts.get("bad_event", 0) + 1
            continue
        count = row.get("count")
        event = Event(int(time[i]), row["subject"], str(row["source"]), str(row["code"]), str(row.get("text") or ""), int(count) if count else 1)
        yield event, row.get("arrived") or 0
