"""Diskstats: old and new columns, partitions of old kernels, broken lines; any text is read."""

from __future__ import annotations

import math
from pathlib import Path

from hypothesis import given

import grayscope.collectors._diskstats as diskstats  # type: ignore[import-not-found]
from tests.mutations import MANY, mutated_text

OLD = "   8       0 sda 10 1 80 40 20 2 160 60 0 90 100"
NEW = " 259       0 nvme0n1 10 1 80 40 20 2 160 60 0 90 100 5 0 40 3 7 9"


def test_kernels_differ_in_columns_behind_those_that_count() -> None:
    found = diskstats.disks(f"{OLD}\n{NEW}\n   8 1 sda1 1 2 3 4\n   7 0 loop0 1 1 1 1 1 1 1 1 0 1 1\n", lambda _: None)
    assert found == {"sda": (30, 240, 100), "nvme0n1": (30, 240, 100)}


def test_a_broken_line_is_counted() -> None:
    bad: list[str] = []
    assert list(diskstats.disks(f"{OLD[:20]}\n{OLD.replace('160', 'x')}\n{NEW}", bad.append)) == ["nvme0n1"]
    assert bad == ["bad_line", "bad_line"]


def test_nothing_done_and_nothing_known_are_two_answers() -> None:
    idle, busy = diskstats.Disk(5, 40, 9), diskstats.Disk(6, 48, 19)
    assert diskstats.between(idle, idle, 10.0) == (None, 0.0)
    seconds, moved = diskstats.between(busy, idle, 10.0)
    assert seconds is None
    assert math.isnan(moved)


def test_a_captured_file_is_read(shared: Path) -> None:
    bad: list[str] = []
    found = diskstats.disks((shared / "data/fixtures/procfs/fixtures/proc/diskstats").read_text(), bad.append)
    assert {"sda", "sdb", "nvme0n1"} <= found.keys()
    assert bad == []


@MANY
@given(mutated_text(OLD, NEW, f"{OLD}\n{NEW}"))
def test_any_text_is_read(text: str) -> None:
    for name, disk in diskstats.disks(text, lambda _: None).items():
        assert name.isprintable()
        assert min(disk) >= 0
