"""Kernellog: kernel logs in files (dmesg, kmsg, pstore, syslog, journal JSON, Fabric Manager) as a trace of events."""

from __future__ import annotations

import gzip
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import IO

import numpy as np

from grayscope.errors import GrayscopeError, InputError, UsageError, shorten
from grayscope.event import Event
from grayscope.roster import RosterRow
from grayscope.tracewriter import TraceWriter

from ._kernfold import FAMILIES, Fold
from ._kernframes import SECOND, Frames, Refused
from ._kernlines import READERS, Said, meaning
from ._machine import address

#: Bytes of a line; rows of a node; how long after the last event the trace goes on, for a verdict takes some ticks.
LONGEST, ROWS, AFTER = 64 << 10, 20_000, 20
PERIOD = 60 * SECOND
#: Year 2286: what lies beyond is a number that was no time.
LATEST = 10**16
UUID = re.compile(r"NVRM: GPU at PCI:(?P<pci>[0-9a-fA-F:.]{7,16}): (?P<uuid>GPU-[0-9a-fA-F-]{8,64})", re.ASCII)
TABLES = {"gpu": "gpu", "pcie": "pcie", "nic": "nic", "drive": "drive", "node": "node"}
#: Without one of these a line says nothing; one pass for all.
WORTH = re.compile("|".join(re.escape(word) for word in (*(word for word, _ in READERS), "NVRM: GPU at PCI")))


@dataclass(slots=True)
class _Boot:
    """What a file says by seconds since boot: of one boot, whose beginning is known when its last line is."""

    last: int = 0
    said: list[tuple[str, int, Said]] = field(default_factory=list)


