"""Nvsentinel: CloudEvents, plain events and lists say the same; a clear clears its own check only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grayscope import plugins
from grayscope.brokers.parquet import Parquet
from grayscope.errors import InputError
from grayscope.event import Event
from grayscope.tracewriter import TraceWriter

XID = {
    "version": 1, "agent": "syslog-health-monitor", "componentClass": "GPU", "checkName": "SysLogsXIDError", "isFatal": True, "isHealthy": False,
    "message": "XID 79", "recommendedAction": "RESTART_BM", "errorCode": ["79"], "entitiesImpacted": [{"entityType": "PCI", "entityValue": "0000:3b:00"}],
    "generatedTimestamp": "2026-07-14T10:00:00.123456789Z", "nodeName": "n017", "processingStrategy": "EXECUTE_REMEDIATION",
}  # fmt: skip


def at(minute: int, **fields: Any) -> dict[str, Any]:
    base = {**XID, "checkName": "GpuThermalWatch", "errorCode": [], "entitiesImpacted": [{"entityType": "GPU", "entityValue": "3"}]}
    return {**base, "generatedTimestamp": f"2026-07-14T10:{minute:02d}:00Z", **fields}


def told(path: Path, text: str, **options: Any) -> tuple[list[Event], dict[str, int]]:
    (path / "n9.jsonl").write_text(text)
    with TraceWriter(path / "trace") as writer:
        counts = plugins.collector("nvsentinel", [path / "n9.jsonl"], **options).write(writer)
    return [m for m in Parquet(path / "trace").receive() if isinstance(m, Event)], counts


@pytest.mark.parametrize("form", ["plain", "list", "events", "cloud", "numbers"])
def test_every_form_says_the_same(tmp_path: Path, form: str) -> None:
    cloud = {"specversion": "1.0", "type": "com.nvidia.nvsentinel.health.v1", "id": "6d0c", "data": {"metadata": {"cluster": "prod"}, "healthEvent": XID}}
    document = {"plain": XID, "list": [XID], "events": {"version": "v1", "events": [XID]}, "cloud": cloud, "numbers": {**XID, "recommendedAction": 24}}[form]
    events, counts = told(tmp_path, json.dumps(document))
    assert [(e.subject, e.source, e.code, e.text) for e in events] == [("n017/0000:3b:00.0", "xid", "79", "XID 79")]
    assert events[0].time % 1_000_000 == 123456
    assert counts["rows"] == 21  # a row a minute, some minutes beyond the event


def test_one_check_that_is_content_does_not_clear_another(tmp_path: Path) -> None:
    lines = [at(0), at(1, checkName="GpuMemWatch", isFatal=False), at(2, isHealthy=True), at(3, checkName="GpuMemWatch", isHealthy=True),
             at(4, agent="grayscope")]  # fmt: skip
    events, counts = told(tmp_path, "\n".join(json.dumps(line) for line in lines))
    assert [(e.subject, e.code) for e in events] == [("n017/gpu3", "unhealthy"), ("n017/gpu3", "degraded"), ("n017/gpu3", "healthy")]
    assert counts["rejected: own_output"] == 1


def test_a_clear_of_the_kernel_log_takes_back_what_it_said(tmp_path: Path) -> None:
    events, _ = told(tmp_path, json.dumps([XID, {**XID, "isHealthy": True, "generatedTimestamp": "2026-07-14T11:00:00Z"}]))
    assert [(e.source, e.code) for e in events] == [("xid", "79"), ("health", "reset")]


def test_a_file_that_is_cut_off_keeps_what_came_before(tmp_path: Path) -> None:
    events, counts = told(tmp_path, json.dumps(at(0)) + "\n" + json.dumps(at(1))[:50])
    assert (len(events), counts["rejected: cut_off"]) == (1, 1)


def test_an_event_without_time_or_node_has_the_files(tmp_path: Path) -> None:
    entry = {k: v for k, v in XID.items() if k not in ("generatedTimestamp", "nodeName")}
    events, counts = told(tmp_path, json.dumps(entry), start=5_000_000)
    assert (events[0].time, events[0].subject.partition("/")[0], counts["rejected: no_time"]) == (5_000_000, "n9", 1)


@pytest.mark.parametrize("text", ["", "{}", "[1, 2]", "nonsense", '{"checkName": 3}'])
def test_a_file_without_events_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match="expected health events of NVSentinel"):
        told(tmp_path, text)


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5), lambda x: st.lists(x, max_size=3), max_leaves=6)


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_any_event_is_read_without_a_crash(data: st.DataObject) -> None:
    entry: dict[str, Any] = data.draw(st.sampled_from([dict(XID), at(1)]))
    for key in data.draw(st.lists(st.sampled_from(sorted(XID)), max_size=4)):
        entry[key] = data.draw(JSON | st.just([{"entityType": "NIC", "entityValue": "a/b"}, {"entityType": "NICPort", "entityValue": "\n"}]))
    source: Any = plugins.collector("nvsentinel", ["x"])
    body = bytearray(json.dumps(entry).encode())
    if data.draw(st.booleans()):
        where = data.draw(st.integers(0, len(body) - 1))
        body[where : where + data.draw(st.integers(0, 5))] = data.draw(st.binary(max_size=4))
    events = [e for found in source._events(bytes(body), "f") for e in source.read(found, 0, "n1")]
    assert all(e.subject.startswith("n1") and e.subject.isprintable() and e.text.isprintable() for e in events)
