"""Hand: what other systems would be told of a run, and that nothing but the file named is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from grayscope import plugins
from grayscope.errors import UsageError
from grayscope.incident import Incident
from grayscope.results import ResultsWriter
from grayscope.settings import Settings

SIGNAL = {"metric": "gpu_clock_hertz", "value": 1.8e9, "expected": 2e9, "n_peers": 511}
BAD = Incident("ab12cd34ef56", "n1/gpu3", "n1/gpu3", "gray", "page", "thermal_throttle", 0, 2_000_000, summary="hot",
               evidence=({"subject": "n1/gpu3", "time": 0, "strength": 9.0, "signals": [SIGNAL]},))  # fmt: skip
OVER = Incident("0123456789ab", "n2", "n2", "failed", "ticket", "gpu_lost", 0, 1_000_000, ended=9_000_000, summary="was away")
BLIND = Incident("00ff00ff00ff", "n3", "n3", "unknown", "notice", "silent", 0, 1_000_000, summary="no word")


@pytest.fixture
def results(tmp_path: Path) -> Path:
    writer = ResultsWriter(tmp_path / "results")
    writer.incidents([BAD, OVER, BLIND])
    writer.close({}, {"trace": "t", "input": "digest", "settings": {}, "counts": {}, "versions": {}})
    return tmp_path / "results"


def call(*arguments: object) -> Result:
    return CliRunner().invoke(plugins.load("pipelines", "hand"), [str(a) for a in arguments], catch_exceptions=False, standalone_mode=False)


def test_what_is_open_is_printed_and_the_way_to_pass_it_on_is_not_mixed_into_it(results: Path) -> None:
    done = call(results, "--as", "slurm")
    (line,) = done.stdout.splitlines()
    assert line.startswith("n1\t[grayscope] gpu_clock_hertz gpu3 x0.9 vs 511 peers since 1970-01-01T00:00:00Z\t")
    assert "nothing was sent" in done.stderr


def test_with_all_beginnings_and_ends_come_in_order_of_time(results: Path) -> None:
    events = [json.loads(line) for line in call(results, "--as", "nvsentinel", "--all").stdout.splitlines()]
    assert [(e["nodeName"], e["isHealthy"], e["generatedTimestamp"][-4:]) for e in events] == [
        ("n2", False, ":01Z"), ("n1", False, ":02Z"), ("n2", True, ":09Z"),
    ]  # fmt: skip


def test_dry_run_writes_nothing(results: Path, tmp_path: Path) -> None:
    out = tmp_path / "events.jsonl"
    shown = call(results, "--as", "kubernetes", "--out", out, "--dry-run").stdout
    assert not out.exists()
    assert call(results, "--as", "kubernetes", "--out", out).stdout == ""
    assert out.read_text() == shown


def test_conditions_and_one_node(results: Path) -> None:
    (made,) = [json.loads(line) for line in call(results, "--as", "kubernetes", "--conditions", "--node", "n1").stdout.splitlines()]
    assert made["condition"]["reason"] == "ThermalThrottle"
    with pytest.raises(UsageError, match="--conditions"):
        call(results, "--as", "npd", "--conditions")


@pytest.mark.parametrize(("node", "status", "says"), [("n1", 1, "gpu3 is gray"), ("n2", 0, "no gray failure"), ("n3", 2, "silent")])
def test_a_plugin_of_node_problem_detector(results: Path, node: str, status: int, says: str) -> None:
    done = call(results, "--as", "npd", "--node", node)
    assert done.return_value == status
    assert says in done.stdout
    assert len(done.stdout.strip()) <= 80


def test_live_a_dry_run_prints_what_the_file_would_get(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sinks: Any = __import__("grayscope.pipelines._sinks", fromlist=["sinks_from"])
    (tmp_path / "c.toml").write_text(f'[sinks.slurm]\npath = "{tmp_path}/out"\n')
    for settings, path in ((Settings(), f"{tmp_path}/out"), (Settings(dry_run=True), "-"), (Settings(paths="rules"), f"{tmp_path}/out")):
        found = sinks.sinks_from(settings, path=tmp_path / "c.toml")
        assert [type(s).__name__ for s in found] == ["Listing", "Prometheus", "Slurm"]
        assert found[2].path == path
    assert capsys.readouterr().out == ""
