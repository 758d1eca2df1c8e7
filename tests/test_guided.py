"""Guided fuzzing: coverage leads to a bug that lies deep, what is found can be run again, and a real parser stands it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests import fuzz_toy, guided
from tests.fuzz_parsers import parsers
from tests.mutations import NASTY

HAND = "atheris", "not installed: pip install 'grayscope[fuzz]' (Linux on x86-64, Python below 3.14)"


@pytest.fixture
def atheris() -> None:
    pytest.importorskip(HAND[0], reason=HAND[1])


@pytest.mark.usefixtures("atheris")
def test_coverage_leads_to_a_planted_bug_and_what_failed_is_kept(tmp_path: Path) -> None:
    planted, sound = fuzz_toy.parsers()
    found = guided.guide(planted, seconds=120, runs=1_000_000, seed=1, source="tests.fuzz_toy", kept=tmp_path)
    (saved,) = tmp_path.glob("planted-crash-*")
    assert saved.read_bytes()[:4] == b"GRAY"
    assert f"--only planted --input {saved}" in found.failed
    assert "KeyError" in found.failed
    with pytest.raises(KeyError):
        planted.check(saved.read_bytes())
    fine = guided.guide(sound, runs=3000, source="tests.fuzz_toy", kept=tmp_path)
    assert (fine.inputs, fine.failed) == (3000, "")


@pytest.mark.usefixtures("atheris")
@pytest.mark.slow
@pytest.mark.parametrize("name", ["slurm", "frames"])
def test_a_real_parser_is_led_into_its_branches(tmp_path: Path, name: str) -> None:
    parser = next(p for p in parsers() if p.name == name)
    found = guided.guide(parser, seconds=120, runs=2000, seed=1, kept=tmp_path)
    assert (found.failed, found.inputs) == ("", 2000)
    assert found.kept > 10
    assert found.coverage > 20
    assert len(list((tmp_path / "corpus" / name).iterdir())) > 3


def test_an_end_of_any_other_kind_is_a_failure() -> None:
    assert guided.outcome("x", 0, "Traceback: nothing ran").failed
    assert "no input was saved" in guided.outcome("x", 70, "stat::number_of_executed_units: 5").failed
    assert guided.outcome("x", 0, "stat::number_of_executed_units: 5").failed == ""


def test_the_dictionary_holds_the_pieces_that_the_fuzzer_takes() -> None:
    lines = guided.dictionary().splitlines()
    assert '"\\x00"' in lines
    assert len(lines) == sum(0 < len(piece) <= guided.PIECE for piece in NASTY) > 20


def test_without_atheris_the_line_that_installs_it_is_given(tmp_path: Path) -> None:
    (tmp_path / "atheris.py").write_text("raise ImportError\n")
    script = str(guided.ROOT / "tests" / "fuzz.py")
    hidden = f"import runpy, sys; sys.path.insert(0, {str(tmp_path)!r}); sys.argv = ['fuzz.py', '--guided']; runpy.run_path({script!r}, run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", hidden], capture_output=True, text=True, check=False, cwd=guided.ROOT)
    assert done.returncode == 2
    assert "pip install 'grayscope[fuzz]'" in done.stderr
    assert len(done.stderr.splitlines()) == 1
