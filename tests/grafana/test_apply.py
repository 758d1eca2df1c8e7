"""grafana apply: in place once, twice the same, a person's changes kept, every failure one line; the same against a real server."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner, Result

from grayscope import plugins
from grayscope.cli import main
from grayscope.dashboards import NAMES, load, load_rules, uid
from tests.grafana.conftest import Place
from tests.grafana.contract import TOKEN, Contract


def applied(at: Place | Contract, *options: str, code: int = 0) -> Result:
    result = CliRunner().invoke(plugins.load("pipelines", "grafana"), ["apply", "--url", at.url, *options], env={"GRAYSCOPE_GRAFANA_TOKEN": at.token})
    assert result.exit_code == code, result.output + repr(result.exception)
    return result


def steps(at: Place | Contract, *options: str) -> dict[str, dict[str, Any]]:
    found = json.loads(applied(at, "--json", *options).stdout)
    return {s["name"]: s for s in found["steps"] if s["kind"] == "dashboard"}


def done(at: Place | Contract, *options: str) -> set[str]:
    return {s["done"] for s in steps(at, *options).values()}


def stopped(at: Contract, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    with pytest.raises(SystemExit) as error:
        main(["grafana", "apply", "--url", at.url, "--token", at.token, "--timeout", "1", *options])
    told = capsys.readouterr()
    assert error.value.code == 2
    assert at.token not in told.err + told.out
    assert len(told.err.strip().splitlines()) == 1, told.err
    return told.err


def persons_title(grafana: Place, name: str, title: str) -> None:
    """Save a dashboard as the page in a browser does: with no word about why."""
    board = grafana.api.ask("GET", f"/dashboards/uid/{uid(name)}")["dashboard"]
    grafana.api.ask("POST", "/dashboards/db", {"dashboard": {**board, "title": title}, "folderUid": "grayscope", "overwrite": False})


def title(grafana: Place, name: str) -> str:
    return str(grafana.api.ask("GET", f"/dashboards/uid/{uid(name)}")["dashboard"]["title"])


def test_in_place_once_and_twice_the_same(grafana: Place) -> None:
    assert done(grafana) == {"created"}
    for name in NAMES:
        board = grafana.api.ask("GET", f"/dashboards/uid/{uid(name)}")
        assert board["meta"]["folderUid"] == "grayscope"
        assert board["dashboard"]["title"] == load(name)["title"]
    assert done(grafana) == {"same"}
    assert board["dashboard"]["version"] == grafana.api.ask("GET", f"/dashboards/uid/{uid(name)}")["dashboard"]["version"]


def test_twice_writes_nothing(contract: Contract) -> None:
    applied(contract)
    rules = ["POST /api/v1/provisioning/alert-rules"] * len(load_rules())
    assert contract.wrote() == ["POST /api/folders"] + ["POST /api/dashboards/db"] * len(NAMES) + rules
    contract.calls.clear()
    assert "+" not in applied(contract, "--exit-code").stdout
    assert contract.wrote() == []


def test_a_dry_run_shows_all_and_writes_nothing(contract: Contract) -> None:
    shown = applied(contract, "--dry-run", "--exit-code", code=1).stdout
    assert sum(line.startswith("+ dashboard") for line in shown.splitlines()) == len(NAMES)
    assert contract.wrote() == []
    assert contract.token not in shown


def test_what_a_person_saved_is_kept_and_named_until_forced(grafana: Place) -> None:
    applied(grafana)
    persons_title(grafana, "fleet", "Our fleet")
    shown = applied(grafana, "--exit-code", code=1).stdout
    assert "! dashboard grayscope / Fleet: saved by" in shown
    assert "--force" in shown
    assert '-"title": "Our fleet"' in shown
    assert title(grafana, "fleet") == "Our fleet"
    forced = steps(grafana, "--force")[load("fleet")["title"]]
    assert (forced["done"], title(grafana, "fleet")) == ("updated", load("fleet")["title"])
    assert done(grafana) == {"same"}


def test_our_own_older_version_is_brought_up_with_the_difference_shown(grafana: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    older = {**load("node"), "title": "grayscope / Node, as it was"}
    monkeypatch.setattr("grayscope.pipelines._grafanaapply.load", lambda name: older if name == "node" else load(name))
    applied(grafana)
    monkeypatch.undo()
    step = steps(grafana)[load("node")["title"]]
    assert step["done"] == "updated"
    assert '-"title": "grayscope / Node, as it was",' in step["diff"]
    assert title(grafana, "node") == load("node")["title"]


def test_somebody_who_saves_meanwhile_wins(contract: Contract, monkeypatch: pytest.MonkeyPatch) -> None:
    older = {**load("node"), "description": "old"}
    monkeypatch.setattr("grayscope.pipelines._grafanaapply.load", lambda name: older)
    applied(contract)
    monkeypatch.undo()
    contract.fail("POST", "/api/dashboards/db", 412)
    found = steps(contract)
    assert sorted(s["done"] for s in found.values()).count("kept") == 1
    assert "just now" in next(s["why"] for s in found.values() if s["done"] == "kept")


def test_a_stale_version_is_refused_by_the_test_server_too(contract: Contract) -> None:
    applied(contract)
    board = contract.state.boards[uid("fleet")][-1]["data"]
    assert contract.state.save([], {}, {"dashboard": {**board, "version": 0}})[0] == 412
    assert contract.state.save([], {}, {"dashboard": {**board, "version": 0}, "overwrite": True})[0] == 200


def test_provisioned_dashboards_are_left_to_their_files(contract: Contract) -> None:
    applied(contract)
    contract.state.provisioned.add(uid("fleet"))
    assert "files" in steps(contract, "--force")[load("fleet")["title"]]["why"]


def test_a_moved_dashboard_stays_where_a_person_put_it(contract: Contract, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("grayscope.pipelines._grafanaapply.load", lambda name: {**load(name), "description": "old"})
    applied(contract)
    monkeypatch.undo()
    contract.state.folders["ours"] = {"uid": "ours", "title": "Ours"}
    contract.state.boards[uid("fleet")][-1]["folder"] = "ours"
    applied(contract)
    assert contract.state.boards[uid("fleet")][-1]["folder"] == "ours"
    assert len(contract.state.boards[uid("fleet")]) == 2


def test_a_folder_of_that_title_is_a_clear_error(contract: Contract, capsys: pytest.CaptureFixture[str]) -> None:
    contract.state.folders["x"] = {"uid": "x", "title": "grayscope"}
    assert "--folder" in stopped(contract, capsys)
    applied(contract, "--folder", "Gray failures")
    assert contract.state.folders["grayscope"]["title"] == "Gray failures"


def test_the_data_source_is_found_or_asked_for(contract: Contract, capsys: pytest.CaptureFixture[str]) -> None:
    contract.state.sick = "connection refused"
    assert "connection refused" in applied(contract).stdout
    contract.state.sources = [{"uid": u, "name": n, "type": "prometheus"} for u, n in (("a", "one"), ("b", "two"))]
    assert "one, two" in stopped(contract, capsys)
    assert "two" in applied(contract, "--datasource", "b").stdout
    assert "'three'" in stopped(contract, capsys, "--datasource", "three")
    contract.state.sources = [{"uid": "l", "name": "logs", "type": "loki"}]
    assert "found none" in stopped(contract, capsys)


@pytest.mark.parametrize("what", [401, 403, 404, 409, 429, 500, "silent", "half", "dropped", "page", "elsewhere", "odd"])
def test_each_failure_is_one_line_and_running_again_finishes(contract: Contract, capsys: pytest.CaptureFixture[str], what: int | str) -> None:
    contract.fail("POST", "/api/dashboards/db", what, 3)
    assert f"127.0.0.1:{contract.server_port}" in stopped(contract, capsys)
    contract.faults.clear()
    assert done(contract) <= {"created", "same"}
    assert set(contract.state.boards) == {uid(n) for n in NAMES}


def test_a_wrong_token_says_where_to_make_one(contract: Contract, capsys: pytest.CaptureFixture[str]) -> None:
    contract.token = "another"
    with pytest.raises(SystemExit):
        main(["grafana", "apply", "--url", contract.url, "--token", TOKEN])
    told = capsys.readouterr().err
    assert "Service accounts" in told
    assert TOKEN not in told
