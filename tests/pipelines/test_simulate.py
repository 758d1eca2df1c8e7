from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from grayscope.cli import app
from grayscope.errors import GrayscopeError
from grayscope.trace import Trace
from grayscope.tracecheck import validate


def run(*arguments: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["simulate", *map(str, arguments)])
    said = str(result.exception) if isinstance(result.exception, GrayscopeError) else result.output
    return result.exit_code, said


def test_it_writes_a_valid_trace_and_says_what_is_in_it(tmp_path: Path) -> None:
    code, said = run("--out", tmp_path / "t", "--scenario", "links", "--nodes", "4", "--hours", "0.3", "--acceleration", "50000", "--seed", "2")
    assert code == 0, said
    assert validate(tmp_path / "t") == []
    assert "truth rows" in said.splitlines()[-1]
    trace = Trace.open(tmp_path / "t")
    assert "links" in trace.note
    assert "50000" in trace.note
    assert "seed 2" in trace.note


def test_json_tells_the_same_as_the_trace(tmp_path: Path) -> None:
    code, said = run("--out", tmp_path / "t", "--scenario", "mixed", "--nodes", "4", "--hours", "0.2", "--period", "30", "--acceleration", "50000", "--json")
    assert code == 0, said
    document = json.loads(said)
    truth = Trace.open(tmp_path / "t").truth()
    assert truth is not None
    assert sum(row["rows"] for row in document["truth"]) == truth.num_rows > 0
    assert document["rows"]["gpu"] > 0
    assert (document["nodes"], document["hours"], document["acceleration"]) == (4, 0.2, 50000.0)
    assert Trace.open(tmp_path / "t").periods["gpu"] == 30_000_000


def test_the_list_names_the_scenarios() -> None:
    code, said = run("--list")
    assert code == 0
    assert {line.split()[0] for line in said.splitlines()} == {"null", "mixed", "weak", "links", "memory", "thermal", "correlated", "controls", "scale"}
    assert {row["name"] for row in json.loads(run("--list", "--json")[1])} >= {"scale"}


def test_a_scenario_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("nodes = 2\ngpus = 2\nhours = 0.1\n")
    assert run("--out", tmp_path / "t", "--scenario", path)[0] == 0
    path.write_text("nodez = 2\n")
    code, said = run("--out", tmp_path / "u", "--scenario", path)
    assert code != 0
    assert "nodes" in said
    assert not (tmp_path / "u").exists()


@pytest.mark.parametrize(
    ("arguments", "said"), [((), "--out"), (("--out", "x", "--scenario", "mixd"), "mixed"), (("--out", ".", "--scenario", "null"), "exists")]
)
def test_what_is_wrong_is_said(arguments: tuple[str, ...], said: str) -> None:
    code, output = run(*arguments)
    assert code != 0
    assert said in output
