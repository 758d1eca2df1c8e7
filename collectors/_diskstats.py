"""Diskstats: the kernel's counts of reads and writes per disk; from two looks, how long one took and how much was moved."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

#: Bytes of a sector in these counts, whatever the disk's own is; operations that make a mean.
SECTOR, LEAST = 512, 1
LINES = 4096
#: What is part of something else, or memory.
VIRTUAL = ("loop", "ram", "zram", "sr", "fd", "dm-", "md", "nbd")


class Disk(NamedTuple):
    """Totals of one disk since boot: operations and sectors, and the milliseconds that all operations took together."""

    operations: int
    sectors: int
    milliseconds: int


def disks(text: str, reject: Callable[[str], None]) -> dict[str, Disk]:
    r"""Return the totals of every real disk and partition by name; a line that is none is counted.

    Columns (Linux, admin-guide/iostats): major, minor, name, reads, merged, sectors, ms, writes, merged, sectors, ms, in flight, ms, weighted ms;
    later kernels add discards and flushes, which are not counted as work.

    Examples
    --------
    >>> disks("   8       0 sda 10 1 80 40 20 2 160 60 0 90 100\n", print)
    {'sda': Disk(operations=30, sectors=240, milliseconds=100)}
    """
    found = {}
    for line in text.splitlines()[:LINES]:
        words = line[:1024].split()
        numbers = [w for w in words[3:11] if w.isascii() and w.isdigit() and len(w) < 21]
        if len(words) < 11 or len(numbers) != 8 or not words[2].isprintable():
            # Partitions of old kernels have four columns.
            if len(words) != 7:
                reject("bad_line")
            continue
        if not words[2].startswith(VIRTUAL):
            reads, _, read, read_ms, writes, _, written, write_ms = map(int, numbers)
            found[words[2]] = Disk(reads + writes, read + written, read_ms + write_ms)
    return found


def between(before: Disk, after: Disk, seconds: float) -> tuple[float | None, float]:
    """Return (mean seconds per operation, bytes per second); None where nothing was done, NaN where a count fell.

    Examples
    --------
    >>> between(Disk(0, 0, 0), Disk(10, 20480, 50), 10.0)
    (0.005, 1048576.0)
    """
    operations, sectors, milliseconds = (b - a for a, b in zip(before, after, strict=True))
    if seconds <= 0 or min(operations, sectors, milliseconds) < 0:
        return None, float("nan")
    return (milliseconds / operations * 1e-3 if operations >= LEAST else None), sectors * SECTOR / seconds
