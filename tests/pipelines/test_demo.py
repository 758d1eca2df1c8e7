from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from grayscope import plugins
from grayscope.tracecheck import validate

PLANTED = {"thermal_throttle", "slow_rank", "hbm_row_spares", "pcie_width"}
DECOYS = {"phase_change", "monitoring_gap", "silent", "driver_reload", "workload_imbalance"}


def test_json_says_what_was_planted_and_what_was_found(tmp_path: Path) -> None:
    arguments = ["--nodes", "4", "--hours", "0.25", "--json", "--out", str(tmp_path / "t")]
    done = CliRunner().invoke(plugins.load("pipelines", "demo"), arguments)
    assert done.exit_code == 0, done.output
    said = json.loads(done.output)
    assert {p["mode"] for p in said["planted"]} == PLANTED
    assert {d["mode"] for d in said["decoys"]} == DECOYS
    assert all(p["delay_s"] >= 0 and p["suspect"] for p in said["planted"] if p["found"])
    assert said["counts"]["late"] == 0
    assert said["counts"]["rows"] > 10_000
    assert validate(tmp_path / "t") == []


def test_the_table_has_a_line_for_every_planted_fault_and_decoy() -> None:
    done = CliRunner().invoke(plugins.load("pipelines", "demo"), ["--nodes", "2", "--hours", "0.25"])
    assert done.exit_code == 0, done.output
    table = done.output[done.output.rindex("first suspect") :]
    assert all(mode in table for mode in PLANTED | DECOYS)
    assert "false pages" in table


def test_too_small_or_too_long_is_refused() -> None:
    for wrong in (["--nodes", "0"], ["--hours", "1000"]):
        assert CliRunner().invoke(plugins.load("pipelines", "demo"), wrong).exit_code == 2


@pytest.mark.slow
@pytest.mark.parametrize("seed", ["1", "2"])
def test_the_default_fleet_is_found_and_its_decoys_do_not_page(seed: str) -> None:
    done = CliRunner().invoke(plugins.load("pipelines", "demo"), ["--json", "--seed", seed])
    said = json.loads(done.output)
    assert [p["mode"] for p in said["planted"] if not p["found"]] == []
    assert all(p["exact"] for p in said["planted"])
    pages = {i["id"] for i in said["false"] if i["severity"] == "page"}
    assert [d["mode"] for d in said["decoys"] if pages & set(d["incidents"])] == []
