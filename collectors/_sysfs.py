"""Sysfs: small files of a pseudo file system, read often and cheaply; what cannot be read is counted and left alone for a while."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar, cast

from ._descriptors import Descriptors

T = TypeVar("T")
#: Bytes of one file, names in one folder, broken paths that are remembered.
LARGEST, MOST, BROKEN = 1 << 20, 16_384, 4096
#: Looks for which a file that answers with an error is left alone: on some functions each read makes the driver log a line.
PAUSE = 60
ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENODEV, errno.ENXIO, errno.ELOOP})
DENIED = frozenset({errno.EACCES, errno.EPERM})
NUMBER = re.compile(rb"[+-]?[0-9]{1,20}")


class Tree:
    """Files below a root; `begin` starts a look.

    Parameters
    ----------
    root : path
    rejected : dict of str to int
        Where refusals are counted: ``denied``, ``unreadable``, ``not_a_number``, ``too_large``.
    slow : float
        Seconds from one reading to the next of what changes slowly, on multiples of it, so that all machines read in the same tick;
        0 for each look.

    Examples
    --------
    >>> Tree("/", {}).number("proc/no/such/file") is None
    True
    """

    def __init__(self, root: str | Path, rejected: dict[str, int], slow: float = 0.0) -> None:
        self.root, self.rejected, self.slow = str(root).rstrip("/"), rejected, slow
        self.looks, self.fresh, self._turn = 0, True, 0.0
        self._broken: dict[str, int] = {}
        self._kept: dict[str, Any] = {}
        self._held = Descriptors()

    def begin(self, now: float = 0.0) -> None:
        """Begin a new look, at some seconds since 1970. The second is a full one too: before it counters say nothing."""
        turn = now // self.slow if self.slow > 0 else 0.0
        self.looks += 1
        self.fresh = self.slow <= 0 or self.looks <= 2 or turn != self._turn
        self._turn = turn

    def path(self, name: str) -> str:
        """Return the full path of a file."""
        return f"{self.root}/{name}"

    def reject(self, reason: str) -> None:
        """Count one thing that is not used."""
        self.rejected[reason] = self.rejected.get(reason, 0) + 1

    def data(self, name: str, *, hold: bool = False) -> bytes | None:
        """Return what a file holds, None where it is absent (which is no fault) or cannot be read (counted).

        `hold` keeps the file open for the next look, until `release`: whoever asks for it has to notice that another device has its name.
        """
        if self._broken and self._broken.get(name, -1) > self.looks:
            return None
        if hold and (held := self._held.read(f"{self.root}/{name}")) is not None:
            return held
        try:
            handle = os.open(f"{self.root}/{name}", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            self._failed(name, error)
            return None
        except ValueError:  # a NUL byte in a name
            return None
        try:
            data = os.read(handle, 65_536)
            if len(data) >= 2048:
                data = self._long(handle, data, name)
        except OSError as error:
            self._failed(name, error)
            return None
        finally:
            os.close(handle)
        return data

    def slowly(self, read: Callable[[str], T], name: str) -> T:
        """Return what `read` said of a file at its last reading; holes in between would look like losses."""
        if self.fresh or name not in self._kept:
            if len(self._kept) >= MOST:
                self._kept.clear()
            self._kept[name] = read(name)
        return cast(T, self._kept[name])

    def text(self, name: str, *, hold: bool = False) -> str | None:
        """Return a file's text without the blanks around it, None as `data` does."""
        data = self.data(name, hold=hold)
        return None if data is None else data.decode("utf-8", "replace").strip(" \t\r\n\0")

    def number(self, name: str, *, hold: bool = False) -> float | None:
        """Return a file's whole number; None where there is none, which is counted if the file holds something else."""
        data = self.data(name, hold=hold)
        if data is None:
            return None
        data = data.strip()
        if NUMBER.fullmatch(data):
            return float(int(data))
        self.reject("not_a_number")
        self._pause(name)
        return None

    def numbers(self, names: Iterable[str]) -> list[float | None]:
        """Return what `number` says of each file, all of them held open."""
        read, start, found = self._held.read, f"{self.root}/", list[float | None]()
        for name in names:
            data = read(start + name) if name not in self._broken else None
            text = b"" if data is None else data.strip()
            found.append(float(text) if text.isdigit() and len(text) <= 20 else self.number(name))
        return found

    def release(self) -> None:
        """Close what was held open: other devices may have the names now."""
        self._held.close()

    def names(self, folder: str) -> list[str]:
        """Return what a folder holds, sorted; nothing where it is absent."""
        try:
            with os.scandir(f"{self.root}/{folder}") as found:
                names = sorted(entry.name for _, entry in zip(range(MOST), found, strict=False))
        except OSError as error:
            self._failed(folder, error)
            return []
        # Names of devices come from the kernel; one that cannot be printed would end up in labels.
        return [n for n in names if n.isprintable()]

    def has(self, name: str) -> bool:
        """Say whether a file or folder is there."""
        return os.path.lexists(f"{self.root}/{name}")

    def target(self, name: str) -> str:
        """Return where a link leads in the end, ``""`` where it is absent; components are real names."""
        path = f"{self.root}/{name}"
        return os.path.realpath(path) if os.path.lexists(path) else ""

    def link(self, name: str) -> str:
        """Return what a link says, ``""`` where it is none: much cheaper than where it leads in the end."""
        try:
            return os.readlink(f"{self.root}/{name}")  # noqa: PTH115 - no object for each of hundreds of links
        except (OSError, ValueError):
            return ""

    def _long(self, handle: int, data: bytes, name: str) -> bytes:
        """Read on: what a file of proc gives at a time may be less than a page of what it has."""
        parts, total = [data], len(data)
        while total <= LARGEST and (more := os.read(handle, 65_536)):
            parts.append(more)
            total += len(more)
        if total > LARGEST:
            self.reject("too_large")
            self._pause(name)
        return b"".join(parts)[:LARGEST]

    def _failed(self, name: str, error: OSError) -> None:
        if error.errno not in ABSENT:
            self.reject("denied" if error.errno in DENIED else "unreadable")
            self._pause(name)

    def _pause(self, name: str) -> None:
        if len(self._broken) >= BROKEN:
            self._broken.clear()
        self._broken[name] = self.looks + PAUSE
