"""Spool: messages that wait on disk while their broker is away: bounded, oldest dropped first, counted."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from grayscope.errors import GrayscopeError, InputError
from grayscope.frames import LARGEST, decode, encode
from grayscope.message import Message

RECORD = struct.Struct("<II")  # length, CRC-32
SUFFIX = ".spool"


class Spool:
    """Keeps messages in segments of a folder, in order; `oldest` and `done` take them out again.

    Delivery: at least once. What was not confirmed by `done` is given out again after a restart. A crash of the process loses
    nothing that `append` returned for, a crash of the machine what the kernel had not written yet. Beyond `limit` bytes the oldest
    segment goes, counted in `dropped`; a record that is cut or damaged ends its segment, counted in `rejected`.

    Parameters
    ----------
    path : path
        A folder of its own; made if need be.
    limit : int
        Bytes on disk.
    segment : int
        Bytes of one file.

    Raises
    ------
    GrayscopeError
        The folder cannot be made or written.
    """

    def __init__(self, path: str | Path, *, limit: int = 256 << 20, segment: int = 4 << 20) -> None:
        self.path, self.limit, self.segment = Path(path), limit, min(segment, max(limit // 4, 1))
        self.dropped = self.rejected = 0
        self._file: BinaryIO | None = None
        self._at = self._next = 0  # read positions in the first segment: confirmed, given out
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            found = sorted(self.path.glob(f"*{SUFFIX}"))
            # Of every segment: bytes, records that are still in it.
            self._segments = {p: [p.stat().st_size, sum(1 for _ in _records(p))] for p in found}
        except OSError as error:
            raise GrayscopeError(f"{self.path}: cannot be used as a spool: {error.strerror}") from error
        self._number = int(found[-1].stem) if found and found[-1].stem.isdigit() else 0

    def __len__(self) -> int:
        """Return how many messages wait."""
        return sum(count for _, count in self._segments.values())

    @property
    def bytes(self) -> int:
        """Size on disk."""
        return sum(size for size, _ in self._segments.values())

    def append(self, message: Message) -> None:
        """Add one message at the end; makes room by dropping the oldest segment."""
        frame = encode(message)
        record = RECORD.pack(len(frame), zlib.crc32(frame)) + frame
        if len(record) > self.limit:
            self.dropped += 1
            return
        while self._segments and self.bytes + len(record) > self.limit:
            self._drop()
        try:
            file = self._open()
            file.write(record)
            file.flush()
        except OSError as error:
            self.dropped += 1
            raise GrayscopeError(f"{self.path}: cannot be written: {error.strerror}") from error
        held = self._segments[self._last]
        held[0] += len(record)
        held[1] += 1

    def oldest(self, most: int = 256) -> list[Message]:
        """Return up to `most` of the oldest messages; they stay until `done` says that they were carried."""
        self._close()  # what is read is never written any more
        found: list[Message] = []
        while self._segments and not found:
            path = next(iter(self._segments))
            self._next = self._at
            for end, frame in _records(path, self._at):
                try:
                    found.append(decode(frame, str(path)))
                except InputError:
                    self.rejected += 1
                    self._segments[path][1] -= 1
                self._next = end
                if len(found) == most:
                    break
            self._given = len(found)
            if not found:  # empty, or the rest of it is damaged
                self.rejected += self._segments[path][1] + (self._next < path.stat().st_size)
                self._remove(path)
        return found

    def done(self) -> None:
        """Forget what `oldest` returned last."""
        if not self._segments:
            return
        path = next(iter(self._segments))
        self._at = self._next
        self._segments[path][1] -= self._given
        self._given = 0
        if self._segments[path][1] <= 0 and self._at >= self._segments[path][0]:
            self._remove(path)

    def close(self) -> None:
        """Let go of the file; what waits stays."""
        self._close()

    @property
    def _last(self) -> Path:
        return self.path / f"{self._number:012d}{SUFFIX}"

    def _open(self) -> BinaryIO:
        if self._file is not None and self._segments.get(self._last, [0])[0] >= self.segment:
            self._close()
        if self._file is None:
            self._number += 1
            self._file = self._last.open("xb")
            self._segments[self._last] = [0, 0]
        return self._file

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _drop(self) -> None:
        path = next(iter(self._segments))
        self.dropped += self._segments[path][1]
        if path == self._last:
            self._close()
        self._remove(path)

    def _remove(self, path: Path) -> None:
        del self._segments[path]
        self._at = self._next = self._given = 0
        path.unlink(missing_ok=True)

    _given = 0


def _records(path: Path, at: int = 0) -> Iterator[tuple[int, bytes]]:
    """Yield (where it ends, frame) from a position on, up to the first record that is not whole."""
    with path.open("rb") as file:
        file.seek(at, os.SEEK_SET)
        while len(head := file.read(RECORD.size)) == RECORD.size:
            size, crc = RECORD.unpack(head)
            frame = file.read(size) if size <= LARGEST else b""
            if len(frame) != size or zlib.crc32(frame) != crc:
                return
            yield file.tell(), frame
