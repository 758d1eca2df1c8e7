"""Rolling: a folder of traces, a new one every so often; what an agent without a server leaves for replay."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grayscope.brokers.parquet import Parquet
from grayscope.catalogue import Catalogue
from grayscope.errors import GrayscopeError, UsageError
from grayscope.message import Message
from grayscope.tracewriter import GROUP, TraceWriter


class _Gathering(TraceWriter):
    """Gives rows of one table the same columns, and one row to a subject at one time: its sources take turns, and each would begin a file."""

    def __init__(self, path: Path, **more: Any) -> None:
        super().__init__(path, **more)
        self._gathered: dict[str, list[tuple[Any, ...]]] = {}
        self._rows = 0

    def rows(self, table: str, times: Any, subjects: Any, columns: Mapping[str, Any], arrived: Any = None) -> None:
        """Keep rows until there are enough of them; all of them carry their order of arrival."""
        self._gathered.setdefault(table, []).append((times, subjects, columns, arrived))
        self._rows += len(times)
        if self._rows >= GROUP // 16:
            self._hand_on()

    def close(self) -> None:
        """Write what is left and put the trace in place."""
        self._hand_on()
        super().close()

    def _hand_on(self) -> None:
        gathered, self._gathered, self._rows = self._gathered, {}, 0
        for table, parts in gathered.items():
            times, subjects, arrived = (np.concatenate([part[i] for part in parts]) for i in (0, 1, 3))
            at = {name: i for i, name in enumerate(dict.fromkeys(name for _, _, columns, _ in parts for name in columns))}
            values, begin = np.full((len(at), len(times)), np.nan, np.float32), 0
            for stamps, _, columns, _ in parts:
                for name, column in columns.items():
                    values[at[name], begin : begin + len(stamps)] = column
                begin += len(stamps)
            keep = _joined(zip(times.tolist(), subjects.tolist(), strict=True), values)
            super().rows(table, times[keep], subjects[keep], dict(zip(at, values[:, keep], strict=True)), arrived[keep])


def _joined(cells: Iterable[tuple[int, str]], values: NDArray[np.float32]) -> NDArray[np.intp]:
    """Join what different sources say of a subject at one time, in place, into the row that came first; return which rows stay.

    Examples
    --------
    >>> values = np.array([[1, np.nan, 3], [np.nan, 2, 3]], np.float32)
    >>> _joined([(5, "n1"), (5, "n1"), (5, "n1")], values).tolist(), values[:, 0].tolist()
    ([0, 2], [1.0, 2.0])
    """
    first: dict[tuple[int, str], int] = {}
    there, stay = np.isfinite(values), []
    for i, cell in enumerate(cells):
        j = first.setdefault(cell, i)
        if j == i or (there[:, i] & there[:, j]).any():
            stay.append(i)
        else:
            values[:, j] = np.where(there[:, i], values[:, i], values[:, j])
            there[:, j] |= there[:, i]
    return np.array(stay, np.intp)


class Rolling:
    """Writes traces named by the UTC time at which they began; `receive` reads them one after another.

    Delivery: exactly once in what has been closed. A trace takes its place when the next one begins, so a crash loses at most the
    last `every` seconds; what it left half-written is deleted later. The oldest traces beyond `keep` are deleted. Every trace
    repeats the roster as far as it was sent here.

    Parameters
    ----------
    path : path
        A folder of its own; made if need be.
    every : float
        Seconds of one trace.
    keep : int
        Traces that stay.
    period : float or None
        Seconds from row to row, noted in the trace; None where each table has its own.
    """

    def __init__(
        self, path: str | Path, *, every: float = 3600.0, keep: int = 48, period: float | None = 10.0, cluster: str = "cluster",
        clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        if not every > 0 or keep < 1:
            raise UsageError(f"rolling: expected traces of more than 0 s and at least one to keep, found {every:g} s and {keep}")
        self.path, self.every, self.keep, self.cluster, self.clock = Path(path), every, keep, cluster, clock
        described = {"counters": "increments", **({} if period is None else {"period_s": period})}
        self.tables = dict.fromkeys(Catalogue.load().tables, described)
        self.closed = 0
        self._roster: dict[str, Message] = {}
        self._trace: Parquet | None = None
        self._until = 0.0

    def send(self, message: Message) -> None:
        """Record one message; it is on disk once its trace has been closed."""
        if self._trace is not None and self.clock() >= self._until:
            self._roll()
        if self._trace is None:
            self._trace = self._begin()
            for known in self._roster.values():
                self._trace.send(known)
        if isinstance(message, tuple):
            self._roster |= {row.subject: (row,) for row in message}
        self._trace.send(message)

    def receive(self) -> Iterator[Message]:
        """Yield the messages of all closed traces, oldest first."""
        for path in self._found():
            yield from Parquet(path).receive()

    def close(self) -> None:
        """Put the trace in place."""
        if self._trace is not None:
            self._roll()

    def _begin(self) -> Parquet:
        now = self.clock()
        self._until = (now // self.every + 1) * self.every
        path = self.path / datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%S%fZ")
        return Parquet(path, writer=_Gathering(path, cluster=self.cluster, note="recorded by an agent", tables=self.tables))

    def _roll(self) -> None:
        assert self._trace is not None
        trace, self._trace = self._trace, None
        trace.close()
        self.closed += 1
        try:
            for old in (*self._found()[: -self.keep], *self._left_behind()):
                shutil.rmtree(old)
        except OSError as error:
            raise GrayscopeError(f"{self.path}: an old trace cannot be deleted: {error.strerror}") from error

    def _left_behind(self) -> list[Path]:
        """Return what a process that was killed never finished: its writer has been silent for longer than any trace lasts."""
        return [p for p in self.path.glob(".[0-9]*Z.partial") if self.clock() - p.stat().st_mtime > 2 * self.every]

    def _found(self) -> list[Path]:
        return sorted(p.parent for p in self.path.glob("[0-9]*Z/trace.json"))
