"""Inspector: every version's lines; what is no record is counted, never raised."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given

import grayscope.collectors._ncclinspector as inspecting  # type: ignore[import-not-found]
from tests.mutations import MANY, mutated

HEADER = {"id": "0x9f3a", "comm_name": "unknown", "rank": 5, "n_ranks": 16, "nnodes": 2}
META = {
    "inspector_output_format_version": "v4.0",
    "git_rev": "",
    "rec_mechanism": "nccl_profiler_interface",
    "dump_timestamp_us": 1,
    "hostname": "n017",
    "pid": 42,
}
BODY = {"coll": "AllReduce", "coll_sn": 1201, "coll_msg_size_bytes": 268435456, "coll_exec_time_us": 1480, "coll_timing_source": "kernel_gpu",
        "coll_algobw_gbs": 181.4, "coll_busbw_gbs": 340.1}  # fmt: skip
P2P = {"p2p": "Send", "p2p_sn": 9, "p2p_peer": 6, "p2p_msg_size_bytes": 4096, "p2p_exec_time_us": 80, "p2p_timing_source": "kernel_gpu", "p2p_busbw_gbs": 20}
TRACE = {"coll_start_ts": 1752867229235059, "coll_stop_ts": 1752867229235064, "kernel_events": [
    {"channel_id": 0, "kernel_start_ts": 1752867229235181, "kernel_stop_ts": 1752867229275811, "kernel_record_ts": 1752867229275811},
    {"channel_id": 1, "kernel_start_ts": 1752867229235180, "kernel_stop_ts": 1752867229275900, "kernel_record_ts": 1752867229275900}]}  # fmt: skip


def reader() -> Any:
    return inspecting.Inspector({})


def line(body: dict[str, Any] | None = None, **more: Any) -> str:
    return json.dumps({"header": HEADER, "metadata": META, **({"coll_perf": {**BODY, **(body or {})}} if body is not None else {}), **more})


def marker(coll: int, p2p: int = 0, **more: int) -> str:
    stats = {"coll_records": coll, "coll_dropped_total": 4, "coll_dropped_since_last_dump": 1, "p2p_records": p2p, "p2p_dropped_total": 2, **more}
    return json.dumps({"header": HEADER, "metadata": {**META, "inspector_output_format_version": "v4.3"}, "dump_stats": stats})


def test_a_short_record() -> None:
    found = reader().read(0, line({}))
    assert found.writer == ("0x9f3a", "", 5, 16, "n017", 42, 2)
    assert found.operation[:7] == ("0x9f3a", 1201, 5, 16, "allreduce", 268435456, 0.00148)
    assert found.operation.bandwidth == pytest.approx(340.1e9)
    assert math.isnan(found.operation.start)
    assert (found.p2p, found.timed) == (False, True)


def test_a_verbose_record_lasts_from_the_first_channel_to_the_last_and_not_to_the_enqueue() -> None:
    found = reader().read(0, line({"event_trace_ts": TRACE}))
    assert found.operation.stop - found.operation.start == 40720


def test_older_files_without_name_or_timing_source() -> None:
    body = {k: v for k, v in BODY.items() if k != "coll_timing_source"}
    header = {k: v for k, v in HEADER.items() if k != "comm_name"}
    found = reader().read(0, json.dumps({"header": header, "metadata": META, "coll_perf": body}))
    assert found.timed
    assert found.writer.name == ""


@pytest.mark.parametrize("source", ["kernel_cpu", "collective_cpu", "unknown"])
def test_a_cpu_s_time_is_marked(source: str) -> None:
    assert not reader().read(0, line({"coll_timing_source": source})).timed


def test_a_marker_gives_its_lines_an_owner_per_file() -> None:
    read = reader()
    bare, other = json.dumps({"coll_perf": BODY}), json.dumps({"p2p_perf": P2P})
    assert read.read(1, bare) is None
    assert read.rejected == {"orphan": 1}
    stats = read.read(1, marker(1, 1))
    assert stats.dropped == 6
    assert read.read(2, bare) is None
    assert read.read(1, bare).operation.sequence == 1201
    assert read.read(1, other).p2p
    assert read.read(1, bare) is None
    assert read.rejected == {"orphan": 3}
    read.read(1, marker(0))
    assert read.read(1, bare) is None


def test_proxy_lines_are_counted_off_and_not_used() -> None:
    read = reader()
    read.read(1, marker(1, proxy_records=1))
    assert read.read(1, json.dumps({"proxy_trace": {"record_type": "proxy_op"}})) is None
    assert read.read(1, json.dumps({"coll_perf": BODY})).operation.sequence == 1201
    assert read.rejected == {}


def test_files_that_are_gone_are_forgotten() -> None:
    read = reader()
    read.read(1, marker(5))
    read.forget({1})
    assert read.read(1, json.dumps({"coll_perf": BODY})) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "not_json"), ("[1]", "not_json"), ("[" * 100_000, "not_json"), ("{}", "no_record"), ('{"a": 1}', "no_record"), (line(), "no_record"),
        (line({"coll_exec_time_us": 0}), "bad_field"), (line({"coll_exec_time_us": "x"}), "bad_field"), (line({"coll_exec_time_us": 1e300}), "bad_field"),
        (line({"coll_sn": -1}), "bad_field"), (line({"coll_sn": True}), "bad_field"), (line({"coll_sn": 1 << 70}), "bad_field"),
        (line({}).replace('"rank": 5', '"rank": 16'), "bad_field"), (line({}).replace('"pid": 42', '"pid": "42"'), "bad_field"),
        (line({"event_trace_ts": {"kernel_events": [{}]}}), "bad_field"), ('{"coll_perf": 7, "header": 1, "metadata": 2}', "bad_field"),
    ],
)  # fmt: skip
def test_what_is_no_record_is_counted(text: str, reason: str) -> None:
    read = reader()
    assert read.read(0, text) is None
    assert read.rejected == {reason: 1}


def test_names_from_outside_cannot_leave_their_place() -> None:
    text = line({}).replace("n017", "../n\\u0000").replace("0x9f3a", 'a/\\"}')
    writer = reader().read(0, text).writer
    assert (writer.host, writer.comm) == (".._n_", "a__}")


@MANY
@given(mutated(line({}).encode(), line({"event_trace_ts": TRACE}).encode(), marker(3).encode(), json.dumps({"p2p_perf": P2P}).encode()))
def test_any_line_is_a_record_or_counted(data: bytes) -> None:
    read = reader()
    for text in data.decode("utf-8", "replace").split("\n"):
        found = read.read(0, text)
        if isinstance(found, inspecting.Record):
            op = found.operation
            assert 0 < op.seconds < 1e4
            assert 0 <= op.member < op.size
            assert len(op.comm) <= 100
            assert "/" not in op.comm
