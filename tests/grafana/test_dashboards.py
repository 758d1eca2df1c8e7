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

from grayscope.dashboards import NAMES, generate, load, uid

SCHEMA = Path(__file__).with_name("dashboard.schema.json")
#: What Grafana puts in before it asks.
FILLED = {"$__rate_interval": "2m", "$__all": ".*", "$cluster": ".*", "$mechanism": ".*", "$subject": "n001/gpu0", "$node": "n001"}


def queries(board: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (panel, expression with the variables filled in)."""
    for panel in board["panels"]:
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
    panels = load(name)["panels"]
    assert len({p["id"] for p in panels}) == len(panels)
    for panel in panels:
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
    used |= {v for p in board["panels"] for t in p["targets"] for v in re.findall(r"\$([a-z]\w*)", t["expr"])}
    assert used <= known
    assert "datasource" in known


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
