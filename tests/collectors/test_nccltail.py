"""Tail: whole lines once each, through growth, rotation, truncation and floods."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import grayscope.collectors._nccltail as tailing  # type: ignore[import-not-found]


@pytest.fixture
def tail(tmp_path: Path) -> Any:
    tail = tailing.Tail([tmp_path], ["*.log", "*.log.[0-9]"], {})
    assert list(tail.lines()) == []
    return tail


def texts(tail: Any) -> list[str]:
    return [line.text for line in tail.lines()]


def test_half_a_line_waits_for_its_end(tail: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("one\ntw")
    assert texts(tail) == ["one"]
    with path.open("a") as file:
        file.write("o\n\n  \nthree")
    assert texts(tail) == ["two"]
    assert texts(tail) == []


def test_a_rotated_file_goes_on_and_the_new_one_begins(tail: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("one\n")
    assert texts(tail) == ["one"]
    with path.open("a") as file:
        path.rename(tmp_path / "a.log.1")
        file.write("two\n")
    path.write_text("three\n")
    assert sorted(texts(tail)) == ["three", "two"]
    (tmp_path / "a.log.1").unlink()
    assert texts(tail) == []
    assert len(tail.gone) == 1


def test_a_file_that_was_cut_short_begins_again(tail: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("one\ntwo\n")
    assert texts(tail) == ["one", "two"]
    path.write_text("new\n")
    assert texts(tail) == ["new"]
    assert tail.rejected == {"cut_short": 1}


def test_of_what_was_there_before_only_the_end_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text("".join(f"{i:07d}\n" for i in range(20_000)))
    found = texts(tailing.Tail([tmp_path], ["*.log"], {}))
    assert found[-1] == "0019999"
    assert 8_000 < len(found) < 8_193


def test_a_look_reads_a_bounded_share_and_loses_nothing(tail: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tailing, "EACH", 10)
    (tmp_path / "a.log").write_text("0123456\nabcdefg\nend\n")
    assert [texts(tail) for _ in range(3)] == [["0123456"], ["abcdefg", "end"], []]


def test_an_endless_line_is_left_out_whole(tail: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tailing, "LONGEST", 100)
    path = tmp_path / "a.log"
    path.write_text("x" * 500)
    assert texts(tail) == []
    with path.open("a") as file:
        file.write("y" * 50 + "\nnext\n" + "z" * 101 + "\n")
    assert texts(tail) == ["next"]
    assert tail.rejected == {"long_line": 2}


def test_links_and_other_names_are_not_followed(tail: Any, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret\n")
    (tmp_path / "link.log").symlink_to(tmp_path / "secret.txt")
    deep = tmp_path / "1" / "2" / "3" / "4"
    deep.mkdir(parents=True)
    (deep / "far.log").write_text("far\n")
    (tmp_path / "1" / "near.log").write_bytes(b"near \xff\n")
    assert texts(tail) == ["near \ufffd"]


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(st.lists(st.text("ab \r\x00é", max_size=9), max_size=12), st.lists(st.integers(0, 60), max_size=6))
def test_however_it_is_written_every_line_comes_once(tmp_path_factory: pytest.TempPathFactory, lines: list[str], cuts: list[int]) -> None:
    folder = tmp_path_factory.mktemp("tail")
    tail = tailing.Tail([folder], ["*.log"], {})
    assert texts(tail) == []
    data = "".join(f"{line}\n" for line in lines).encode()
    ends, found = [*sorted(min(c, len(data)) for c in cuts), len(data)], list[str]()
    with (folder / "a.log").open("ab", buffering=0) as file:
        for start, end in zip([0, *ends], ends, strict=False):
            file.write(data[start:end])
            found += texts(tail)
    assert found == [line for line in lines if line.strip()]
