"""Replay: the command and the function give the same run; results are written whole; exit codes are what was asked for."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result

import grayscope
from grayscope import plugins
from grayscope.fleet import Fleet
from grayscope.fleet.faults import Fault
from grayscope.results import read_results


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty minutes of a small fleet with one hot GPU."""
    path = tmp_path_factory.mktemp("replay") / "trace"
    Fleet(nodes=4, hours=2 / 3, seed=2, faults=[Fault("n002/gpu3", "thermal_throttle", "gray", 1500.0, strength=0.2)]).write(path)
    return path


def replay(*words: object) -> Result:
    return CliRunner().invoke(plugins.load("pipelines", "replay"), [str(w) for w in words], standalone_mode=False)


@pytest.fixture(scope="module")
def plain(trace: Path) -> Result:
    return replay(trace)


def test_command_and_function_say_the_same(trace: Path, tmp_path: Path) -> None:
    done = replay(trace, "--out", tmp_path / "results", "--scores", "--json")
    run = grayscope.replay(trace, scores=True)
    results = read_results(tmp_path / "results")
    assert [json.loads(line)["subject"] for line in done.stdout.splitlines()] == [i.subject for i in run.found]
    assert "n002/gpu3" in run.incidents["subject"].to_list()
    for frame, table in ((run.verdicts, results.verdicts), (run.incidents, results.incidents), (run.scores, results.scores), (run.coverage, results.coverage)):
        assert table is not None
        assert frame.equals(pl.DataFrame(pl.from_arrow(table)))
    assert results.run["counts"] == run.counts
    assert len(results.run["input"]) == 32
    assert results.run["versions"].keys() >= {"grayscope", "numpy", "numba", "pyarrow"}


def test_each_incident_in_detail_when_asked(trace: Path, plain: Result) -> None:
    told, rows = replay(trace, "--explain").stdout, [json.loads(line) for line in replay(trace, "--explain", "--json").stdout.splitlines()]
    assert told.count("        refuted if: ") == len(rows) > 0
    assert all(f"        {line}" in told for row in rows for line in row["detail"].splitlines())
    (hot,) = (row for row in rows if row["subject"] == "n002/gpu3")
    assert "shown by: n002/gpu3, " in hot["detail"]
    assert hot["evidence"][0]["signals"][0]["n_peers"] > 0
    assert "refuted if" not in plain.stdout


def test_the_exit_code_tells_only_when_asked(trace: Path, plain: Result) -> None:
    assert plain.return_value == 0
    assert replay(trace, "--exit-code").return_value == 1
    assert replay(trace, "--exit-code", "--detectors", "silent").return_value == 0


def test_fewer_accepted_false_pages_say_less(trace: Path) -> None:
    many, few = (grayscope.replay(trace, settings=grayscope_settings(rate)).scores.height for rate in (1000.0, 1e-30))
    assert few <= many


def grayscope_settings(rate: float) -> grayscope.settings.Settings:
    from grayscope.settings import Settings

    return Settings(false_pages_per_1000_gpu_weeks=rate)


def test_an_unknown_detector_names_the_nearest(trace: Path) -> None:
    done = replay(trace, "--detectors", "sloer")
    assert done.exception is not None
    assert "did you mean 'slower'" in str(done.exception)


def test_a_broken_trace_leaves_no_results(trace: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in trace.iterdir():
        (broken / file.name).write_bytes(file.read_bytes() if file.name != "gpu.parquet" else file.read_bytes()[:1000])
    done = replay(broken, "--out", tmp_path / "results")
    assert "gpu.parquet: not a readable Parquet file" in str(done.exception)
    assert not (tmp_path / "results").exists()


def test_info_and_validate(trace: Path) -> None:
    command = plugins.load("pipelines", "trace")
    told = CliRunner().invoke(command, ["info", str(trace), "--json"], standalone_mode=False)
    assert json.loads(told.stdout)["tables"]["gpu"]["subjects"] == 32
    assert "rank" in CliRunner().invoke(command, ["info", str(trace)], standalone_mode=False).stdout
    good = CliRunner().invoke(command, ["validate", str(trace)], standalone_mode=False)
    assert (good.stdout, good.return_value) == ("a valid trace\n", 0)
    bad = CliRunner().invoke(command, ["validate", str(trace.parent), "--json"], standalone_mode=False)
    assert bad.return_value == 1
    assert "trace.json is missing" in json.loads(bad.stdout)[0]
