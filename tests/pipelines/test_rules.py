"""Rules: promtool reads them, they fire where they should and nowhere else."""

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
from grayscope.errors import UsageError
from grayscope.settings import load_settings

BASE = "https://w.example/r"
UP = {'grayscope_build_info{cluster="c",version="1"}': "1x240"}
INFO = 'grayscope_incident_info{{cluster="c",cell="",instance="{2}",incident="ab",severity="{0}",urgency="{1}",subject="n1/gpu0",state="{3}",mode="psu"}}'


def written(tmp_path: Path, *more: str) -> Path:
    told = CliRunner().invoke(plugins.load("pipelines", "rules"), ["--out", str(tmp_path / "o"), "--runbooks", BASE + "/", *more])
    assert told.exit_code == 0, told.output
    return tmp_path / "o" / "grayscope.rules.yml"


def info(severity: str, state: str, urgency: str = "", instance: str = "a") -> str:
    return INFO.format(severity, urgency, instance, state)


#: name -> (series, alert, minute, labels of all that fire; none: it must not).
CASES: dict[str, tuple[dict[str, str], str, int, list[dict[str, str]]]] = {
    "dead": ({}, "GrayscopeDead", 10, [{"severity": "page"}]),
    "alive": (UP, "GrayscopeDead", 10, []),
    "dead, not yet": ({}, "GrayscopeDead", 4, []),
    "still": ({'grayscope_last_tick_timestamp_seconds{cluster="c",cell="0"}': "0x40"}, "GrayscopeStill", 15,
              [{"severity": "page", "cluster": "c", "cell": "0"}]),
    "ticking": ({'grayscope_last_tick_timestamp_seconds{cluster="c",cell="0"}': "0+30x40"}, "GrayscopeStill", 15, []),
    "behind": ({'grayscope_lag_messages{cluster="c",instance="i"}': "20000x40"}, "GrayscopeBehind", 10,
               [{"severity": "ticket", "cluster": "c", "instance": "i"}]),
    "catching up": ({'grayscope_lag_messages{cluster="c",instance="i"}': "20000x4 0x40"}, "GrayscopeBehind", 10, []),
    "slow": ({'grayscope_tick_duration_seconds{cluster="c",cell="0"}': "9x60"}, "GrayscopeSlow", 20, [{"severity": "ticket", "cluster": "c", "cell": "0"}]),
    "quick": ({'grayscope_tick_duration_seconds{cluster="c",cell="0"}': "0.1x60"}, "GrayscopeSlow", 20, []),
    "coverage": ({'grayscope_coverage_ratio{cluster="c",cell="0",table="gpu",metric="m"}': "0.2x60",
                  'grayscope_coverage_ratio{cluster="c",cell="0",table="nic",metric="m"}': "1x60"}, "GrayscopeCoverageLost", 20,
                 [{"severity": "ticket", "cluster": "c", "cell": "0", "table": "gpu"}]),
    "covered": ({'grayscope_coverage_ratio{cluster="c",cell="0",table="gpu",metric="m"}': "0.9x60"}, "GrayscopeCoverageLost", 20, []),
    "unseen": ({'grayscope_subject_state{cluster="c",table="gpu",subject="a",state="unknown"}': "1x60"}, "GrayscopeUnseen", 20,
               [{"severity": "notice", "cluster": "c", "table": "gpu"}]),
    "seen": ({'grayscope_subject_state{cluster="c",table="gpu",subject="a",state="gray"}': "1x60"}, "GrayscopeUnseen", 20, []),
    "rejects": ({'grayscope_rejected_messages_total{cluster="c"}': "0x4 5x20"}, "GrayscopeRejects", 5, [{"severity": "ticket", "cluster": "c"}]),
    "rejects nothing": ({'grayscope_rejected_messages_total{cluster="c"}': "7x40"}, "GrayscopeRejects", 5, []),
    "lost": ({'grayscope_alerts_lost_total{cluster="c",sink="am"}': "0x4 5x20"}, "GrayscopeAlertsLost", 5,
             [{"severity": "page", "cluster": "c", "sink": "am"}]),
    "sent": ({'grayscope_alerts_lost_total{cluster="c",sink="am"}': "3x40"}, "GrayscopeAlertsLost", 5, []),
}  # fmt: skip
IDENTITY = {"cluster": "c", "incident": "ab"}
FAULT_CASES: dict[str, tuple[dict[str, str], str, int, list[dict[str, str]]]] = {
    "gray": ({info("page", "gray"): "_x3 1x40"}, "GrayFailure", 3, [{**IDENTITY, "severity": "page"}]),
    "gray, seen by two": ({info("page", "gray"): "1x40", info("page", "gray", "", "b"): "1x40"}, "GrayFailure", 3, [{**IDENTITY, "severity": "page"}]),
    "gray, not yet": ({info("page", "gray"): "_x20 1x40"}, "GrayFailure", 3, []),
    "gray, eased": ({info("page", "gray"): "1x2 stale", info("page", "masked"): "_x2 1x40"}, "GrayFailure", 10, [{**IDENTITY, "severity": "page"}]),
    "gray is over": ({info("page", "gray"): "1x2 stale"}, "GrayFailure", 10, []),
    "gray is no ticket": ({info("page", "gray"): "1x40"}, "MaskedRedundancy", 10, []),
    "soon": ({info("ticket", "masked", "short"): "1x40"}, "MaskedRedundancy", 3, [{**IDENTITY, "severity": "ticket", "urgency": "short"}]),
    "some day": ({info("ticket", "masked", "long"): "1x40"}, "MaskedRedundancy", 8, [{**IDENTITY, "severity": "ticket", "urgency": "long"}]),
    "some day, not yet": ({info("ticket", "masked", "long"): "1x40"}, "MaskedRedundancy", 3, []),
    "failed": ({info("ticket", "failed"): "1x40"}, "Failed", 3, [{**IDENTITY, "severity": "ticket"}]),
    "failed after gray": ({info("page", "failed"): "1x40"}, "Failed", 3, [{**IDENTITY, "severity": "page"}]),
    "a notice": ({info("notice", "unknown"): "1x40"}, "Failed", 3, []),
}


