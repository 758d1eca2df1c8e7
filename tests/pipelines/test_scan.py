"""Scan: one look says what is left, what is spent, what is missing, in the words and exit codes that others expect."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from grayscope import plugins

from .scan_sources import parts

__all__ = ["parts"]
ledgers: Any = __import__("grayscope.pipelines._glanceledger", fromlist=["ledger"])


def scan(*argv: str) -> Result:
    return CliRunner().invoke(plugins.load("pipelines", "scan"), ["--node", "n1", *argv])


def ledger(result: Result) -> dict[tuple[str, str, str], tuple[float | None, float | None, str]]:
    return {(x["subject"], x["mechanism"], x["unit"]): (x["left"], x["budget"], x["state"]) for x in json.loads(result.stdout)["ledger"]}


def test_a_machine_that_is_whole(parts: Path) -> None:
    told = scan("--json", "--exit-code")
    assert told.exit_code == 0
    assert json.loads(told.stdout)["troubles"] == []
    found = ledger(told)
    assert found["n1/gpu1", "hbm_row_spares", "rows"] == (512, 512, "ok")
    assert found["n1/gpu1", "hbm_row_spares", "spare rows of the worst bank"] == (8, 8, "ok")
    assert found["n1/gpu1", "nvlink_links", "links"] == (18, 18, "ok")
    assert found["n1", "psu", "spare supplies"] == (1, 1, "ok")
    assert {state for _, _, state in found.values()} == {"ok"}
    assert "nothing is wrong that one look can tell" in scan().output
    assert "hbm_row_spares" not in scan().output
    assert "hbm_row_spares" in scan("--all").output


def test_spent_spares_are_warnings_and_what_calls_itself_broken_is_critical(parts: Path) -> None:
    told = scan("--json", "--exit-code", "--config", str(parts))
    assert told.exit_code == 1
    found = ledger(told)
    assert found["n1/gpu1", "hbm_row_spares", "rows"] == (500, 512, "spent")  # beyond the knee, most of such boards get worse
    assert found["n1/gpu1", "hbm_row_spares", "spare rows of the worst bank"] == (0, 8, "spent")
    assert found["n1/gpu1", "nvlink_links", "links"] == (16, 18, "spent")
    assert found["n1", "psu", "spare supplies"] == (0, 1, "spent")
    assert found["n1/gpu0", "nvlink_links", "links"][2] == "ok"
    troubles = [(t["rank"], t["subject"]) for t in json.loads(told.stdout)["troubles"]]
    assert troubles[:2] == [("critical", "n1/gpu2"), ("critical", "n1/gpu3")]
    assert ("critical", "n1/gpu0") not in troubles  # nine hours ago
    assert sorted(troubles[2:]) == sorted(("warning", s) for s in ("n1", "n1/gpu1", "n1/gpu1", "n1/gpu1", "n1/gpu1"))


def test_nagios(parts: Path) -> None:
    told = scan("--nagios")
    assert (told.exit_code, told.output.count("\n")) == (0, 1)
    assert told.output.startswith("GRAYSCOPE OK - 1 sources, ")
    told = scan("--nagios", "--config", str(parts))
    first = told.output.splitlines()[0]
    assert told.exit_code == 2
    assert first.startswith("GRAYSCOPE CRITICAL - n1/gpu2: gpu_fabric_healthy is 0 | sources=1;;;0 ")
    assert first.count("|") == 1
    assert "off the bus _ gone" in told.output


def test_node_problem_detector(parts: Path) -> None:
    assert (scan("--node-problem-detector").exit_code, scan("--node-problem-detector").output) == (0, "no redundancy is spent\n")
    told = scan("--node-problem-detector", "--config", str(parts))
    assert told.exit_code == 1
    assert told.output.startswith("n1/gpu2 ")
    assert len(told.output.rstrip("\n")) <= 80


def test_nothing_to_look_at_is_unknown_not_healthy(parts: Path) -> None:
    for flag, status in (("--nagios", 3), ("--node-problem-detector", 2)):
        told = scan(flag, "--disable", "parts")
        assert told.exit_code == status
        assert "no source of this machine answers" in told.output


@pytest.mark.parametrize(("shown", "words"), [(5, "the bus shows 5 accelerators, 4 answer"), (4, ""), (0, "")])
def test_what_the_bus_shows_must_answer(parts: Path, tmp_path: Path, shown: int, words: str) -> None:
    for i in range(shown):
        device = tmp_path / f"sys/bus/pci/devices/0000:{i:02x}:00.0"
        device.mkdir(parents=True)
        (device / "vendor").write_text("0x10de\n")
        (device / "class").write_text("0x030200\n")
    output = scan("--config", str(parts)).output
    assert words in output
    assert ("the bus shows" in output) == bool(words)
    if shown:
        output = scan("--config", str(parts), "--disable", "parts").output
        assert f"the bus shows {shown} accelerators ({shown} of NVIDIA) and no source reads them" in output


def test_a_part_is_measured_against_its_siblings_where_nobody_publishes_a_number() -> None:
    values = {"nic": {f"n1/nic{i}": {"nic_port_rate_bytes_per_second": 5e10 if i else 2.5e10, "nic_port_up": float(i > 0)} for i in range(8)}}
    found = {(x.subject, x.mechanism): x for x in ledgers.ledger(values, {})}
    assert found["n1/nic0", "nic_rate"].state == "spent"
    assert found["n1/nic1", "nic_rate"].state == "ok"
    assert found["n1", "rail_failover"].state == "unsure"  # lost, or never cabled
    alone = {"nic": {"n1/nic0": {"nic_port_rate_bytes_per_second": 5e10, "nic_port_up": 1.0}}}
    (line,) = ledgers.ledger(alone, {})  # one port alone is no rail of several
    assert (line.state, math.isnan(line.budget)) == ("unsure", True)
