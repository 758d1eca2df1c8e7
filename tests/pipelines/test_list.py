"""List: what is installed."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from grayscope import plugins
from grayscope.cli import app


@pytest.mark.parametrize("wing", [None, *plugins.WINGS])
def test_every_plugin_with_its_line(wing: str | None) -> None:
    argv = ["list", *([wing] if wing else [])]
    text = CliRunner().invoke(app, argv)
    found = CliRunner().invoke(app, [*argv, "--json"])
    assert text.exit_code == found.exit_code == 0
    listed = json.loads(found.output)
    assert list(listed) == ([wing] if wing else list(plugins.WINGS))
    for name, members in listed.items():
        assert list(members) == plugins.names(name)
        for plugin, line in members.items():
            assert line == plugins.summary(name, plugin)
            assert any(row.split() and row.split()[0] == plugin and row.endswith(line) for row in text.output.splitlines())


def test_an_unknown_wing_is_refused() -> None:
    assert CliRunner().invoke(app, ["list", "wings"]).exit_code == 2
