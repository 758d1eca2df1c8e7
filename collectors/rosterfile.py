"""Rosterfile: who exists and where it stands, as somebody has written it down in TOML or CSV; the last word on everything."""

from __future__ import annotations

import csv
import io
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from grayscope.errors import GrayscopeError, InputError, shorten
from grayscope.message import Message
from grayscope.roster import RosterRow

from ._hostlist import expand

LARGEST, MOST = 64 << 20, 500_000
#: Table of a part by how its name begins, of others by what stands before the colon.
PARTS = {"gpu": "gpu", "nvlink": "nvlink", "pcie": "pcie", "nic": "nic", "mlx": "nic", "nvme": "drive"}
WHOLES = {"job": "job", "comm": "comm", "rail": "rail", "site": "site"}


class Rosterfile:
    """Reads a file again at every `collect` and returns its rows.

    TOML: a section per subject, ``[n017]`` or ``["n[001-016]"]``, with one text per key. CSV: a column ``subject``, all others are
    keys. Names may be Slurm's short form of many. ``table`` is told by the name unless a key says so. No privilege; a file of 1,000
    nodes takes a few ms, so a period of minutes is enough.

    Parameters
    ----------
    path : path
        Ends in ``.csv``, else it is TOML.
    """

    def __init__(self, path: str | Path, *, clock: Callable[[], float] = time.time) -> None:
        self.path, self.clock = Path(path), clock
        self.rejected: dict[str, int] = {}
        self.last_error = ""
        self._before: dict[str, RosterRow] = {}

    def collect(self) -> list[Message]:
        """Return one message of roster rows; a file that is broken is refused as a whole, counted."""
        try:
            rows = tuple(self.rows())
        except (OSError, GrayscopeError) as error:
            self.rejected["unreadable"] = self.rejected.get("unreadable", 0) + 1
            self.last_error = f"{self.path}: {error.strerror}" if isinstance(error, OSError) else str(error)
            return []
        told = {row.subject for row in rows}
        # What was crossed out is no longer this file's word; whether it exists is for others to say.
        rows += tuple(replace(row, keys={}) for subject, row in self._before.items() if subject not in told)
        self._before = {row.subject: row for row in rows if row.subject in told}
        return [rows] if rows else []

    def rows(self) -> Iterator[RosterRow]:
        """Yield the file's rows.

        Raises
        ------
        InputError
            Names the line or key.
        """
        if self.path.stat().st_size > LARGEST:
            raise InputError.at(self.path, "size", f"at most {LARGEST} bytes", self.path.stat().st_size)
        data = self.path.read_bytes()
        count = 0
        for subjects, keys, where in parse_csv(data, str(self.path)) if self.path.suffix == ".csv" else parse_toml(data, str(self.path)):
            for subject in expand(subjects, where):
                count += 1
                if count > MOST:
                    raise InputError.at(where, "subjects", f"at most {MOST}", "more")
                yield row(subject, keys, where)


def row(subject: str, keys: Mapping[str, str], where: str) -> RosterRow:
    """Return a row; its table is told by the name unless the key `table` says so.

    Examples
    --------
    >>> row("n1/mlx5_0", {"rail": "3"}, "f").table, row("job:42", {}, "f").table, row("l4", {"table": "leaf"}, "f").table
    ('nic', 'job', 'leaf')
    """
    if not subject or not subject.isprintable() or len(subject) > 256 or any(not part for part in subject.split("/")):
        raise InputError.at(where, "subject", "a name such as n017 or n017/gpu3", subject)
    last = subject.rpartition("/")[2]
    kind = WHOLES.get(subject.partition(":")[0], "node") if "/" not in subject else "rank" if subject.startswith("job:") else ""
    table = keys.get("table") or kind or next((t for begin, t in PARTS.items() if last.startswith(begin)), "node")
    return RosterRow(subject, table, keys={k: v for k, v in keys.items() if k != "table" and v})


def parse_toml(data: bytes, where: str) -> Iterator[tuple[str, dict[str, str], str]]:
    """Yield (subjects, keys, where) of every section."""
    try:
        document = tomllib.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # a number of thousands of digits is a plain ValueError
        raise InputError.at(where, "TOML", "a section per subject", error) from error
    for subjects, section in document.items():
        if not isinstance(section, dict):
            raise InputError.at(where, shorten(subjects, 80), "a section with keys", shorten(section))
        at = f"{where}: {shorten(subjects, 80)}"
        yield subjects, {key: _value(value, at, key) for key, value in section.items()}, at


def parse_csv(data: bytes, where: str) -> Iterator[tuple[str, dict[str, str], str]]:
    """Yield (subjects, keys, where) of every line; the first names the columns."""
    try:
        lines = csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True)
        header = [name.strip() for name in next(lines, [])]
        if "subject" not in header or len(set(header)) < len(header) or "" in header:
            raise InputError.at(where, "line 1", "names of columns, one of them subject, none twice", header)
        for line in lines:
            at = f"{where}: line {lines.line_num}"
            if not any(line):
                continue
            if len(line) != len(header):
                raise InputError.at(at, "fields", len(header), len(line))
            keys = {name: _value(value.strip(), at, name) for name, value in zip(header, line, strict=True)}
            yield keys.pop("subject"), keys, at
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError.at(where, "CSV", "comma-separated UTF-8", error) from error


def _value(value: Any, where: str, key: str) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int)) or len(str(value)) > 256 or not str(value).isprintable() or not key.isprintable():
        raise InputError.at(where, shorten(key, 80), "text or a whole number, at most 256 characters", value)
    return str(value)
