"""Cli: help without heavy imports, errors in one line with exit status 2."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from grayscope import __version__, cli, plugins
from grayscope.errors import InputError

ROOT = Path(__file__).parents[1]
#: Runs the command line from a bare checkout too, then prints what was imported.
PROGRAM = """
import sys, grayscope
grayscope.__path__.append({root!r})
from grayscope.cli import main
try:
    main({argv!r})
finally:
    sys.stderr.write("MODULES " + " ".join(sys.modules))
"""


def run(*argv: str) -> tuple[int, str, str, set[str]]:
    program = PROGRAM.format(root=str(ROOT), argv=list(argv))
    environ = {k: v for k, v in os.environ.items() if not k.startswith("GRAYSCOPE_")} | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environ, timeout=120, check=False)
    text, _, modules = done.stderr.partition("MODULES ")
    return done.returncode, done.stdout, text, set(modules.split())


def call(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        cli.main(list(argv))
    out = capsys.readouterr()
    assert isinstance(stop.value.code, int)
    return stop.value.code, out.out, out.err


@pytest.mark.parametrize("argv", [("--help",), ("--version",), ("list", "--help"), ("check", "--help"), ("replay", "--help"), ("list", "detectors")])
def test_help_is_cheap(argv: tuple[str, ...]) -> None:
    status, out, err, modules = run(*argv)
    assert (status, err) == (0, "")
    assert out
    heavy = {"numpy", "polars", "pyarrow", "numba", "sklearn", "pandas", "kafka", "grafana_client", "rich"}
    assert modules & heavy == set()
    assert "grayscope.cli" in modules


def test_help_shows_every_pipeline_with_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = call(capsys, "--help")
    assert status == 0
    for name in plugins.names("pipelines"):
        assert f"  {name} " in out
    assert "Read" not in out.partition("Commands:")[0]


@pytest.mark.parametrize("name", plugins.names("pipelines"))
def test_every_command_has_help_with_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = call(capsys, name, "--help")
    assert status == 0
    assert f"grayscope {name}" in out
    assert "Example" in out, f"grayscope {name} --help shows no example"


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(capsys, "--version") == (0, f"grayscope, version {__version__}\n", "")


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("replya",), "grayscope: error: no command is called 'replya': did you mean 'replay'?"),
        (("list", "--nonsense"), "No such option"),
        (("check",), "Missing argument"),
        (("check", "/no/such/file.toml"), "grayscope: error: /no/such/file.toml: cannot be read"),
    ],
)
def test_what_is_wrong_is_said_with_status_2(argv: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = call(capsys, *argv)
    assert (status, out) == (2, "")
    assert words in err
    assert "Traceback" not in err


def with_command(monkeypatch: pytest.MonkeyPatch, error: BaseException | None, result: object = None) -> None:
    @click.command()
    def command() -> object:
        if error is not None:
            raise error
        return result

    monkeypatch.setattr(plugins, "load", lambda wing, name: command)


def test_an_error_on_purpose_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with_command(monkeypatch, InputError.at("gpu.parquet", "row 7", "a number", "a\nb\x1b[31m" + "x" * 1000))
    status, _, err = call(capsys, "anything")
    assert status == 2
    assert err.startswith("grayscope: error: gpu.parquet: row 7: expected a number, found a")
    assert len(err.splitlines()) == 1
    assert "\x1b" not in err
    assert len(err) < 300


def test_a_bug_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    with_command(monkeypatch, ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        cli.main(["anything"])


def test_stopping_by_hand(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with_command(monkeypatch, KeyboardInterrupt())
    status, _, err = call(capsys, "anything")
    assert (status, err.strip()) == (130, "grayscope: stopped")


@pytest.mark.parametrize(("result", "status"), [(None, 0), (0, 0), (1, 1)])
def test_a_command_may_return_its_status(result: object, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with_command(monkeypatch, None, result)
    assert call(capsys, "anything")[0] == status


def test_a_reader_that_leaves_is_no_error() -> None:
    program = PROGRAM.format(root=str(ROOT), argv=["list", "--json"])
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-c", program], stdout=write, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)}, timeout=120, check=False
    )
    os.close(write)
    assert done.returncode in (0, 1)
    assert "Traceback" not in done.stderr


def test_python_m_grayscope() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "grayscope", "--version"], capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)}, timeout=120, check=False
    )
    assert (done.returncode, done.stdout) == (0, f"grayscope, version {__version__}\n")


def test_importing_grayscope_is_cheap_and_replay_is_there() -> None:
    program = "import sys, json, grayscope; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)}, timeout=120, check=True)
    assert not {"numpy", "numba", "polars", "pyarrow"} & set(json.loads(done.stdout))
    import grayscope

    assert callable(grayscope.replay)
    with pytest.raises(AttributeError, match="no attribute 'replai'"):
        _ = grayscope.replai
