"""A simulated trace says how much too often each of its faults was planted, and `grayscope score` weighs precision back by it."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from grayscope.cli import app
from grayscope.fleet import Fault, Fleet
from grayscope.fleet.draw import faster
from grayscope.fleet.scenario import Mess, Scenario
from grayscope.fleet.simulation import Simulation
from grayscope.trace import Trace
from grayscope.tracecheck import validate

SCENARIO = Scenario(
    "rates", nodes=4, gpus=4, hours=1.5, seed=3, acceleration=50.0, speed={"slow_rank": 4.0, "cpu_contention": 5.0, "slow_silicon": 2.0},
    mess=Mess(missing=0.0, skew_s=0.0),
)  # fmt: skip


def test_rows_carry_the_factor_of_the_mode_that_drew_them(tmp_path: Path) -> None:
    faults = (
        Fault("n001/gpu0", "slow_rank", "gray", 600.0, None, 0.3), Fault("n002", "cpu_contention", "benign", 600.0, 1200.0, 0.1),
        Fault("n001/gpu1", "slow_silicon", "gray", 0.0, None, 0.3), Fault("n001/gpu2", "ecc_burst", "masked", 0.0, None, 9.0, 50.0, by="batch_defect"),
    )  # fmt: skip
    Simulation(SCENARIO, faults).write(tmp_path / "t")
    assert validate(tmp_path / "t") == []
    truth = Trace.open(tmp_path / "t").truth()
    assert truth is not None
    found = {r["mode"]: (r["x-acceleration"], r["note"].rpartition(" [")[2]) for r in truth.to_pylist()}
    assert found == {
        "slow_rank": (200.0, "200 x base rate]"), "cpu_contention": (5.0, "5 x base rate]"), "slow_silicon": (2.0, "2 x base rate]"),
        "ecc_burst": (50.0, "50 x base rate]"),
    }  # fmt: skip
    assert faster("slow_rank", SCENARIO) == 200.0


def test_a_trace_without_acceleration_has_no_such_column(tmp_path: Path) -> None:
    Fleet(nodes=2, gpus=2, hours=0.1, faults=[Fault("site", "monitoring_gap", "benign", 60, 120)]).write(tmp_path / "t")
    assert "x-acceleration" not in pq.read_schema(tmp_path / "t" / "truth.parquet").names


def test_score_prints_precision_at_base_rates_on_a_simulated_trace(tmp_path: Path) -> None:
    faults = (Fault("n001/gpu0", "slow_rank", "gray", 600.0, None, 0.4), Fault("n002/gpu1/pcie", "pcie_width", "masked", 900.0, None, 8.0))
    Simulation(SCENARIO, faults).write(tmp_path / "t")
    for words in (["replay", str(tmp_path / "t"), "--out", str(tmp_path / "r")], ["score", str(tmp_path / "t"), str(tmp_path / "r")]):
        said = CliRunner().invoke(app, words, catch_exceptions=False)
        assert said.exit_code == 0, said.output
    assert "precision at base rates" in said.output
    shown = CliRunner().invoke(app, ["score", str(tmp_path / "t"), str(tmp_path / "r"), "--json"], catch_exceptions=False)
    figures = json.loads(shown.output)["overall"]
    assert figures["found"] >= 1
    assert figures["precision_at_base_rates"] is not None
    false = figures["false"]
    weights = 1 / 200 * (figures["found"] == 1) + (1 / 200 + 1 / 50) * (figures["found"] == 2)
    if not false:
        assert figures["precision_at_base_rates"] == pytest.approx(1.0)
    else:
        assert weights > 0
        assert figures["precision_at_base_rates"] < figures["precision"]
