"""Grafana's published types, made into schemas anew by Node: the one that is kept is what they say, and they accept the inside of every panel too."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from functools import cache
from typing import Any

import jsonschema
import pytest

from grayscope.dashboards import NAMES, load
from tests.grafana.test_dashboards import SCHEMA, panels

pytestmark = pytest.mark.slow
#: Apache-2.0 and MIT; of one version each, for another may say something else.
PACKAGES = ("@grafana/schema@13.2.3", "ts-json-schema-generator@2.4.0")
Make = Callable[[str, str], dict[str, Any]]


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Return a schema of a type in one of the package's files."""
    npm, folder = shutil.which("npm"), tmp_path_factory.mktemp("node")
    if npm is None or shutil.which("node") is None:
        pytest.skip("node and npm are not installed: apt-get update && apt-get install -y --no-install-recommends nodejs npm")
    install = [npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-save", *PACKAGES]
    done = subprocess.run(install, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        pytest.skip(f"npm cannot be reached, or not these: {' '.join(install)}: {done.stderr[-300:]}")

    @cache
    def made(kind: str, file: str) -> dict[str, Any]:
        (path,) = (folder / "node_modules/@grafana/schema/dist/types/raw").glob(file)
        run = ["node", "node_modules/ts-json-schema-generator/bin/ts-json-schema-generator.js", "--no-type-check", "--type", kind, "--path", str(path)]
        done = subprocess.run(run, cwd=folder, capture_output=True, text=True, timeout=120, check=True)
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    return made


def test_the_schema_that_is_kept_is_what_the_types_say(make: Make) -> None:
    assert make("Dashboard", "dashboard/x/types.gen.d.ts") == json.loads(SCHEMA.read_text("utf-8"))


def test_the_inside_of_every_panel_is_as_its_kind_wants_it(make: Make) -> None:
    kinds, wrong = set(), []
    for name in NAMES:
        for panel in panels(load(name)):
            kind = panel["type"].replace("-", "")
            kinds.add(kind)
            inside = {"Options": panel.get("options", {})}
            if custom := panel["fieldConfig"]["defaults"].get("custom"):
                inside["FieldConfig"] = custom
            for part, value in inside.items():
                schema = make(part, f"composable/{kind}/panelcfg/x/*.d.ts")
                wrong += [f"{name}: {panel['title']}: {part}: {list(e.path)}: {e.message}" for e in misfits(schema, value)]
    assert wrong == []
    assert kinds == {"bargauge", "stat", "statetimeline", "table", "timeseries"}
    assert misfits(make("Options", "composable/stat/panelcfg/x/*.d.ts"), {"colorMode": "loud", "graphMod": "area"})


def misfits(schema: dict[str, Any], value: dict[str, Any]) -> list[jsonschema.ValidationError]:
    """Return what is wrong, but not what is left out: Grafana fills that in."""
    return [e for e in jsonschema.Draft7Validator(schema).iter_errors(value) if e.validator != "required"]
