"""Fuzz: the list knows every source, every parser stands some inputs, and what fails, hangs or is stopped is told so that it can be repeated."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from grayscope import plugins
from grayscope.errors import InputError
from tests import fuzz
from tests.fuzz_parsers import NONE, Parser, parsers, politely

#: Sources whose text is read by helpers that have entries of their own.
PARTS = {"nccl": ("ncclinspector", "ncclras", "nccllog", "ncclprom"), "drive": ("nvmelog", "diskstats"), "kernel": ("kernel", "kernlines"),
         "kernellog": ("kernellog", "kernframes"), "fabric": ("fabric", "bonding"), "slurm": ("slurm", "hostlist")}  # fmt: skip


def test_every_collector_is_fuzzed_or_says_why_not() -> None:
    listed = {p.name for p in parsers()}
    assert [name for name in plugins.names("collectors") if name not in NONE and not set(PARTS.get(name, (name,))) <= listed] == []
    assert set(NONE) & listed == set()
    assert set(NONE) <= set(plugins.names("collectors"))


@pytest.mark.parametrize("parser", parsers(), ids=lambda p: p.name)
def test_good_examples_are_fine_and_two_thousand_broken_ones_no_crash(parser: Parser) -> None:
    for example in parser.examples:
        parser.check(example)
    found = fuzz.run(parser, 2000, start=1_000_000)
    assert (found.failed, found.inputs) == ("", 2000)
    assert found.grown_mb < 200


def test_an_input_is_the_same_each_time_and_few_are_alike() -> None:
    parser = Parser("x", (b"some text, and more", b"{}"), lambda _: None)
    inputs = [fuzz.made(parser, n) for n in range(200)]
    assert inputs == [fuzz.made(parser, n) for n in range(200)]
    assert len(set(inputs)) > 120


def test_what_fails_can_be_repeated() -> None:
    def check(data: bytes) -> None:
        if b"{" in data[:2]:
            raise KeyError("gone")

    parser = Parser("x", (b"text",), check)
    found = fuzz.run(parser, 5000)
    number = found.inputs - 1
    assert f"--only x --start {number} --inputs 1" in found.failed
    assert "KeyError" in found.failed
    with pytest.raises(KeyError):
        check(fuzz.made(parser, number))


def test_a_stop_reports_what_was_done() -> None:
    left = iter(range(7))

    def check(data: bytes) -> None:
        if next(left) == 6:
            raise KeyboardInterrupt

    found = fuzz.run(Parser("x", (b"a",), check), 100)
    assert (found.inputs, found.stopped, found.failed) == (6, True, "")


def test_a_run_goes_on_where_the_last_one_stopped(tmp_path: Path) -> None:
    had: list[bytes] = []
    parser = Parser("x", (b"some text, and more", b"{}"), had.append)
    path = tmp_path / "new" / "done.json"
    assert fuzz.numbered(parser, 30, fuzz.Done(path)).inputs == 30
    assert fuzz.numbered(parser, 30, fuzz.Done(path)).inputs == 0
    assert fuzz.numbered(parser, 50, fuzz.Done(path)).inputs == 20
    assert had == [fuzz.made(parser, n) for n in range(50)]
    assert json.loads(path.read_text()) == {"x": 50}


@pytest.mark.parametrize("error", [KeyError, KeyboardInterrupt])
def test_what_failed_or_was_stopped_comes_first_in_the_next_run(tmp_path: Path, error: type[BaseException]) -> None:
    had: list[bytes] = []

    def check(data: bytes) -> None:
        had.append(data)
        if len(had) == 8:
            raise error

    parser, path = Parser("x", (b"some text", b"{}"), check), tmp_path / "done.json"
    found = fuzz.numbered(parser, 100, fuzz.Done(path))
    assert (bool(found.failed), found.stopped) == (error is KeyError, error is KeyboardInterrupt)
    assert json.loads(path.read_text()) == {"x": 7}
    fuzz.numbered(parser, 100, fuzz.Done(path))
    assert had[8:] == [fuzz.made(parser, n) for n in range(7, 100)]


def test_a_warning_is_a_failure() -> None:
    import warnings

    found = fuzz.run(Parser("x", (b"a",), lambda _: warnings.warn("old", stacklevel=1)), 10)
    assert "UserWarning" in found.failed


def test_a_long_winded_refusal_is_a_failure() -> None:
    def read(data: bytes) -> None:
        raise InputError(data.decode())

    politely(read)(b"short")
    with pytest.raises(AssertionError):
        politely(read)(b"x" * 1000)
    with pytest.raises(AssertionError):
        politely(read)(b"two\nlines")


def test_the_makefile_has_a_target() -> None:
    assert "tests/fuzz.py" in (Path(fuzz.__file__).parents[1] / "Makefile").read_text()
