"""Sinks that write for other systems: their formats hold whatever a name is, their limits too, and nothing that they write drains a node."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from grayscope import plugins
from grayscope.engine import Output
from grayscope.errors import UsageError
from grayscope.handing import Handing, Note
from grayscope.incident import Incident
from grayscope.roster import Roster, RosterRow
from grayscope.sinks import _handed

NAMES = ("slurm", "kubernetes", "nvsentinel", "npd")
HOSTILE = ("n1\nn2", 'n"1', "n'1; scontrol update NodeName=ALL State=DRAIN #", "<script>", "n" * 10_000, "n[1-99]", "ALL", "nodeset", "n1,n2", "../n1", "", ".",
           "n\x00", "nü")  # fmt: skip
SIGNAL = {"metric": 'gpu_clock_hertz{domain="sm"}', "value": 1.8e9, "expected": 2e9, "n_peers": 511, "side": "condition"}
BAD = Incident("ab12", "n1/gpu3", "n1/gpu3", "gray", "page", "thermal_throttle", 0, 6_000_000, summary="n1/gpu3 is gray: hot",
               evidence=({"subject": "n1/gpu3", "signals": [SIGNAL]},))  # fmt: skip
OVER = Incident("ab12", "n1/gpu3", "n1/gpu3", "gray", "page", "thermal_throttle", 0, 6_000_000, ended=9_000_000)
ROSTER = Roster([RosterRow("n1", "node"), RosterRow("n1/gpu3", "gpu", keys={"uuid": "GPU-1", "pci": "00000000:3B:00.0"}), RosterRow("leaf04", "leaf")])


def engine(*there: Incident) -> Any:
    return SimpleNamespace(desk=SimpleNamespace(open={i.id: i for i in there}), align=SimpleNamespace(roster=ROSTER))


def written(name: str, tmp_path: Path, *steps: Incident, **options: Any) -> list[str]:
    sink = plugins.sink(name, str(tmp_path / "new" / "out"), **options)
    running = engine()
    for step in steps:
        sink.see(Output(incidents=(step,)), running, "c")
    sink.close()
    return (tmp_path / "new" / "out").read_text().splitlines()


def test_a_reason_reads_as_administrators_expect_it_and_the_command_changes_no_state(tmp_path: Path) -> None:
    first, second = written("slurm", tmp_path, BAD, OVER)
    node, reason, command = first.split("\t")
    assert (node, reason) == ("n1", "[grayscope] gpu_clock_hertz gpu3 x0.9 vs 511 peers since 1970-01-01T00:00:00Z")
    assert shlex.split(command) == ["scontrol", "update", "NodeName=n1", f"Comment={reason}"]
    assert second.split("\t")[:2] == ["n1", ""]
    assert r"grep -q 'Comment=\[grayscope\]'" in second
    assert "State=" not in first + second


def test_an_event_is_what_the_api_server_takes(tmp_path: Path) -> None:
    first, second = map(json.loads, written("kubernetes", tmp_path, BAD, OVER))
    assert (first["kind"], first["apiVersion"], first["type"], first["reason"]) == ("Event", "v1", "Warning", "ThermalThrottle")
    assert first["involvedObject"] == {"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "n1"}
    assert first["metadata"]["namespace"] == "default"  # where Events of what has no namespace must be
    assert (second["type"], second["reason"], second["message"]) == ("Normal", "ThermalThrottleOver", "n1/gpu3 is as it was (incident ab12)")
    assert first["metadata"]["name"] != second["metadata"]["name"]


def test_a_condition_turns_and_turns_back(tmp_path: Path) -> None:
    first, second = map(json.loads, written("kubernetes", tmp_path, BAD, OVER, conditions=True))
    assert (first["node"], first["condition"]["type"], first["condition"]["status"]) == ("n1", "GrayFailure", "True")
    assert (second["condition"]["status"], second["condition"]["reason"]) == ("False", "NoGrayFailure")


def test_a_health_event_is_only_stored_and_its_end_clears_it(tmp_path: Path) -> None:
    first, second = map(json.loads, written("nvsentinel", tmp_path, BAD, OVER))
    for event in (first, second):
        assert (event["processingStrategy"], event["isFatal"], event["recommendedAction"]) == ("STORE_ONLY", False, "NONE")
        assert event["quarantineOverrides"] == event["drainOverrides"] == {"skip": True}
    assert (first["isHealthy"], second["isHealthy"]) == (False, True)
    same = ("checkName", "nodeName", "entitiesImpacted", "agent", "componentClass")
    assert [first[k] for k in same] == [second[k] for k in same]
    assert {"entityType": "PCI", "entityValue": "0000:3b:00"} in first["entitiesImpacted"]
    assert {"entityType": "GPU_UUID", "entityValue": "GPU-1"} in first["entitiesImpacted"]
    assert all(isinstance(v, str) for v in first["metadata"].values())


def test_the_folder_for_plugins_holds_what_is_true_now(tmp_path: Path) -> None:
    folder = tmp_path / "npd" / "cell-c"
    folder.mkdir(parents=True)
    (folder / "n9.gray").write_text("of an earlier run\n")
    sink, running = plugins.sink("npd", str(tmp_path / "npd"), clock=lambda: 0.0), engine(BAD)
    sink.see(Output(), running, "c")
    assert sorted(p.name for p in folder.iterdir()) == ["alive", "n1.gray"]
    assert (folder / "n1.gray").read_text() == "gpu3 is gray: thermal_throttle, gpu_clock_hertz x0.9 vs 511 peers\n"
    sink.see(Output(incidents=(OVER,)), running, "c")
    assert sorted(p.name for p in folder.iterdir()) == ["alive"]
    sink.see(Output(incidents=(BAD,)), running, "c")
    sink.leave("c")
    assert sorted(p.name for p in folder.iterdir()) == ["alive"]


def test_writers_of_one_folder_leave_each_other_alone(tmp_path: Path) -> None:
    first, second = (plugins.sink("npd", str(tmp_path)) for _ in range(2))
    first.see(Output(), engine(BAD), "c")
    second.see(Output(), engine(), "../d")
    plugins.sink("npd", str(tmp_path)).hand([OVER], None, Handing("ticket", by_node=True))
    assert plugin(tmp_path, "n1")[0] == 1
    second.leave("../d")
    assert plugin(tmp_path, "n1")[0] == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cell-..%2Fd", "cell-c"]


def test_a_problem_of_a_cell_that_fell_silent_is_unknown(tmp_path: Path) -> None:
    first, second = (plugins.sink("npd", str(tmp_path)) for _ in range(2))
    first.see(Output(), engine(BAD), "c")
    second.see(Output(), engine(), "d")
    os.utime(tmp_path / "cell-c" / "alive", (0, 0))
    assert plugin(tmp_path, "n1")[0] == 2
    assert plugin(tmp_path, "n2")[0] == 0


def plugin(folder: Path, node: str) -> tuple[int, str]:
    text = (Path(__file__).parents[2] / "docs/alerting.md").read_text()
    script = re.search(r"```sh\n(#!/bin/sh\n.+?)```", text, re.S)
    assert script is not None
    done = subprocess.run(["sh", "-c", script[1], "plugin", str(folder), node], capture_output=True, text=True, timeout=30)
    return done.returncode, done.stdout


def test_the_documented_plugin_tells_fine_problem_and_unknown_apart(tmp_path: Path) -> None:
    assert plugin(tmp_path, "n1")[0] == 2
    sink = plugins.sink("npd", str(tmp_path))
    sink.see(Output(), engine(BAD), "c")
    assert plugin(tmp_path, "n1") == (1, "gpu3 is gray: thermal_throttle, gpu_clock_hertz x0.9 vs 511 peers\n")
    assert plugin(tmp_path, "n2")[0] == 0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("node", HOSTILE)
def test_hostile_names_break_no_format(name: str, node: str) -> None:
    sink = plugins.sink(name, "-")
    n = Note("ab\n" * 50, node, f"{node}/gpu3\n'\"", "page", "gray", "m\n';`reboot`" * 999, 0, 6, "x\n'$(reboot)" * 999, 1.0, 2.0, 7, 1.0,
             "s\n'\"<script>\u2028\ud800" * 999, {"uuid": "u\n" * 999, "pci": "p\n"})  # fmt: skip
    for over in (False, True):
        line = sink.line(n, over)
        assert "\n" not in line
        assert "\r" not in line
        if name in ("kubernetes", "nvsentinel") and line:
            json.dumps(json.loads(line), ensure_ascii=False).encode()  # no half a character either
        if name == "nvsentinel":
            assert len(line) < 12_000
        elif name == "slurm" or node not in ("ALL", "nodeset"):
            assert line == ""  # a name that none of their nodes can have


@pytest.mark.parametrize("name", NAMES)
def test_hostile_words_of_a_good_node_hold_the_limits(name: str) -> None:
    sink = plugins.sink(name, "-")
    n = Note("ab" * 16, "n1", "n1/gpu3\t'\"" + "ü" * 9999, "page", "gray", "m\n';`reboot`" * 999, 0, 6, "x\n'$(reboot)" * 999, 1.0, 2.0, 7, 1.0,
             "sü\n'\"<script>" * 999)  # fmt: skip
    line = sink.line(n, False)
    assert "\n" not in line
    if name == "slurm":
        _, reason, command = line.split("\t")
        assert len(reason.encode()) <= 255
        assert shlex.split(command) == ["scontrol", "update", "NodeName=n1", f"Comment={reason}"]
    if name == "kubernetes":
        event = json.loads(line)
        assert len(event["message"].encode()) <= 1024
        assert event["message"].endswith("(incident " + "ab" * 16 + ")")
        assert re.fullmatch(r"[A-Za-z][A-Za-z0-9]{0,127}", event["reason"])
        assert re.fullmatch(r"[a-z0-9.-]{1,253}", event["metadata"]["name"])
    if name == "npd":
        assert len(line) <= 80
        assert line.isascii()
    if name == "nvsentinel":
        assert len(json.loads(line)["message"]) <= 1024


@pytest.mark.parametrize("name", NAMES)
def test_what_cannot_be_written_is_counted_and_raises_nothing(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    sink = plugins.sink(name, str(tmp_path / "file" / "under"))
    sink.see(Output(incidents=(BAD,)), engine(), "c")
    assert (sink.sent, sink.lost) == (0, 1)
    assert "cannot be written" in sink.said
    sink.see(Output(incidents=(Incident("cd", "leaf04", "leaf04", "gray", "page", "", 0, 0),)), engine(), "c")
    assert "on no node" in sink.said


def test_the_file_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_handed, "MOST", 1000)
    lines = written("slurm", tmp_path, *[BAD, OVER] * 20)
    assert 0 < len(lines) < 40
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == ["out", "out.1"]


def test_after_a_restart_what_is_open_is_written_again_and_once(tmp_path: Path) -> None:
    sink = plugins.sink("slurm", str(tmp_path / "out"))
    running = engine(BAD)
    sink.see(Output(incidents=(BAD,)), running, "c")
    sink.see(Output(), running, "c")
    assert sink.sent == 1
    sink.see(Output(), engine(BAD), "c")
    assert sink.sent == 2


@pytest.mark.parametrize(("name", "path", "options", "says"), [
    ("slurm", 5, {}, "path: expected"), ("slurm", "", {}, "path: expected"), ("npd", "x\0", {}, "path: expected"),
    ("slurm", "x", {"least": "grave"}, "least: expected"), ("kubernetes", "x", {"conditions": "yes"}, "conditions: expected"),
])  # fmt: skip
def test_wrong_options_are_named(name: str, path: Any, options: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        plugins.sink(name, path, **options)
