"""A made node of real size: all host sources see all of it, a scan names what is lost, an agent's recording is a valid trace."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from grayscope import plugins
from grayscope.brokers.rolling import Rolling
from grayscope.tracecheck import validate
from tests.nodetree import USUAL, planted

loops: Any = __import__("grayscope.pipelines._agentloop", fromlist=["Agent"])
configs: Any = __import__("grayscope.pipelines._agentconfig", fromlist=["load_agent"])
HOST = {"drive", "fabric", "host", "memory", "pcie"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "node").mkdir()
    return planted(tmp_path / "node")


def scan(root: Path, *argv: str) -> Result:
    settings = root.parent / "g.toml"
    settings.write_text(f'[agent]\nnode = "n1"\nroot = "{root}"\n')
    return CliRunner().invoke(plugins.load("pipelines", "scan"), ["--config", str(settings), *argv])


def test_a_look_finds_every_part(root: Path) -> None:
    found = json.loads(scan(root, "--json").stdout)
    told = {s["source"]: (s["state"], s["roster"]) for s in found["sources"] if s["source"] in HOST}
    assert told == {
        "drive": ("running", USUAL.drives), "fabric": ("running", USUAL.nics), "host": ("running", 1 + USUAL.fans + USUAL.supplies),
        "memory": ("running", USUAL.controllers), "pcie": ("running", USUAL.gpus + USUAL.nics + USUAL.drives),
    }  # fmt: skip


def test_what_is_lost_is_named(root: Path) -> None:
    (root / "sys/class/hwmon/hwmon4/in1_input").write_text("0\n")
    (root / "sys/class/infiniband/mlx5_3/ports/1/state").write_text("1: DOWN\n")
    (root / "sys/bus/pci/devices/0000:45:00.0/current_link_width").write_text("8\n")
    shown = scan(root).output
    assert [line.split()[:3] for line in shown.splitlines() if line.startswith(("psu ", "pcie_degrade ", "rail_failover "))] == [
        ["psu", "0", "1"], ["pcie_degrade", "8", "16"], ["rail_failover", "7", "8"],
    ]  # fmt: skip
    assert scan(root, "--nagios").exit_code == 1


def test_what_an_agent_records_is_a_valid_trace_with_a_row_per_tick(root: Path, tmp_path: Path) -> None:
    settings = configs.load_agent(None, {}, {"node": "n1", "root": str(root), "disabled": "nccl,steps,slurm,kubernetes,nvml,rocm,kernel"})
    agent, broker = loops.Agent(settings, None), Rolling(tmp_path / "traces", clock=lambda: 1_700_000_000.0)
    agent.configure(settings)
    assert set(agent.lookers) == HOST
    for tick in range(1_700_000_010, 1_700_000_090, 10):
        for looker in agent.lookers.values():
            for message in agent.take(looker.once(float(tick))):
                broker.send(message)
    broker.close()
    (trace,) = (tmp_path / "traces").iterdir()
    assert validate(trace) == []
    import polars as pl

    rows = pl.read_parquet(trace / "pcie.parquet").group_by("subject").len()
    assert set(rows["len"].to_list()) == {8}  # also in the ticks between two readings
