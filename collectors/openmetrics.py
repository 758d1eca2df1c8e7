"""Openmetrics: text files of Prometheus or OpenMetrics samples, plain or gzip, as a trace."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np

from grayscope.catalogue import Catalogue
from grayscope.errors import InputError, UsageError, shorten
from grayscope.tracewriter import TraceWriter

from ._exposition import Exposition
from ._naming import Naming
from ._rosters import Changes, closed
from ._series import Look, Series

BLOCK = 1 << 20
#: Samples that are held at a time: 20 bytes each.
MOST = 1 << 28


class Openmetrics:
    """Reads files of samples and writes them as a trace. Delivery: every sample once; a repeat is counted.

    Samples keep their own times. A file without times is one look: stamped ``start + i * step`` for the i-th file, without
    `step` with the time at which the file was last changed.

    Parameters
    ----------
    paths : sequence of path
    start, step : int, optional
        Microseconds.
    node : str
        Node of series that name none.
    """

    def __init__(
        self, paths: Sequence[str | Path], *, start: int | None = None, step: int | None = None, node: str = "", catalogue: Catalogue | None = None
    ) -> None:
        self.paths = [Path(p) for p in paths]
        if not self.paths:
            raise UsageError("openmetrics: expected at least one file")
        if start is not None and step is None and len(self.paths) > 1:
            raise UsageError(f"openmetrics: {len(self.paths)} files from one start: expected a step as well")
        self.start, self.step = start, step
        naming = Naming(catalogue, node)
        self.rejected, self.unknown = naming.rejected, naming.unknown
        self._series = Series(naming)

    def write(self, writer: TraceWriter, progress: Callable[[int, int], None] | None = None) -> dict[str, int]:
        """Write all files; return counts: files, samples, rows, roster rows, and what was not used by reason."""
        look = self._look(progress)
        roster = closed(Changes(self._series).rows(look))
        writer.roster(roster)
        counts = {"files": len(self.paths), "samples": 0, "rows": 0, "roster": len(roster)}
        for long in self._series.settle(look):
            described = {"counters": "cumulative"} | ({"period_s": self.step / 1e6} if self.step else {})
            writer.describe(tables={long.table: described})
            counts["samples"] += len(long.values)
            for times, subjects, columns in self._series.wide(long):
                writer.rows(long.table, times, subjects, columns)
                counts["rows"] += len(times)
                if progress is not None:
                    progress(int(times[-1]), counts["rows"])
        return {**counts, **{f"rejected: {k}": n for k, n in sorted(self.rejected.items())}}

    def _look(self, progress: Callable[[int, int], None] | None) -> Look:
        text, looks, total = Exposition(self._series), list[Look](), 0
        text.begin()
        for i, path in enumerate(self.paths):
            now = self._stamp(i, path)
            for block in _blocks(path):
                looks.append(text.feed(block, now))
                total += len(looks[-1].series)
                if total > MOST:
                    raise InputError.at(path, "samples of all files", f"at most {MOST}: import them in parts", total)
                if progress is not None and len(looks[-1].times):
                    progress(int(looks[-1].times[-1]), total)
            text.end()
        return Look(*(np.concatenate(parts) for parts in zip(*looks, strict=True)))

    def _stamp(self, i: int, path: Path) -> int:
        try:
            changed = int(path.stat().st_mtime * 1e6)
            first = int(self.paths[0].stat().st_mtime * 1e6)
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror}") from error
        if self.start is None and self.step is None:
            return changed
        return (first if self.start is None else self.start) + i * (self.step or 0)


def _blocks(path: Path) -> Iterator[bytes]:
    """Yield a file's bytes, unpacked; at least one block."""
    try:
        with _open(path) as file:
            yield file.read(BLOCK)
            while block := file.read(BLOCK):
                yield block
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or shorten(error)}") from error


def _open(path: Path) -> IO[bytes] | gzip.GzipFile:
    if path.suffix == ".gz":
        return gzip.open(path, "rb")
    return path.open("rb")
