"""Filed: samples of finished files as a trace: gathered by name and labels, settled once, written with their roster."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from grayscope.catalogue import Catalogue
from grayscope.errors import InputError, UsageError
from grayscope.event import Event

from ._naming import Naming
from ._rosters import Changes, closed
from ._series import Look, Series

if TYPE_CHECKING:
    from grayscope.tracewriter import TraceWriter

#: Samples and events that are held at a time.
MOST, MOST_EVENTS = 1 << 27, 1 << 20
#: Bytes of one file.
LARGEST = 256 << 20


class Filed:
    """Gathers (name, labels, time, value); names are the source's or the catalogue's, counters are totals.

    Parameters
    ----------
    node : str
        Node of samples that name none.
    catalogue : Catalogue, optional

    Attributes
    ----------
    rejected, unknown : dict of str to int
        What was not used, by reason; names that nobody knows.
    """

    def __init__(self, node: str = "", catalogue: Catalogue | None = None) -> None:
        naming = Naming(catalogue, node)
        self.rejected, self.unknown = naming.rejected, naming.unknown
        self.events: list[Event] = []
        self._series = Series(naming)
        self._numbers: dict[tuple[str, tuple[tuple[str, str], ...]], int] = {}
        self._known, self._times, self._values = array("i"), array("q"), array("d")

    def add(self, name: str, labels: Mapping[str, str], time: int, value: float) -> None:
        """Add one sample; a name that is not known is counted."""
        key = (name, tuple(sorted(labels.items())))
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = self._series.add(name, labels)
        if number < 0:
            return
        if len(self._known) >= MOST:
            raise InputError.at("files", "samples", f"at most {MOST}: import them in parts", f"{MOST} and more")
        self._known.append(number)
        self._times.append(time)
        self._values.append(value)

    def tell(self, event: Event) -> None:
        """Add an event; beyond a million they are counted only."""
        if len(self.events) < MOST_EVENTS:
            self.events.append(event)
        else:
            self.reject("too_many")

    def reject(self, reason: str, n: int = 1) -> None:
        """Count something that is not used."""
        self.rejected[reason] = self.rejected.get(reason, 0) + n

    def write(self, writer: TraceWriter, step: int | None, progress: Callable[[int, int], None] | None) -> dict[str, int]:
        """Write all that was gathered; return counts: samples, rows, roster rows, events, and what was not used by reason."""
        look = Look(np.array(self._known, np.int32), np.array(self._times, np.int64), np.array(self._values, np.float64))
        roster = closed(Changes(self._series).rows(look))
        writer.roster(roster)
        counts = {"samples": 0, "rows": 0, "roster": len(roster), "events": len(self.events)}
        for long in self._series.settle(look) if len(look.series) else ():
            writer.describe(tables={long.table: {"counters": "cumulative"} | ({"period_s": step / 1e6} if step else {})})
            counts["samples"] += len(long.values)
            for stamps, subjects, columns in self._series.wide(long):
                writer.rows(long.table, stamps, subjects, columns)
                counts["rows"] += len(stamps)
                if progress is not None:
                    progress(int(stamps[-1]), counts["rows"])
        for event in sorted(self.events):
            writer.event(event)
        return {**counts, **{f"rejected: {k}": n for k, n in sorted(self.rejected.items())}}


class Files:
    """What importers of tools' output have in common: files of one or more nodes, each stamped if it tells no time.

    Parameters
    ----------
    paths : sequence of path
    start, step : int, optional
        Microseconds, of files or looks that tell no time.
    node : str
        Name of the node; by default each file's name up to its first dot, so that files of many nodes stay apart.
    catalogue : Catalogue, optional

    Raises
    ------
    UsageError
        No file.
    """

    def __init__(
        self, paths: Sequence[str | Path], *, start: int | None = None, step: int | None = None, node: str = "", catalogue: Catalogue | None = None
    ) -> None:
        self.paths = [Path(p) for p in paths]
        if not self.paths:
            raise UsageError(f"{type(self).__name__.lower()}: expected at least one file")
        self.start, self.step, self.node = start, step, node
        self.filed = Filed(node, catalogue)
        self.rejected, self.unknown = self.filed.rejected, self.filed.unknown
        self.begin()

    def begin(self) -> None:
        """Get ready; most have something of their own to remember."""

    def of(self, path: Path) -> str:
        """Return the node that a file is of."""
        return self.node or path.name.partition(".")[0] or "node"


def contents(path: Path, limit: int = LARGEST) -> bytes:
    """Return a file's bytes.

    Raises
    ------
    InputError
        It cannot be read, or is larger than anything that such a tool prints.
    """
    try:
        size = path.stat().st_size
        if size > limit:
            raise InputError.at(path, "size", f"at most {limit} bytes", size)
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error


def stamps(paths: Sequence[Path], start: int | None, step: int | None) -> list[int]:
    """Return the time of each file that tells none: ``start + i * step``, else when it was last changed.

    Examples
    --------
    >>> stamps([Path("a"), Path("b")], 1_000_000, 10_000_000)
    [1000000, 11000000]
    """
    if start is not None:
        return [start + i * (step or 0) for i in range(len(paths))]
    try:
        changed = [int(p.stat().st_mtime * 1e6) for p in paths]
    except OSError as error:
        raise InputError(f"{error.filename}: cannot be read: {error.strerror}") from error
    return changed if step is None else [changed[0] + i * step for i in range(len(paths))]
