"""Kernel: the kernel's log as it is written: Xid, SXid, AER, EDAC, machine checks, links, NVMe, disks and hung tasks as events."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from grayscope.catalogue import Catalogue
from grayscope.errors import Unsupported
from grayscope.message import Message

from ._kernfold import FAMILIES, Fold
from ._kernlines import Said, meaning
from ._machine import ADDRESS, Source, address
from ._ports import interfaces

RECORD = re.compile(r"(\d{1,6}),(\d{1,20}),(\d{1,20}),[^;]{0,64};(.*)", re.ASCII)
#: Bytes of one read (the kernel gives one record), records of one look, different events of one look.
LARGEST, RECORDS, EVENTS = 16_384, 50_000, 4096
SECOND = 1_000_000


class Kernel(Source):
    """Reads what was said since the last look from ``/dev/kmsg``; each record once, in order.

    Privileges: root or CAP_SYSLOG where ``kernel.dmesg_restrict`` is 1 (usual), else none. Cost: one system call per new record (2 us),
    one if there is none. Records that were overwritten before we came are counted (``overrun``, and by their sequence numbers in
    ``kernel_log_records_lost_total``). Only records of the kernel's own facility are believed: any root process may write into the ring.
    What it cannot see: what the driver held back (AER prints at most ten lines in five seconds, Xids are limited too), lines
    from before `history`, the Fabric Manager's log (`grayscope import kernel` reads it).

    Format: Linux ABI document dev-kmsg: ``priority,sequence,microseconds since boot,flags;text``. Words: see ``_kernlines.py``.

    Parameters
    ----------
    root : path
        Where ``dev``, ``proc`` and ``sys`` are.
    node : str
        Name of this node, the kernel's host name by default.
    clock : callable
        Seconds since 1970.
    catalogue : Catalogue, optional
    history : float
        Seconds before the first look from which records are told as well.
    state : path, optional
        File that keeps boot and sequence number, so that a restarted agent goes on where it was; nothing is kept by default.
    read : callable
        As `os.read`; for tests.

    Raises
    ------
    Unsupported
        There is no ``/dev/kmsg``, or it may not be read.
    """

    def __init__(
        self, root: str | Path = "/", *, node: str = "", clock: Callable[[], float] = time.time, catalogue: Catalogue | None = None,
        history: float = 3600.0, state: str | Path | None = None, read: Callable[[int, int], bytes] = os.read,
    ) -> None:  # fmt: skip
        super().__init__(root, node=node, clock=clock, catalogue=catalogue)
        self.history, self.read = history, read
        self.state = None if state is None else Path(state)
        self._file = _open(self.tree.path("dev/kmsg"))
        self.fold = Fold(self.subject, EVENTS)
        self._boot = self.machine.boot_id
        self._sequence = self._remembered()
        self._known = self._sequence  # what was told before this start
        self._totals = dict.fromkeys(FAMILIES, 0)
        self._lost = 0
        self._rest = ""
        self._nets: dict[str, str] = {}

    def close(self) -> None:
        """Let go of the log; safe to call twice."""
        if self._file >= 0:
            os.close(self._file)
        self._file = -1

    def __del__(self) -> None:
        """Let go of the log where nobody did: agents drop collectors when their settings change."""
        if getattr(self, "_file", -1) >= 0:
            self.close()

    def look(self, now: int) -> Iterable[Message]:
        """Return what was said, oldest first."""
        first = self.tree.looks == 1
        self._nets = interfaces(self.machine) if self.tree.looks % 30 == 1 else self._nets
        before = self._sequence
        records = list(self._records())
        booted = self.machine.booted() if records else None  # the kernel adds up every processor for that file
        for sequence, uptime, text in records:
            at = now if booted is None else min(booted + uptime, now)
            if sequence <= self._known or (first and at < now - int(self.history * SECOND)):
                continue
            said = meaning(text)
            if said is not None:
                self.fold.add(said, at)
        events = self.fold.take()
        self._counts(first=first)
        if self._sequence != before:
            self._remember()
        return events

    def subject(self, said: Said) -> str:
        """Return whom a line is about, by the names that the other sources use."""
        node, parts = self.machine.node, self.machine.parts
        if said.kind == "pcie":
            return f"{self.machine.part(said.part)}/pcie" if said.part in parts else self._below(said.part)
        if said.kind == "nic":
            return self.machine.part(said.part) if said.part in parts else self._nets.get(said.part, f"{node}/{said.part}")
        return self.machine.part(said.part) if said.kind == "gpu" else f"{node}/{said.part}" if said.part else node

    def _below(self, port: str) -> str:
        """Return the link that a port is the upper end of, the port itself if it is several's or nobody's."""
        found = {address(n)[:-2] for n in self.tree.names(f"sys/bus/pci/devices/{port}") if ADDRESS.fullmatch(n)}
        below = f"{found.pop()}.0" if len(found) == 1 else ""
        return f"{self.machine.part(below)}/pcie" if below in self.machine.parts else f"{self.machine.node}/{port}"

    def _counts(self, *, first: bool) -> None:
        """Add totals per family from the first look on, so that the first line of a kind is an increment."""
        for family in FAMILIES:
            if not first:
                self._totals[family] += self.fold.families[family]
            self.samples.add(self.machine.node, "kernel_log_events_total", self._totals[family], family=family, **self.machine.keys)
        self.fold.families.clear()
        self._lost, self.fold.lost = self._lost + self.fold.lost, 0
        self.samples.add(self.machine.node, "kernel_log_records_lost_total", self._lost, **self.machine.keys)

    def _records(self) -> Iterator[tuple[int, int, str]]:
        """Yield (sequence, microseconds since boot, text) of the kernel's own records."""
        for _ in range(RECORDS):
            try:
                data = self.read(self._file, LARGEST)
            except BlockingIOError:
                return
            except BrokenPipeError:
                # The ring went round: what comes next is the oldest that is left.
                self.tree.reject("overrun")
                continue
            except OSError:
                self.tree.reject("unreadable")
                return
            if not data:
                return
            yield from self._parsed(data.decode("utf-8", "replace"))

    def _parsed(self, text: str) -> Iterator[tuple[int, int, str]]:
        *lines, self._rest = (self._rest + text).split("\n")
        self._rest = self._rest[:LARGEST]
        for line in lines:
            if not line or line.startswith(" "):
                continue  # the record's dictionary: device and subsystem
            found = RECORD.match(line)
            if found is None:
                self.tree.reject("bad_line")
                continue
            sequence = int(found[2])
            if self._sequence >= 0 and sequence > self._sequence + 1:
                self._lost += sequence - self._sequence - 1
            self._sequence = max(self._sequence, sequence)
            if int(found[1]) >> 3 == 0:
                yield sequence, int(found[3]), found[4]

    def _remembered(self) -> int:
        """Return the last sequence number that was told in this boot, -1 if none."""
        if self.state is None:
            return -1
        with suppress(OSError, ValueError, AttributeError, RecursionError):
            told = json.loads(self.state.read_text("utf-8")[:4096])
            if told.get("boot_id") == self._boot and isinstance(told.get("sequence"), int):
                return int(told["sequence"])
        return -1

    def _remember(self) -> None:
        if self.state is None:
            return
        try:
            half = self.state.with_name(f"{self.state.name}.partial")
            half.write_text(json.dumps({"boot_id": self._boot, "sequence": self._sequence}), "utf-8")
            half.replace(self.state)
        except OSError:
            self.tree.reject("state_not_written")


def _open(path: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except PermissionError as error:
        raise Unsupported(f"kernel: {path} may not be read: needs root, CAP_SYSLOG, or the sysctl kernel.dmesg_restrict=0") from error
    except OSError as error:
        raise Unsupported(f"kernel: {path} cannot be read ({error.strerror}): needs Linux, and a container that is shown /dev/kmsg") from error