def expected(alert: str, labels: list[dict[str, str]], words: dict[str, dict[str, str]]) -> list[dict[str, Any]]:
    return [{"exp_labels": x, "exp_annotations": words[f"{alert} {x['severity']} {x.get('urgency', '')}"]} for x in labels]


def objections(
    command: str, rules: Path, cases: dict[str, tuple[dict[str, str], str, int, list[dict[str, str]]]], words: dict[str, dict[str, str]]
) -> str:  # fmt: skip
    """Return what promtool finds wrong with what the rules say of these series, nothing if they say what is expected."""
    tests = [
        {"name": name, "interval": "30s", "input_series": [{"series": s, "values": v} for s, v in series.items()],
         "alert_rule_test": [{"eval_time": f"{minute}m", "alertname": alert, "exp_alerts": expected(alert, labels, words)}]}
        for name, (series, alert, minute, labels) in cases.items()
    ]  # fmt: skip
    page = rules.with_name("test.json")
    page.write_text(json.dumps({"rule_files": [str(rules)], "evaluation_interval": "30s", "tests": tests}))
    told = subprocess.run([command, "test", "rules", str(page)], capture_output=True, text=True, timeout=120)
    return told.stdout + told.stderr if told.returncode else ""


@pytest.mark.parametrize("paths", ["push", "rules"])
def test_promtool_reads_them(server: Callable[[str, str], str], tmp_path: Path, paths: str) -> None:
    rules = written(tmp_path, "--paths", paths)
    told = subprocess.run([server("promtool", "prometheus"), "check", "rules", str(rules)], capture_output=True, text=True, timeout=60)
    assert told.returncode == 0, told.stderr
    assert f"{len(HEALTH) + (len(FAULTS) if paths == 'rules' else 0)} rules found" in told.stdout
    assert rules.read_text().count(f'runbook_url: "{BASE}/') == rules.read_text().count("alert: ")


