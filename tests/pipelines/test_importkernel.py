"""Import kernel: the command from log to trace, its options and what it says when they are wrong."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner, Result

import grayscope.pipelines._importkernel as module  # type: ignore[import-not-found]
from grayscope import plugins
from grayscope.errors import GrayscopeError, UsageError
from grayscope.replaying import replay

LINE = "[Sun Feb 23 16:24:18 2025] NVRM: Xid (PCI:0000:9b:00): 119, pid=2024380, name=nvidia-smi, Timeout after 6s of waiting for RPC response"


def call(*arguments: object) -> Result:
    return CliRunner().invoke(plugins.load("pipelines", "import"), [str(a) for a in arguments])


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "dmesg.txt"
    path.write_text(f"{LINE}\n")
    return path


def test_a_log_becomes_a_trace_that_replays(log: Path, tmp_path: Path) -> None:
    out = tmp_path / "t"
    result = call("kernel", log, "--out", out, "--node", "n7", "--zone", "+01:00", "--part", "0000:9b:00=gpu4", "--json")
    assert result.exception is None
    assert json.loads(result.output) == {"files": 1, "lines": 1, "events": 1, "rows": 22, "roster": 2}
    assert [(i.subject, i.state, i.mode) for i in replay(out).found] == [("n7/gpu4", "failed", "gpu_unresponsive")]


@pytest.mark.parametrize(
    ("arguments", "kind", "text"),
    [
        (("--zone", "Mars/Olympus"), UsageError, "expected a zone such as UTC, +01:00 or Europe/Berlin, found 'Mars/Olympus'"),
        (("--zone", "../../etc/passwd"), UsageError, "expected a zone"),
        (("--part", "gpu3"), UsageError, "--part: expected ADDRESS=NAME, found 'gpu3'"),
        (("--part", "x=gpu3"), UsageError, "expected PCI addresses"),
        (("--boot", "yesterday"), UsageError, "expected a time such as"),
        ((), GrayscopeError, "1 lines have local times: name their --zone"),
    ],
)
def test_errors_are_clear_and_leave_nothing(log: Path, tmp_path: Path, arguments: list[str], kind: type[Exception], text: str) -> None:
    error = call("kernel", log, "--out", tmp_path / "t", *arguments).exception
    assert isinstance(error, kind)
    assert text in str(error)
    assert [p.name for p in tmp_path.iterdir()] == ["dmesg.txt"]


def test_zones_have_names_and_distances() -> None:
    assert module.named_zone("-0530").utcoffset(None) == timedelta(hours=-5.5)
    assert module.named_zone("z").utcoffset(None) == timedelta(0)
    assert module.named_zone("Europe/Berlin") == ZoneInfo("Europe/Berlin")


def test_the_help_has_an_example() -> None:
    assert "grayscope import kernel" in call("kernel", "--help").output
    assert "grayscope import kernel" in call("--help").output
