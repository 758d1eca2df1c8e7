"""Descriptors: small files that are read at each look stay open; reading one again costs a tenth of opening it."""

from __future__ import annotations

import mmap
import os
import resource
import stat

#: Files that stay open at a time, and the share of the process's descriptors that they may take.
MOST, SHARE = 512, 4
#: Bytes; a longer file is read the usual way.
SHORT = 2048


class Descriptors:
    """Open files by path, each read from its beginning: the kernel makes the text of an attribute anew at offset 0.

    An attribute whose device went answers ENODEV; a common file that was removed (trees that stand for a machine) has no link any more.
    Both are opened again by path, once.

    Parameters
    ----------
    most : int
        Files that stay open; at most a quarter of what the process may open.

    Examples
    --------
    >>> files = Descriptors()
    >>> files.read("/proc/self/no/such/file") is None
    True
    """

    def __init__(self, most: int = MOST) -> None:
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self.most = most if limit == resource.RLIM_INFINITY else min(most, limit // SHARE)
        self._open: dict[str, tuple[int, bool]] = {}

    def __len__(self) -> int:
        """Return how many files are open."""
        return len(self._open)

    def __del__(self) -> None:
        """Let go of all files where nobody did."""
        self.close()

    def read(self, path: str) -> bytes | None:
        """Return what a file holds; None where it has to be read the usual way: absent, refused, long, or too many are open."""
        held = self._open.get(path)
        if held is not None:
            try:
                data = os.pread(held[0], SHORT, 0)
                if (held[1] or os.fstat(held[0]).st_nlink) and len(data) < SHORT:
                    return data
            except OSError:  # said again, and counted, by whoever opens it the usual way
                pass
            os.close(self._open.pop(path)[0])
        return self._first(path)

    def close(self) -> None:
        """Let go of all files; safe to call twice."""
        while self._open:
            os.close(self._open.popitem()[1][0])

    def _first(self, path: str) -> bytes | None:
        if len(self._open) >= self.most:
            return None
        try:
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except (OSError, ValueError):  # ValueError: a NUL byte in a name
            return None
        try:
            about, data = os.fstat(handle), os.pread(handle, SHORT, 0)
        except OSError:
            os.close(handle)
            return None
        if not stat.S_ISREG(about.st_mode) or len(data) >= SHORT:
            os.close(handle)
            return None
        # Attributes of the kernel say that they are a page long and lie nowhere.
        self._open[path] = handle, about.st_size == mmap.PAGESIZE and not about.st_blocks
        return data
