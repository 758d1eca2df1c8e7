"""Check: what would hold, or everything that is wrong."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from grayscope.cli import app
from grayscope.errors import UsageError
from grayscope.settings import Settings


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "grayscope.toml"
    path.write_text('cluster = "c7"\nlateness = "1m"\ndetectors = ["slower"]\n')
    return path


def test_what_would_hold(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAYSCOPE_PERIOD", "15s")
    done = CliRunner().invoke(app, ["check", str(file), "--json"])
    assert done.exit_code == 0
    expected = dataclasses.asdict(Settings(cluster="c7", lateness=60.0, period=15.0, detectors=("slower",)))
    assert json.loads(done.output) == json.loads(json.dumps(expected))
    text = CliRunner().invoke(app, ["check", str(file)])
    assert [line.split()[0] for line in text.output.splitlines()] == [f.name for f in dataclasses.fields(Settings)]
    assert "c7" in text.output


def test_every_problem(file: Path) -> None:
    file.write_text('clutser = "c"\nlateness = "soon"\n')
    done = CliRunner().invoke(app, ["check", str(file)])
    assert isinstance(done.exception, UsageError)
    assert len(str(done.exception).splitlines()) == 2


def test_a_detector_that_is_not_there(file: Path) -> None:
    file.write_text('detectors = ["sloer"]\n')
    done = CliRunner().invoke(app, ["check", str(file)])
    assert isinstance(done.exception, UsageError)
    assert "did you mean 'slower'?" in str(done.exception)


def test_the_agents_sections_are_checked_and_shown_without_their_secrets(file: Path) -> None:
    file.write_text('[agent]\nnode = "n1"\n[broker]\nname = "rolling"\npassword = "hidden"\n[collectors.openmetrics]\nenabled = false\n')
    for argv in (["check", str(file)], ["check", str(file), "--json"]):
        done = CliRunner().invoke(app, argv)
        assert done.exit_code == 0
        assert "rolling" in done.output
        assert "hidden" not in done.output
    file.write_text("[agent]\nperod = 3\n")
    done = CliRunner().invoke(app, ["check", str(file)])
    assert "did you mean 'period'?" in str(done.exception)


def test_sinks_are_checked_and_their_secrets_are_not_shown(tmp_path: Path) -> None:
    config = tmp_path / "c.toml"
    config.write_text('webhook_urls = ["https://ann:s3cret@hooks.example/T0/s3cret?k=s3cret"]\n[sinks.alertmanager]\nurls = ["http://a"]\ntoken = "s3cret"\n')
    for flags in ([], ["--json"]):
        told = CliRunner().invoke(app, ["check", str(config), *flags])
        assert told.exit_code == 0, told.output
        assert "hooks.example" in told.output
        assert "alertmanager" in told.output
        assert "s3cret" not in told.output
    config.write_text('[sinks.alertmanager]\nurl = "s3cret"\n')
    with pytest.raises(UsageError, match="unknown option 'url'"):
        CliRunner().invoke(app, ["check", str(config)], catch_exceptions=False)