def test_own_health_is_told_when_it_is_bad_and_only_then(server: Callable[[str, str], str], tmp_path: Path) -> None:
    said = {
        "GrayscopeDead page ": ("grayscope does not run", "#dead"),
        "GrayscopeStill page ": ("grayscope judges nothing in c, cell 0", "#still"),
        "GrayscopeBehind ticket ": ("grayscope is behind in c", "#behind"),
        "GrayscopeSlow ticket ": ("grayscope is slow in c", "#behind"),
        "GrayscopeCoverageLost ticket ": ("Telemetry of gpu is missing in c", "#coverage"),
        "GrayscopeUnseen notice ": ("1 of gpu in c send no data", "#coverage"),
        "GrayscopeRejects ticket ": ("grayscope cannot read messages in c", "#rejected"),
        "GrayscopeAlertsLost page ": ("Alerts to am are lost in c", "#lost"),
    }
    long = {
        "GrayscopeDead page ": HEALTH[0].description,
        "GrayscopeStill page ": "The newest tick is 15m 0s old: nothing arrives, or the detector is far behind.",
        "GrayscopeBehind ticket ": "20k messages wait to be read by i.",
        "GrayscopeSlow ticket ": "A tick takes 9s; soon it will be behind.",
        "GrayscopeCoverageLost ticket ": "Of one metric only 20% of what is expected arrives; what is not seen cannot be judged.",
        "GrayscopeUnseen notice ": HEALTH[5].description,
        "GrayscopeRejects ticket ": "5 in 15 minutes; they are kept aside with the reason.",
        "GrayscopeAlertsLost page ": HEALTH[7].description,
    }
    words = {k: {"summary": s, "description": long[k], "runbook_url": f"{BASE}/own/health.md{a}"} for k, (s, a) in said.items()}
    assert not objections(server("promtool", "prometheus"), written(tmp_path), CASES, words)


def test_faults_are_told_once_each_by_severity_and_urgency(server: Callable[[str, str], str], tmp_path: Path) -> None:
    says = {
        f"{r.name} {r.severity} {u}": r.summary.rpartition("}} ")[2]
        for r in FAULTS
        for u in [next((u for u in ("short", "long") if f'urgency="{u}"' in r.expr), "")]
    }
    about = "psu: open the incident's dashboard, or ask grayscope for incident ab."
    words = {k: {"summary": f"n1/gpu0 {text}", "description": about, "runbook_url": f"{BASE}/psu.md"} for k, text in says.items()}
    rules = written(tmp_path, "--paths", "rules")
    assert not objections(server("promtool", "prometheus"), rules, FAULT_CASES, words)
    nameless = {series.replace("psu", ""): value for series, value in FAULT_CASES["gray"][0].items()}
    words = {k: {**w, "description": about.replace("psu", "mode unknown"), "runbook_url": f"{BASE}/README.md"} for k, w in words.items()}
    assert not objections(server("promtool", "prometheus"), rules, {"nameless": (nameless, *FAULT_CASES["gray"][1:])}, words)


def test_a_rule_that_fires_in_the_wrong_place_would_be_noticed(server: Callable[[str, str], str], tmp_path: Path) -> None:
    assert objections(server("promtool", "prometheus"), written(tmp_path), {"wrong": ({}, "GrayscopeDead", 10, [])}, {})


def test_every_rule_has_a_case_that_fires_and_one_that_does_not() -> None:
    firing, silent = ({alert for _, alert, _, labels in (CASES | FAULT_CASES).values() if bool(labels) == fires} for fires in (True, False))
    assert firing == silent == {r.name for r in (*HEALTH, *FAULTS)}


def test_own_health_has_a_page_with_what_to_do() -> None:
    page = (Path(__file__).parents[2] / "docs/runbooks/own/health.md").read_text("utf-8").lower()
    for rule in HEALTH:
        name, _, anchor = rule.runbook.partition("#")
        assert name == "own/health.md"
        assert f"## {anchor}\n" in page
        assert rule.name.lower() in page


def test_the_settings_say_which_and_a_wrong_word_is_named(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text('paths = "rules"\n')
    assert "GrayFailure" in written(tmp_path, "--config", str(tmp_path / "c.toml")).read_text()
    assert "GrayFailure" not in written(tmp_path, "--config", str(tmp_path / "c.toml"), "--paths", "push").read_text()
    with pytest.raises(UsageError, match="paths: expected push or rules, found 'both'"):
        load_settings(environ={"GRAYSCOPE_PATHS": "both"})


def test_alertmanager_takes_the_routing(server: Callable[[str, str], str], tmp_path: Path) -> None:
    routing = written(tmp_path).with_name("alertmanager.yml")
    told = subprocess.run([server("amtool", "prometheus-alertmanager"), "check-config", str(routing)], capture_output=True, text=True, timeout=60)
    assert told.returncode == 0, told.stdout + told.stderr
    assert "2 inhibit rules" in told.stdout
