"""Grafana files: the tree that a server reads, the same twice, and a clear word where it cannot be written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from grayscope import plugins
from grayscope.cli import main
from grayscope.dashboards import NAMES, load


def test_the_tree_holds_every_dashboard_and_twice_changes_nothing(tmp_path: Path) -> None:
    command, asked = plugins.load("pipelines", "grafana"), ["files", "--out", str(tmp_path), "--path", "/etc/grafana/provisioning/", "--folder", 'a"b: c']
    first = CliRunner().invoke(command, asked)
    assert first.exit_code == 0, first.output
    assert {line[0] for line in first.stdout.splitlines()} == {"+"}
    (provider,) = json.loads((tmp_path / "dashboards" / "grayscope.yaml").read_text())["providers"]
    assert provider["options"] == {"path": "/etc/grafana/provisioning/dashboards/grayscope"}
    assert provider["folder"] == 'a"b: c'
    assert {p.stem: json.loads(p.read_text()) for p in (tmp_path / "dashboards" / "grayscope").iterdir()} == {n: load(n) for n in NAMES}
    second = CliRunner().invoke(command, asked)
    assert {line[0] for line in second.stdout.splitlines()} == {"="}


def test_what_cannot_be_written_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "dashboards").write_text("in the way")
    with pytest.raises(SystemExit) as stopped:
        main(["grafana", "files", "--out", str(tmp_path)])
    assert stopped.value.code == 2
    assert str(tmp_path / "dashboards") in capsys.readouterr().err
