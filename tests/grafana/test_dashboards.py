"""Dashboards: as generated, as Grafana's own types want them, every query read by promtool, links that lead somewhere."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from grayscope.catalogue import Catalogue
from grayscope.dashboards import NAMES, generate, load, uid
from grayscope.sinks._series import HELP

SCHEMA = Path(__file__).with_name("dashboard.schema.json")
#: What Grafana puts in before it asks.
FILLED = {"$__rate_interval": "2m", "$__all": ".*", "$cluster": ".*", "$mechanism": ".*", "$subject": "n001/gpu0", "$gpu": "n001/gpu0", "$node": "n001"}


def panels(board: dict[str, Any], *, folded: bool = True) -> Iterator[dict[str, Any]]:
    """Yield the panels that ask for something; those in rows that are folded at first only if asked for."""
    for panel in board["panels"]:
        if panel["type"] != "row":
            yield panel
        elif folded or not panel["collapsed"]:
            yield from panel["panels"]


def queries(board: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (panel, expression with the variables filled in)."""
    for panel in panels(board):
        for target in panel["targets"]:
            expr = target["expr"]
            for name, value in FILLED.items():
                expr = expr.replace(name, value)
            yield f"{board['title']}: {panel['title']}", expr


@pytest.mark.parametrize("name", NAMES)
def test_committed_json_is_what_the_generator_makes(name: str) -> None:
    pytest.importorskip("grafana_foundation_sdk", reason="pip install 'grayscope[grafana]'")
    assert generate(name) == generate(name) == json.dumps(load(name), sort_keys=True, indent=1) + "\n", "run: python -m grayscope.dashboards"


@pytest.mark.parametrize("name", NAMES)
def test_grafanas_own_types_accept_it(name: str) -> None:
    validator = jsonschema.Draft7Validator(json.loads(SCHEMA.read_text("utf-8")))
    board = load(name)
    assert [f"{list(e.path)}: {e.message}" for e in validator.iter_errors(board)] == []
    assert not validator.is_valid({**board, "titel": "misspelt"})
    assert board["uid"] == uid(name)


@pytest.mark.parametrize("name", NAMES)
def test_panels_say_what_they_show(name: str) -> None:
    numbers = [p["id"] for top in load(name)["panels"] for p in (top, *top.get("panels", ()))]
    assert len(set(numbers)) == len(numbers)
    for panel in panels(load(name)):
        shown = panel["fieldConfig"]["defaults"]
        assert panel["description"], panel["title"]
        assert shown["unit"], panel["title"]
        assert shown["noValue"], panel["title"]
        assert shown["thresholds"]["steps"], panel["title"]
        assert {t["datasource"]["uid"] for t in panel["targets"]} == {"${datasource}"}


@pytest.mark.parametrize("name", NAMES)
def test_variables_used_are_variables_there(name: str) -> None:
    board = load(name)
    known = {v["name"] for v in board["templating"]["list"]}
    used = {v for _, e in queries(board) for v in re.findall(r"\$(\w+)", e)}
    used |= {v for p in panels(board) for t in p["targets"] for v in re.findall(r"\$([a-z]\w*)", t["expr"])}
    assert used <= known
    assert "datasource" in known


def test_what_is_asked_for_has_a_name_that_is_known() -> None:
    known = {m.name.partition("{")[0] for m in Catalogue.load().metrics.values()} | set(HELP)
    asked = {m for n in NAMES for _, e in queries(load(n)) for m in re.findall(r"\b([a-z]+_[a-z_]+)(?=[{\[) ])(?! ?\()", re.sub(r'"[^"]*"', '""', e))}
    asked -= {"label_replace", "clamp_max", "quantile", "avg_over_time", "job_id", "group_left", "gpu_subject"}
    assert asked - known == set()
    assert {"drive_latency_seconds", "gpu_clock_hertz", "grayscope_subject_state"} <= asked


def test_links_lead_to_dashboards_that_are_there() -> None:
    led = {m for n in NAMES for m in re.findall(r"/d/([\w-]+)", json.dumps(load(n)))}
    assert led
    assert led <= {uid(n) for n in NAMES}
    assert all(load(n)["links"][0]["tags"] == load(n)["tags"] for n in NAMES)


def test_promtool_reads_every_query(server: Callable[[str, str], str], tmp_path: Path) -> None:
    promtool = server("promtool", "prometheus")
    asked = [q for n in NAMES for q in queries(load(n))]
    rules = [{"record": f"asked:{i}", "expr": expr} for i, (_, expr) in enumerate(asked)]
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "asked", "rules": rules}]}))  # JSON is YAML
    done = subprocess.run([promtool, "check", "rules", str(tmp_path / "rules.yml")], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(asked)} rules found" in done.stdout
