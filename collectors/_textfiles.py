"""Textfiles: finished text files for importers: line by line, plain or gzip, bounded; and the times of what tells none."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from grayscope.errors import InputError, UsageError, shorten

#: The longest line, bytes of one unpacked file, files of one import.
LONGEST, LARGEST, FILES = 16 << 20, 1 << 30, 100_000
SECOND = 1_000_000


def expanded(paths: Sequence[str | Path], name: str, patterns: Sequence[str]) -> list[Path]:
    """Return the files; a folder stands for the files in it that fit one of `patterns`, sorted.

    Raises
    ------
    UsageError
        No file was named.
    InputError
        A folder holds none, or there are too many.
    """
    if not paths:
        raise UsageError(f"{name}: expected at least one file")
    found: list[Path] = []
    for path in map(Path, paths):
        inside = sorted({p for pattern in patterns for p in path.rglob(pattern) if p.is_file()}) if path.is_dir() else [path]
        if not inside:
            raise InputError.at(path, "files", " or ".join(patterns), "none")
        found += inside
    if len(found) > FILES:
        raise InputError.at(name, "files", f"at most {FILES}", len(found))
    return found


def lines(path: Path) -> Iterator[str]:
    """Yield the lines of a file, without their ends; a byte that is no UTF-8 becomes a sign for it.

    Raises
    ------
    InputError
        It cannot be read or unpacked, or is longer than anything that is meant.
    """
    total = 0
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            while data := file.readline(LONGEST):
                total += len(data)
                if len(data) == LONGEST or total > LARGEST:
                    raise InputError.at(path, "size", f"lines below {LONGEST} and at most {LARGEST} bytes", "more")
                yield data.decode("utf-8", "replace").rstrip("\r\n")
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or shorten(error)}") from error


def whole(path: Path, most: int = LARGEST) -> bytes:
    """Return a file's bytes, unpacked.

    Raises
    ------
    InputError
        As `lines`.
    """
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            data = file.read(most + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or shorten(error)}") from error
    if len(data) > most:
        raise InputError.at(path, "size", f"at most {most} bytes", "more")
    return data


def changed(path: Path) -> int:
    """Return when a file was last changed, microseconds."""
    try:
        return int(path.stat().st_mtime * SECOND)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
