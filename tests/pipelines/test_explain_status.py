from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from grayscope import plugins
from grayscope.cli import main
from grayscope.explaining import explain
from grayscope.incident import Incident
from grayscope.ledger import Entry
from grayscope.results import ResultsWriter
from grayscope.verdict import Verdict

SECOND = 1_000_000
WIDTH = Incident("ab12cd34ef56", "n1/gpu0/pcie", "n1/gpu0/pcie", "gray", "page", "pcie_width", SECOND, 2 * SECOND, summary="half the lanes")
OVER = Incident("0123456789ab", "n2", "n2", "unknown", "notice", "silent", SECOND, 2 * SECOND, ended=9 * SECOND, summary="was away")


@pytest.fixture
def results(tmp_path: Path) -> Path:
    writer = ResultsWriter(tmp_path / "results")
    writer.incidents([WIDTH, OVER])
    writer.ledger([Entry(SECOND, "n1/gpu0/pcie", "pcie_degrade", 16, 8, 8, "lanes"), Entry(SECOND, "n3", "psu", 2, 0, 2, "supplies")])
    said = [("n1/gpu0/pcie", "gray", "normal"), ("n2", "unknown", "normal"), ("n2", "normal", "unknown")]
    writer.verdicts([Verdict(n * SECOND, subject, state, before, 9.0, "w", SECOND) for n, (subject, state, before) in enumerate(said)])
    writer.close({}, {"trace": "t", "input": "digest", "settings": {}, "counts": {}, "versions": {}})
    return tmp_path / "results"


def call(name: str, *arguments: object) -> Result:
    return CliRunner().invoke(plugins.load("pipelines", name), [str(a) for a in arguments], catch_exceptions=False, standalone_mode=False)


@pytest.mark.parametrize("name", [WIDTH.id, "ab12", "n1/gpu0/pcie", "n1/gpu0", "n1"])
def test_an_incident_is_found_by_id_subject_or_what_holds_it(results: Path, name: str) -> None:
    text = call("explain", name, "--results", results).stdout
    assert "half the lanes" in text
    assert "left: pcie_degrade: 8 of 16 lanes" in text
    assert "was away" not in text


def test_explained_for_a_machine(results: Path) -> None:
    (told,) = [json.loads(line) for line in call("explain", "n2", "--results", results, "--json").stdout.splitlines()]
    assert told["id"] == OVER.id
    assert told["detail"] == explain(OVER)


def test_a_subject_without_incident_is_answered_with_the_nearest(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["explain", "n1/gpu0/pcje", "--results", str(results)])
    assert end.value.code == 2
    assert "n1/gpu0/pcie" in capsys.readouterr().err


def test_status_tells_who_is_not_normal_what_is_open_and_what_runs_out(results: Path) -> None:
    told = json.loads(call("status", "--results", results, "--json").stdout)
    assert told["not_normal"] == {"n1/gpu0/pcie": "gray"}
    assert told["states"] == {"gray": 1}
    assert [i["id"] for i in told["open"]] == [WIDTH.id]
    assert [(e["subject"], e["left"]) for e in told["ledger"]] == [("n1/gpu0/pcie", 8.0)]
    text = call("status", "--results", results).stdout
    assert "1 gray; 1 incidents open" in text
    assert "was away" not in text
    assert "8 of 16 lanes" in text


def test_status_exits_with_what_a_script_can_ask_for(results: Path) -> None:
    assert call("status", "--results", results).return_value == 0
    assert call("status", "--results", results, "--exit-code").return_value == 1


def test_an_empty_run_is_all_normal(tmp_path: Path) -> None:
    ResultsWriter(tmp_path / "r").close({}, {"trace": None})
    assert "all normal; 0 incidents open" in call("status", "--results", tmp_path / "r").stdout
    with pytest.raises(Exception, match="no incident at all"):
        call("explain", "n1", "--results", tmp_path / "r")
