"""Roster: the command shows each key with the source whose word holds, and what others say instead."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from grayscope import plugins
from grayscope.roster import RosterRow
from grayscope.tracewriter import TraceWriter

NODES = json.dumps(
    {"items": [{"kind": "Node", "metadata": {"name": "n1", "labels": {"network.topology.nvidia.com/leaf": "l9", "topology.kubernetes.io/zone": "a"}}}]}
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "nodes.json").write_text(NODES)
    (tmp_path / "racks.csv").write_text("subject,leaf\nn1,l4\n")
    (tmp_path / "jobs.txt").write_text("JobId=43 JobName=a\n   JobState=RUNNING Reason=None\n   NodeList=n1\n     Nodes=n1 Mem=0 GRES=gpu:8(IDX:0-1)\n")
    with TraceWriter(tmp_path / "trace") as writer:
        writer.roster([RosterRow("n1/gpu0", "gpu", keys={"serial": "S0"})])
        writer.rows("gpu", np.array([0]), ["n1/gpu0"], {"gpu_power_watts": np.array([300.0])})
    return tmp_path


def run(folder: Path, *more: str) -> str:
    argv = ["show", "--kubernetes", str(folder / "nodes.json"), "--file", str(folder / "racks.csv"), "--slurm", str(folder / "jobs.txt"),
            "--trace", str(folder / "trace"), *more]  # fmt: skip
    told = CliRunner().invoke(plugins.load("pipelines", "roster"), argv)
    assert told.exit_code == 0, told.output
    return told.stdout


def test_precedence_is_visible(folder: Path) -> None:
    lines = [" ".join(line.split()) for line in run(folder).splitlines()]
    assert "leaf l4 file; kubernetes says l9" in lines
    assert "zone a kubernetes" in lines
    assert "job 43 slurm" in lines
    assert "serial S0 trace" in lines


def test_json_and_patterns(folder: Path) -> None:
    (found,) = json.loads(run(folder, "n1/gpu0", "--json"))
    assert found["keys"]["leaf"] == {"value": "l4", "source": "file of n1", "others": [{"source": "kubernetes of n1", "value": "l9"}]}
    assert found["keys"]["job"]["source"] == "slurm"
    assert found["table"] == "gpu"


def test_a_broken_source_is_named_and_the_rest_goes_on(folder: Path) -> None:
    (folder / "racks.csv").write_text("rack\n1\n")
    told = CliRunner().invoke(plugins.load("pipelines", "roster"), ["show", "--file", str(folder / "racks.csv"), "--kubernetes", str(folder / "nodes.json")])
    assert "racks.csv: line 1: expected names of columns" in told.stderr
    assert "l9" in told.stdout


def test_the_machines_own_sources_are_asked_without_any_option() -> None:
    told = CliRunner().invoke(plugins.load("pipelines", "roster"), ["show", "nobody-is-called-this", "--json"])
    assert (told.exit_code, json.loads(told.stdout)) == (0, [])
