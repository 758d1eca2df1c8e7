"""Tail: new whole lines of files that others write: growing, rotated, cut short, or with half a line at the end."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

#: Bytes read of one file and of all files in one look; the longest line; files that are followed; how deep folders are searched.
EACH, ALL, LONGEST, FILES, DEPTH = 8 << 20, 64 << 20, 1 << 20, 4096, 3
#: Of a file that was there before us, so much of its end is read: history belongs to an import.
BACK = 64 << 10


class Line(NamedTuple):
    """One line; `file` is the same number for all lines of one file, whatever it is called by now."""

    file: int
    path: Path
    text: str


class _Place:
    """How far a file was read, and the half line at that point."""

    def __init__(self, offset: int, inside: bool) -> None:
        self.offset, self.rest, self.skipping = offset, b"", inside


class Tail:
    """Follows the files in `folders` whose names fit one of `patterns`, by inode, so that a renamed file goes on.

    Parameters
    ----------
    folders : iterable of path
        May not exist yet. Folders inside are searched, three deep.
    patterns : iterable of str
        As in a shell.
    rejected : dict of str to int
        Where lines that are too long, and files that cannot be read, are counted.

    Attributes
    ----------
    gone : set of int
        Numbers of files that are no more, since the last look.
    """

    def __init__(self, folders: Iterable[str | Path], patterns: Iterable[str], rejected: dict[str, int]) -> None:
        self.folders, self.patterns, self.rejected = [Path(f) for f in folders], tuple(patterns), rejected
        self.gone: set[int] = set()
        self._places: dict[int, _Place] = {}
        self._first = True

    def lines(self) -> Iterator[Line]:
        """Yield the lines that are new since the last call; what exceeds a look's share comes with the next."""
        left, seen = ALL, set[int]()
        for path in self.files():
            try:
                with path.open("rb") as file:
                    status = os.fstat(file.fileno())
                    number = hash((status.st_dev, status.st_ino))
                    if number in seen:
                        continue
                    seen.add(number)
                    place = self._place(number, status.st_size)
                    file.seek(place.offset)
                    data = file.read(min(EACH, left))
            except OSError as error:
                self._reject("denied" if isinstance(error, PermissionError) else "unreadable")
                continue
            left -= len(data)
            place.offset += len(data)
            for text in self._whole(place, data):
                yield Line(number, path, text)
        self.gone = self._places.keys() - seen
        for number in self.gone:
            del self._places[number]
        self._first = False

    def files(self) -> list[Path]:
        """Return the files that are followed, sorted; no links to elsewhere."""
        found: list[Path] = []
        for folder in self.folders:
            for at, inner, names in os.walk(folder):
                if len(Path(at).parts) - len(folder.parts) >= DEPTH:
                    inner.clear()
                inner.sort()
                found += (Path(at, name) for name in sorted(names) if any(fnmatch(name, p) for p in self.patterns))
                if len(found) > FILES:
                    self._reject("too_many_files", len(found) - FILES)
                    return found[:FILES]
        return [p for p in found if p.is_file() and not p.is_symlink()]

    def _place(self, number: int, size: int) -> _Place:
        place = self._places.get(number)
        if place is None:
            start = max(0, size - BACK) if self._first else 0
            place = self._places[number] = _Place(start, start > 0)
        elif size < place.offset:
            self._reject("cut_short")
            place = self._places[number] = _Place(0, False)
        return place

    def _whole(self, place: _Place, data: bytes) -> Iterator[str]:
        *whole, rest = (place.rest + data).split(b"\n")
        if place.skipping and whole:
            whole, place.skipping = whole[1:], False
        if len(rest) > LONGEST:
            self._reject("long_line")
            rest, place.skipping = b"", True
        place.rest = rest
        for line in whole:
            if len(line) > LONGEST:
                self._reject("long_line")
            elif line.strip():
                yield line.decode("utf-8", "replace")

    def _reject(self, reason: str, n: int = 1) -> None:
        self.rejected[reason] = self.rejected.get(reason, 0) + n
