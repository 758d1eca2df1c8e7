"""Gpud: states, events and metrics of its API become health, events and numbers of the right GPU."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from grayscope import plugins
from grayscope.brokers.parquet import Parquet
from grayscope.errors import InputError
from grayscope.event import Event
from grayscope.replaying import replay
from grayscope.tracewriter import TraceWriter

UUID = "GPU-00000000-1111-2222-3333-444444444444"


def state(component: str, health: str, minute: int, reason: str = "") -> dict[str, Any]:
    entry = {"time": f"2026-08-22T10:{minute:02d}:00Z", "component": component, "name": "", "run_mode": "auto", "health": health, "reason": reason, "error": "",
             "suggested_actions": {"description": "", "repair_actions": ["REBOOT_SYSTEM"]}, "extra_info": {"data": "{}"}, "raw_output": ""}  # fmt: skip
    return {"component": component, "states": [entry]}


def event(component: str, name: str, message: str, minute: int = 0) -> dict[str, Any]:
    entry = {"component": component, "time": f"2026-08-22T10:{minute:02d}:00Z", "name": name, "type": "Fatal", "message": message}
    return {"component": component, "startTime": "2026-08-22T10:00:00Z", "endTime": "2026-08-22T11:00:00Z", "events": [entry]}


MACHINE = {"machineID": "x", "hostname": "n017", "gpuInfo": {"product": "H100", "gpus": [{"uuid": UUID, "busID": "0000:3b:00.0", "minorID": "5"}]}}
METRICS = [
    {"component": "accelerator-nvidia-ecc", "metrics": [
        {"unix_seconds": 1787393520000 + 60_000 * i, "name": "accelerator_nvidia_ecc_volatile_total_corrected", "labels": {"uuid": UUID}, "value": v}
        for i, v in enumerate((3, 8))]},
    {"component": "x", "metrics": [{"unix_seconds": 1787393520, "name": "of_nobody", "labels": {}, "value": 1},
                                   {"unix_seconds": 1787393520, "name": "accelerator_nvidia_nvlink_crc_errors", "labels": {"uuid": UUID}, "value": None}]},
]  # fmt: skip


def write(path: Path, **files: Any) -> list[Path]:
    for name, document in files.items():
        (path / f"n017-{name}.json").write_text(document if isinstance(document, str) else json.dumps(document))
    return sorted(path.glob("n017-*"))


def told(path: Path, **files: Any) -> tuple[list[Event], dict[str, int]]:
    with TraceWriter(path / "trace") as writer:
        counts = plugins.collector("gpud", write(path, **files)).write(writer)
    return [m for m in Parquet(path / "trace").receive() if isinstance(m, Event)], counts


def test_counters_belong_to_the_numbered_gpu(tmp_path: Path) -> None:
    _, counts = told(tmp_path, machine=MACHINE, metrics=METRICS)
    frame = pl.read_parquet(tmp_path / "trace" / "gpu.parquet")
    assert frame["subject"].to_list() == ["n017/gpu5"] * 2
    assert frame["accelerator_nvidia_ecc_volatile_total_corrected"].to_list() == [3, 8]
    assert frame["time"].dt.timestamp("us").to_list() == [1787393520000000, 1787393580000000]
    assert (counts["rejected: unknown"], counts["rejected: not_a_number"]) == (1, 1)


def test_events_name_the_gpu_by_what_is_known(tmp_path: Path) -> None:
    messages = ["XID 79 on GPU PCI:0000:3b:00", f"xid(94) {UUID}", "SXid: 12028 on switch", "XID 13 (GPU 0000:5e:00.0)"]
    events, _ = told(tmp_path, machine=MACHINE, events=[event("accelerator-nvidia-error-xid", "error_xid", m, i) for i, m in enumerate(messages)])
    assert [(e.subject, e.source, e.code) for e in events] == [
        ("n017/gpu5", "xid", "79"), ("n017/gpu5", "xid", "94"), ("n017", "sxid", "12028"), ("n017/0000:5e:00.0", "xid", "13")]  # fmt: skip


def test_the_worst_component_is_the_nodes_health_told_when_it_changes(tmp_path: Path) -> None:
    said = [("a", "Healthy", 0), ("a", "Unhealthy", 1), ("b", "Degraded", 2), ("a", "Unhealthy", 3), ("a", "Healthy", 4), ("b", "Initializing", 5),
            ("b", "Healthy", 6)]  # fmt: skip
    events, counts = told(tmp_path, states=[state(c, h, m, f"because {m}") for c, h, m in said])
    assert [(e.code, e.text) for e in events] == [("unhealthy", "a: because 1"), ("degraded", "because 2"), ("healthy", "b: because 6")]
    assert counts["rejected: no_health"] == 1


def test_info_holds_all_of_it_and_a_port_that_flaps_is_a_link(tmp_path: Path) -> None:
    info = {**state("a", "Unhealthy", 1), **event("a", "ib_port_flap", "mlx5_3 port 1 down", 2)}
    events, _ = told(tmp_path, info=[{"component": "a", "startTime": "", "endTime": "", "info": info}])
    assert [(e.subject, e.source, e.code) for e in events] == [("n017", "health", "unhealthy"), ("n017/mlx5_3", "link", "down")]


def test_the_command_makes_a_trace_that_replays(tmp_path: Path) -> None:
    files = write(tmp_path, machine=MACHINE, metrics=METRICS, states=[state("a", "Unhealthy", 12, "row remap failed")])
    made = CliRunner().invoke(plugins.load("pipelines", "import"), ["gpud", *map(str, files), "--out", str(tmp_path / "t"), "--json"])
    assert made.exit_code == 0, made.output
    assert json.loads(made.stdout)["events"] == 1
    found = replay(tmp_path / "t").found
    assert [(i.subject, i.state) for i in found] == [("n017", "failed")]


@pytest.mark.parametrize("text", ["{}", "[3]", "no json", '[{"a": 1}]'])
def test_what_is_no_answer_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match="expected"):
        told(tmp_path, states=text)


def test_captured_files_of_other_kinds_are_refused_politely(shared: Path, tmp_path: Path) -> None:
    """gpud's own test data hold no answer of its API: lists of block devices and the like."""
    for path in sorted((shared / "data/fixtures/gpud").rglob("*.json")):
        with pytest.raises(InputError, match="expected"), TraceWriter(tmp_path / path.stem) as writer:
            plugins.collector("gpud", [path]).write(writer)


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6)
JSON = st.recursive(LEAVES, lambda x: st.lists(x, max_size=3), max_leaves=5)
EVENTS = [event("xid", "error_xid", f"XID 79 {UUID}"), event("a", "ib_port_drop", "mlx5_0")]
ANSWERS: list[Any] = [MACHINE, *METRICS, state("a", "Unhealthy", 1, "XID 79"), *EVENTS]


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_any_answer_is_read_without_a_crash(data: st.DataObject) -> None:
    answer = json.loads(json.dumps(data.draw(st.sampled_from(ANSWERS))))
    for _ in range(data.draw(st.integers(0, 3))):
        place: Any = answer
        while isinstance(place, (dict, list)) and place:
            key = data.draw(st.sampled_from(sorted(place))) if isinstance(place, dict) else data.draw(st.integers(0, len(place) - 1))
            if not isinstance(place[key], (dict, list)) or data.draw(st.booleans()):
                place[key] = data.draw(JSON)
                break
            place = place[key]
    source: Any = plugins.collector("gpud", ["x"])
    source._machine("n1", answer.get("gpuInfo"))
    events = [e for time, node, read in source._told([("n1", 0, answer)]) for e in read(time, node)]
    assert all(e.subject.startswith("n1") and e.subject.isprintable() and e.text.isprintable() for e in events)
