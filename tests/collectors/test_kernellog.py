"""Kernellog: logs in files become a trace that says what is wrong; times without a date, boots, zones, hostile files."""

from __future__ import annotations

import gzip
import json
import os
from datetime import UTC
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings

from grayscope import plugins
from grayscope.errors import GrayscopeError, InputError, UsageError
from grayscope.replaying import replay
from grayscope.tracewriter import TraceWriter
from tests.mutations import MANY, mutated_text

CHANGED = 1_740_400_000
ISO = "kern  :warn  : 2025-02-24T12:{0:02}:00,000000+00:00 {1}"
LOST = "NVRM: Xid (PCI:0000:91:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus."
UUID = "NVRM: GPU at PCI:0000:91:00: GPU-b6c3b2be-c55b-d076-fa0e-d464e4c7e08b"


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    os.utime(path, (CHANGED, CHANGED))
    return path


def imported(tmp_path: Path, *paths: Path, **more: Any) -> tuple[dict[str, int], list[tuple[Any, ...]]]:
    out = tmp_path / f"t{len(list(tmp_path.iterdir()))}"
    with TraceWriter(out) as writer:
        counts = plugins.collector("kernellog", paths, **more).write(writer)
    found = (
        pl.read_parquet(out / "events.parquet").select(pl.col("time").dt.timestamp("us"), "subject", "source", "code", "count") if counts["events"] else None
    )
    return counts, found.rows() if found is not None else []


def test_the_trace_says_what_is_broken(tmp_path: Path) -> None:
    log = write(tmp_path / "a.log", ISO.format(1, UUID), ISO.format(2, LOST), ISO.format(3, "usb 1-2: New USB device found"))
    with TraceWriter(tmp_path / "t") as writer:
        counts = plugins.collector("kernellog", [log], node="n1", parts={"0000:91:00": "gpu6"}).write(writer)
    assert counts == {"files": 1, "lines": 3, "events": 1, "rows": 22, "roster": 2}
    roster = pl.read_parquet(tmp_path / "t/roster.parquet").filter(pl.col("subject") == "n1/gpu6")
    assert roster.select("table", "node", "serial").rows() == [("gpu", "n1", "GPU-b6c3b2be-c55b-d076-fa0e-d464e4c7e08b")]
    run = replay(tmp_path / "t")
    assert [(i.subject, i.state, i.mode) for i in run.found] == [("n1/gpu6", "failed", "gpu_lost")]


def test_seconds_since_boot_end_with_the_file(tmp_path: Path) -> None:
    log = write(tmp_path / "dmesg", f"[  100.000000] {LOST}", "[  160.000000] usb 1-2: last line")
    counts, found = imported(tmp_path, log)
    assert found == [((CHANGED - 60) * 1_000_000, "node/0000:91:00.0", "xid", "79", 1)]
    assert counts["rejected: assumed_time"] == 1
    assert imported(tmp_path, log, boot=5_000_000)[1][0][0] == 105_000_000