class Kernellog:
    """Reads logs and writes what they say as events, with a row a minute and node that counts them by kind.

    Every form of time is read. Lines with seconds since boot need to know when that was: `boot`, else the file's last line is taken to be as old
    as the file (counted as ``assumed_time``, like lines that have no time at all). Local times without a zone are refused without `zone`.
    GPUs and other devices are called by their PCI address unless `parts` names them. Delivery: every line once; the same said twice within
    a second is one event with a count. A line that another program wrote into the journal is not the kernel's and not believed.

    Parameters
    ----------
    paths : sequence of path
        Plain or .gz.
    node : str
        Node of lines that name none.
    zone : tzinfo, optional
    boot : int, optional
        Microseconds since 1970.
    parts : mapping of str to str, optional
        PCI address -> path in the node, such as ``{"0000:3b:00.0": "gpu3"}``.

    Raises
    ------
    InputError
        A file that cannot be read.
    GrayscopeError
        No line tells of hardware, or all of them have times without a zone.
    """

    def __init__(
        self, paths: Sequence[str | Path], *, node: str = "node", zone: tzinfo | None = None, boot: int | None = None, parts: Mapping[str, str] | None = None
    ) -> None:
        self.paths = [Path(p) for p in paths]
        if not self.paths:
            raise UsageError("kernel: expected at least one file")
        self.node, self.zone, self.boot = node, zone, boot
        self.parts = {address(where): name for where, name in (parts or {}).items()}
        if "" in self.parts:
            raise UsageError("kernel: expected PCI addresses such as 0000:3b:00.0 before the names of parts")
        self.rejected: Counter[str] = Counter()
        self.unknown: dict[str, int] = {}
        self.uuids: dict[str, str] = {}
        self._tables: dict[str, str] = {}
        self._folds: dict[str, Fold] = {}
        self.lines = 0

    def write(self, writer: TraceWriter, progress: Callable[[int, int], None] | None = None) -> dict[str, int]:
        """Write events, rows and roster; return counts: files, lines, events, rows, roster rows, and what was not used by reason."""
        for path in self.paths:
            self._file(path)
            if progress is not None:
                progress(0, self.lines)
        events = sorted(e for fold in self._folds.values() for e in fold.take())
        for event in events:
            writer.event(event)
        roster = [RosterRow(s, table, keys=self._keys(s)) for s, table in sorted(self._tables.items())]
        writer.roster(roster)
        rows = sum(self._rows(writer, [e for e in events if e.subject.partition("/")[0] == node], node) for node in sorted(self._folds))
        if lost := sum(fold.lost for fold in self._folds.values()):
            self.rejected["too_many"] = lost
        if not events and self.rejected["no_zone"]:
            raise GrayscopeError(f"kernel: {self.rejected['no_zone']} lines have local times: name their --zone, such as UTC or +01:00")
        if not events:
            refused = ", ".join(f"{n} {why}" for why, n in sorted(self.rejected.items()) if n)
            raise GrayscopeError(f"kernel: nothing to import: none of {self.lines} lines tells of hardware{f' (refused: {refused})' if refused else ''}")
        counts = {"files": len(self.paths), "lines": self.lines, "events": len(events), "rows": rows, "roster": len(roster)}
        return {**counts, **{f"rejected: {k}": n for k, n in sorted(self.rejected.items()) if n}}

    def _file(self, path: Path) -> None:
        changed = _changed(path)
        frames = Frames(self.zone, datetime.fromtimestamp(changed / SECOND, UTC))
        boots, time = [_Boot()], changed
        for line in _lines(path, self.rejected):
            self.lines += 1
            worth = WORTH.search(line) is not None
            # Every line tells how far the boot had come; what it says matters for few.
            if not worth and not line.startswith(("[", "<")) and not line[:1].isdigit():
                continue
            try:
                frame = frames.read(line)
            except Refused as why:
                self.rejected[str(why)] += worth
                continue
            time = frame.time if frame.time is not None else time
            node = frame.node or self.node
            if frame.uptime is not None:
                if frame.uptime < boots[-1].last - SECOND:
                    boots.append(_Boot())
                boots[-1].last = max(boots[-1].last, frame.uptime)
            said = self._said(frame.text, node) if worth else None
            if said is not None and frame.uptime is not None:
                boots[-1].said.append((node, frame.uptime, said))
            elif said is not None:
                self.rejected["assumed_time"] += frame.time is None
                self._add(node, said, time)
        self._booted(boots, changed)

    def _booted(self, boots: list[_Boot], changed: int) -> None:
        """Add what was said by seconds since boot, the last boot first: one ends where the next begins."""
        end = changed
        for i, boot in enumerate(reversed(boots)):
            began = self.boot if self.boot is not None and i == 0 else end - boot.last
            self.rejected["assumed_time"] += len(boot.said) if self.boot is None or i else 0
            for node, uptime, said in boot.said:
                self._add(node, said, began + uptime)
            end = began

    def _said(self, text: str, node: str) -> Said | None:
        found = UUID.search(text)
        if found is not None and (where := address(found["pci"])):
            self.uuids[f"{node}/{self.parts.get(where, where)}"] = found["uuid"]
        return meaning(text)

    def _add(self, node: str, said: Said, time: int) -> None:
        if not 0 < time < LATEST:
            self.rejected["bad_time"] += 1
            return
        fold = self._folds.get(node)
        if fold is None:
            fold = self._folds[node] = Fold(lambda s: self._subject(node, s))
            self._tables[node] = "node"
        fold.add(said, time)

    def _subject(self, node: str, said: Said) -> str:
        inner = self.parts.get(said.part, said.part)
        if said.kind == "pcie" and said.part in self.parts:
            inner = f"{inner}/pcie"
        subject = f"{node}/{inner}" if inner else node
        # An address may be first met by its link's errors and turn out to be a GPU: what it is, is the graver word.
        if self._tables.get(subject) in (None, "pcie"):
            self._tables[subject] = TABLES[said.kind] if inner else "node"
        return subject

    def _keys(self, subject: str) -> dict[str, str]:
        keys = {"node": subject.partition("/")[0]}
        return keys | ({"serial": self.uuids[subject]} if subject in self.uuids else {})

    @staticmethod
    def _rows(writer: TraceWriter, events: list[Event], node: str) -> int:
        """Write a row a minute that counts a node's events by kind; longer steps where there would be too many."""
        if not events:
            return 0
        step = PERIOD * (1 + (events[-1].time - events[0].time) // (PERIOD * ROWS))
        first, last = events[0].time // step, events[-1].time // step + 1 + AFTER
        times = np.arange(first, last + 1, dtype=np.int64) * step
        columns = {}
        for family in FAMILIES:
            of = [e for e in events if e.source == family]
            if of:
                at = np.searchsorted(times, [e.time for e in of], side="left")
                columns[f'kernel_log_events_total{{family="{family}"}}'] = np.cumsum(np.bincount(at, [e.count for e in of], len(times))).astype(np.float64)
        writer.describe(tables={"node": {"period_s": step / SECOND, "counters": "cumulative"}})
        writer.rows("node", times, [node] * len(times), columns)
        return len(times)


def _changed(path: Path) -> int:
    try:
        return int(path.stat().st_mtime * SECOND)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error


def _lines(path: Path, rejected: Counter[str]) -> Iterator[str]:
    """Yield a file's lines, unpacked; what is beyond the limit of a line is dropped and counted."""
    try:
        with _open(path) as file:
            while line := file.readline(LONGEST):
                if len(line) == LONGEST and not line.endswith(b"\n"):
                    rejected["long_line"] += 1
                    while (more := file.readline(LONGEST)) and not more.endswith(b"\n"):
                        pass
                    continue
                yield line.decode("utf-8", "replace").rstrip("\r\n")
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or shorten(error)}") from error


def _open(path: Path) -> IO[bytes] | gzip.GzipFile:
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")
