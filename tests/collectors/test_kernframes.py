"""Kernframes: every way to write down when a line was said; who is not the kernel is not believed."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given

import grayscope.collectors._kernframes as kernframes  # type: ignore[import-not-found]
from tests.mutations import MANY, mutated_text

T = 1_740_327_858  # 2025-02-23T16:24:18Z
LATEST = datetime(2025, 3, 1, tzinfo=UTC)
JOURNAL = {"MESSAGE": "NVRM: x", "__REALTIME_TIMESTAMP": "1740327858000001", "_BOOT_ID": "b1", "_HOSTNAME": "n017", "_TRANSPORT": "kernel"}
#: Line, time in microseconds, uptime in microseconds, node.
GOOD = [
    ("6,3964,206764307,-;NVRM: x", None, 206_764_307, ""),
    ("6,3964,206764307,c,caller=T1;NVRM: x", None, 206_764_307, ""),
    ("[ 1234.567890] NVRM: x", None, 1_234_567_890, ""),
    ("[ 1234.567890][  T77] NVRM: x", None, 1_234_567_890, ""),
    ("<6>[    2.96] NVRM: x", None, 2_960_000, ""),
    ("<6>NVRM: x", None, None, ""),
    ("[Sun Feb 23 16:24:18 2025] NVRM: x", T * 1_000_000, None, ""),
    ("[Feb 23 2025 16:24:18] NVRM: x", T * 1_000_000, None, ""),
    ("kern  :warn  : 2025-02-23T16:24:18,285060+00:00 NVRM: x", T * 1_000_000 + 285_060, None, ""),
    ("2025-02-23T17:24:18,285060+01:00 NVRM: x", T * 1_000_000 + 285_060, None, ""),
    ("2025-02-23T16:24:18.285060789Z n017 kernel: [ 12.5] NVRM: x", T * 1_000_000 + 285_060, None, "n017"),
    ("2025-02-23T16:24:18+0000 n017 kernel: NVRM: x", T * 1_000_000, None, "n017"),
    ("Feb 23 16:24:18 n017 kernel: [ 12.5] NVRM: x", T * 1_000_000, None, "n017"),
    ("<4>Feb 23 16:24:18 n017 kernel: NVRM: x", T * 1_000_000, None, "n017"),
    ("<4>1 2025-02-23T16:24:18Z n017 kernel - - - NVRM: x", T * 1_000_000, None, "n017"),
    (json.dumps(JOURNAL), T * 1_000_000 + 1, None, "n017"),
    (json.dumps({**JOURNAL, "MESSAGE": list(b"NVRM: x"), "_TRANSPORT": "syslog", "SYSLOG_IDENTIFIER": "nv-fabricmanager"}), T * 1_000_000 + 1, None, "n017"),
    ("NVRM: x", None, None, ""),
]  # fmt: skip


@pytest.mark.parametrize(("line", "time", "uptime", "node"), GOOD)
def test_a_frame_is_read(line: str, time: int | None, uptime: int | None, node: str) -> None:
    frame = kernframes.Frames(UTC, LATEST).read(line)
    assert (frame.text, frame.time, frame.uptime, frame.node) == ("NVRM: x", time, uptime, node)


@pytest.mark.parametrize(("line", "why"), [
    ("14,1,2,-;NVRM: Xid by a user", "not_kernel"), ("user  :warn  : 2025-02-23T16:24:18,285060+00:00 NVRM: x", "not_kernel"),
    ("Feb 23 16:24:18 n017 logger: NVRM: x", "not_kernel"), ("Feb 23 16:24:18 n017 logger[12]: kernel: NVRM: x", "not_kernel"),
    ("<4>1 2025-02-23T16:24:18Z n017 app - - - NVRM: x", "not_kernel"), ("2025-02-23T16:24:18+00:00 n017 app[3]: NVRM: x", "not_kernel"),
    (json.dumps({**JOURNAL, "_TRANSPORT": "syslog"}), "not_kernel"), (json.dumps({**JOURNAL, "source": "grayscope"}), "own_output"),
    ("{broken", "bad_json"), ("[" * 5, ""), ('{"MESSAGE": null}', "bad_json"), ('{"a": ' * 5000, "bad_json"),
    ("[Sun Feb 30 16:24:18 2025] x", "bad_time"), ("[Sun Xyz 23 16:24:18 2025] x", "bad_time"), ("2025-13-23T16:24:18,285060+00:00 x", "bad_time"),
])  # fmt: skip
def test_a_line_is_refused_with_a_reason(line: str, why: str) -> None:
    frames = kernframes.Frames(UTC, LATEST)
    if not why:
        assert frames.read(line).text == line
        return
    with pytest.raises(kernframes.Refused, match=f"^{why}$"):
        frames.read(line)


def test_a_local_time_needs_a_zone() -> None:
    line = "[Sun Feb 23 16:24:18 2025] x"
    with pytest.raises(kernframes.Refused, match="no_zone"):
        kernframes.Frames().read(line)
    west = timezone(-timedelta(hours=5))
    assert kernframes.Frames(west).read(line).time == (T + 5 * 3600) * 1_000_000


def test_a_time_without_a_year_is_the_last_one_before_the_end_of_the_log() -> None:
    frames = kernframes.Frames(UTC, datetime(2025, 1, 2, tzinfo=UTC))
    times = [datetime.fromtimestamp(frames.read(f"{day} 10:00:00 n1 kernel: x").time / 1e6, UTC).year for day in ("Dec 31", "Jan  1", "Jan  3", "Jan  4")]
    assert times == [2024, 2025, 2025, 2024] or times == [2024, 2025, 2024, 2024]


@MANY
@given(mutated_text(*(line for line, *_ in GOOD)))
def test_any_line_is_read_or_refused(line: str) -> None:
    try:
        frame = kernframes.Frames(UTC, LATEST).read(line)
    except kernframes.Refused as refused:
        why = str(refused)
    else:
        why = ""
        assert "/" not in frame.node
    assert why in ("", "not_kernel", "own_output", "bad_json", "bad_time")