def test_one_boot_ends_where_the_next_begins(tmp_path: Path) -> None:
    log = write(tmp_path / "dmesg", f"[  500.000000] {LOST}", "[  600.000000] end of the first", f"[    1.000000] {LOST}", "[   10.000000] end")
    assert [t // 1_000_000 - CHANGED for t, *_ in imported(tmp_path, log)[1]] == [-110, -9]


def test_lines_without_any_time_are_as_old_as_the_file(tmp_path: Path) -> None:
    counts, found = imported(tmp_path, write(tmp_path / "lines", LOST, LOST))
    assert found == [(CHANGED * 1_000_000, "node/0000:91:00.0", "xid", "79", 2)]
    assert counts["rejected: assumed_time"] == 2


def test_local_times_need_a_zone(tmp_path: Path) -> None:
    log = write(tmp_path / "dmesg", f"[Sun Feb 23 16:24:18 2025] {LOST}")
    with pytest.raises(GrayscopeError, match="kernel: 1 lines have local times: name their --zone"):
        imported(tmp_path, log)
    assert imported(tmp_path, log, zone=UTC)[1][0][0] == 1_740_327_858_000_000


def test_nodes_of_a_journal_keep_their_names(tmp_path: Path) -> None:
    told = {"MESSAGE": LOST, "__REALTIME_TIMESTAMP": "1740327858000001", "_TRANSPORT": "kernel"}
    packed = tmp_path / "journal.json.gz"
    packed.write_bytes(
        gzip.compress(
            "\n".join(json.dumps({**told, "_HOSTNAME": h, **more}) for h, more in (("n2", {}), ("n1", {}), ("n1", {"_TRANSPORT": "stdout"}))).encode()
        )
    )
    counts, found = imported(tmp_path, packed)
    assert [subject for _, subject, *_ in found] == ["n1/0000:91:00.0", "n2/0000:91:00.0"]
    assert (counts["rejected: not_kernel"], counts["rows"], counts["roster"]) == (1, 44, 4)


def test_a_storm_is_few_events(tmp_path: Path) -> None:
    log = write(tmp_path / "storm", *(f"[{n / 1000:12.6f}] NVRM: Xid (PCI:0000:91:00): 95, pid=1, name=x, y" for n in range(20_000)))
    counts, found = imported(tmp_path, log)
    assert counts["lines"] == sum(count for *_, count in found) == 20_000
    assert counts["events"] <= 21


def test_what_cannot_be_read_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "bad.gz").write_bytes(b"\x1f\x8b\x08 not really")
    for path, expected in (
        (tmp_path / "none", "none: cannot be read: No such file"),
        (tmp_path / "bad.gz", r"bad.gz: cannot be read"),
        (tmp_path, "cannot be read: Is a dir"),
    ):
        with pytest.raises(InputError, match=expected):
            imported(tmp_path, path)
    with pytest.raises(UsageError, match="at least one file"):
        plugins.collector("kernellog", [])
    with pytest.raises(UsageError, match="expected PCI addresses"):
        plugins.collector("kernellog", ["x"], parts={"gpu3": "0000:3b:00.0"})


def test_a_line_without_end_is_dropped(tmp_path: Path) -> None:
    counts, found = imported(tmp_path, write(tmp_path / "log", "x" * 1_000_000, ISO.format(2, LOST), "[99999999999999999999.0] NVRM: Xid"))
    assert counts["rejected: long_line"] == 1
    assert len(found) == 1


def test_captured_logs_are_read(tmp_path: Path, shared: Path) -> None:
    gpud = shared / "data/fixtures/gpud"
    nvidia = "components/accelerator/nvidia"
    expected = {"kernel_log_lines.txt": 140, f"{nvidia}/xid/testdata/dmesg-with-xid-119.log": 5, "components/memory/testdata/dmesg.decode.iso.log": 20,
                f"{nvidia}/nccl/testdata/dmesg.decode.iso.log": 0, f"{nvidia}/fabric-manager/testdata/fabricmanager.log": 1,
                "pkg/pstore/testdata/dmesg-erst.txt": 0, "pkg/kmsg/testdata/kmsg.1.log": 0, "pkg/kmsg/testdata/kmsg.2.peermem.log": 0}  # fmt: skip
    for name, events in expected.items():
        if not events:
            with pytest.raises(GrayscopeError, match=r"none of [0-9]+ lines tells of hardware$"):
                imported(tmp_path, gpud / name, zone=UTC)
            continue
        counts, _ = imported(tmp_path, gpud / name, zone=UTC)
        assert counts["events"] == events
        assert {k for k in counts if k.startswith("rejected")} <= {"rejected: assumed_time"}


@settings(MANY, max_examples=500)
@given(
    mutated_text(
        f"[  1.0] {LOST}\n{ISO.format(1, UUID)}\n6,1,2,-;x\n" + '{"MESSAGE": "NVRM: Xid (PCI:0000:91:00): 63", "__REALTIME_TIMESTAMP": "1740327858000001"}\n'
    )
)
def test_any_file_is_read(tmp_path: Path, text: str) -> None:
    path = tmp_path / "log"
    path.write_text(text, "utf-8", "surrogatepass")
    source = plugins.collector("kernellog", [path], zone=UTC)
    source._file(path)
    found = [e for fold in source._folds.values() for e in fold.take()]
    assert all(0 < e.time < 10**16 and e.text.isprintable() for e in found)
    assert source.lines <= text.count("\n") + text.count("\r") + 1
