"""Alert rules in Grafana: the same content as for Prometheus, in place once, a person's changes kept, a contact point only if named."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from grayscope import plugins
from grayscope.alertrules import FAULTS, HEALTH
from grayscope.dashboards import generate_rules, load, load_rules
from tests.grafana.conftest import Place
from tests.grafana.contract import Contract
from tests.grafana.test_apply import applied, stopped

RULES = "/v1/provisioning/alert-rules"


def steps(at: Place | Contract, *options: str, kind: str = "rule") -> dict[str, dict[str, Any]]:
    found = json.loads(applied(at, "--json", *options).stdout)
    return {s["name"]: s for s in found["steps"] if s["kind"] == kind}


def done(at: Place | Contract, *options: str) -> set[str]:
    return {s["done"] for s in steps(at, *options).values()}


def test_committed_rules_are_what_the_generator_makes() -> None:
    pytest.importorskip("grafana_foundation_sdk", reason="pip install 'grayscope[grafana]'")
    assert generate_rules() == json.dumps(load("rules"), sort_keys=True, indent=1) + "\n", "run: python -m grayscope.dashboards"


def test_they_are_the_rules_of_prometheus() -> None:
    assert (len(load_rules()), len(load_rules("rules"))) == (len(HEALTH), len(HEALTH + FAULTS))
    assert [r["data"][0]["model"]["expr"] for r in load_rules()] == [r.expr for r in HEALTH]
    made = load_rules("rules")
    assert len({r["uid"] for r in made}) == len({r["title"] for r in made}) == len(made)
    assert "$value " not in json.dumps(made)
    assert "query (" not in json.dumps(made)  # no such function in Grafana's templates
    assert all({a: r["labels"].get(a) for a in ("severity", *f.labels)} == {"severity": f.severity, **f.labels}
               for r, f in zip(made, HEALTH + FAULTS, strict=True))  # fmt: skip


def test_promtool_reads_every_expression(server: Callable[[str, str], str], tmp_path: Path) -> None:
    asked = [{"record": f"asked:{i}", "expr": r["data"][0]["model"]["expr"]} for i, r in enumerate(load_rules("rules"))]
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "asked", "rules": asked}]}))
    run = [server("promtool", "prometheus"), "check", "rules", str(tmp_path / "rules.yml")]
    assert subprocess.run(run, capture_output=True, timeout=60, check=False).returncode == 0


def test_in_place_once_and_twice_the_same(grafana: Place) -> None:
    assert done(grafana, "--paths", "rules") == {"created"}
    there = grafana.api.ask("GET", f"{RULES}/grayscope-dead")
    assert there["folderUID"] == "grayscope"
    assert there["data"][0]["datasourceUid"] not in ("", "${datasource}")
    assert "notification_settings" not in there
    assert done(grafana, "--paths", "rules") == {"same"}


def test_what_a_person_changed_is_kept_until_forced(grafana: Place) -> None:
    applied(grafana)
    there = grafana.api.ask("GET", f"{RULES}/grayscope-dead")
    there = {k: v for k, v in there.items() if k not in ("updated", "id", "provenance")}
    grafana.api.ask("PUT", f"{RULES}/grayscope-dead", {**there, "for": "30m"}, headers={"X-Disable-Provenance": "true"})
    kept = steps(grafana)["GrayscopeDead"]
    assert (kept["done"], grafana.api.ask("GET", f"{RULES}/grayscope-dead")["for"]) == ("kept", "30m")
    assert "--force" in kept["why"]
    assert steps(grafana, "--force")["GrayscopeDead"]["done"] == "updated"
    assert grafana.api.ask("GET", f"{RULES}/grayscope-dead")["for"] == "5m"
    assert done(grafana) == {"same"}


def test_what_we_wrote_is_brought_up(grafana: Place) -> None:
    applied(grafana)
    changed = steps(grafana, "--runbooks", "https://wiki.example/r/")
    assert {s["done"] for s in changed.values()} == {"updated"}
    assert grafana.api.ask("GET", f"{RULES}/grayscope-dead")["annotations"]["runbook_url"].startswith("https://wiki.example/r/")


def test_a_contact_point_is_used_or_made_only_if_named(contract: Contract, capsys: pytest.CaptureFixture[str]) -> None:
    assert steps(contract, "--contact-point", "oncall", kind="contact point")["oncall"]["done"] == "same"
    assert {r["notification_settings"]["receiver"] for r in contract.state.rules.values()} == {"oncall"}
    assert "found oncall" in stopped(contract, capsys, "--contact-point", "nobody")
    shown = applied(contract, "--contact-point", "new", "--contact-webhook", "http://r.example/hook?key=s3cret").stdout
    assert "+ contact point new" in shown
    assert "s3cret" not in shown
    assert [p["name"] for p in contract.state.points] == ["oncall", "new"]
    assert not [c for c in contract.calls if "polic" in c[1]]
    assert "--contact-point" in stopped(contract, capsys, "--contact-webhook", "http://r.example")


def test_as_files_they_say_the_same(tmp_path: Path) -> None:
    asked = ["files", "--out", str(tmp_path), "--datasource", "prom1", "--paths", "rules", "--runbooks", "https://w.example/"]
    assert CliRunner().invoke(plugins.load("pipelines", "grafana"), asked).exit_code == 0
    groups = json.loads((tmp_path / "alerting" / "grayscope.yaml").read_text())["groups"]
    written = [r for g in groups for r in g["rules"]]
    assert [r["uid"] for r in written] == [r["uid"] for r in load_rules("rules")]
    assert {r["data"][0]["datasourceUid"] for r in written} == {"prom1"}
    assert all(r["annotations"]["runbook_url"].startswith("https://w.example/") for r in written)
    assert "${" not in json.dumps(groups)


def test_without_rules_none_is_asked_for(contract: Contract) -> None:
    applied(contract, "--no-rules")
    assert not [c for c in contract.calls if "alert-rules" in c[1]]


@pytest.mark.parametrize("what", [403, 500, "half"])
def test_failures_are_one_line_and_running_again_finishes(contract: Contract, capsys: pytest.CaptureFixture[str], what: int | str) -> None:
    contract.fail("POST", "/api/v1/provisioning/alert-rules", what, 3)
    stopped(contract, capsys)
    contract.faults.clear()
    assert done(contract) <= {"created", "same"}
    assert len(contract.state.rules) == len(HEALTH)
