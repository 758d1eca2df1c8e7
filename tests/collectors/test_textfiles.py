"""Textfiles: bounded reading of finished files, plain or gzip."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

import grayscope.collectors._textfiles as files  # type: ignore[import-not-found]
from grayscope.errors import InputError, UsageError


def test_lines_of_plain_and_packed_files(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"one\r\n\xff\n\nlast")
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"one\r\n\xff\n\nlast"))
    for name in ("a", "a.gz"):
        assert list(files.lines(tmp_path / name)) == ["one", "\ufffd", "", "last"]
    assert files.whole(tmp_path / "a.gz") == b"one\r\n\xff\n\nlast"


@pytest.mark.parametrize(("limit", "value"), [("LONGEST", 10), ("LARGEST", 15)])
def test_a_file_beyond_the_bounds_is_one_error(limit: str, value: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, limit, value)
    (tmp_path / "a").write_text("0123456789" * 2 if limit == "LONGEST" else "1234567\n" * 3)
    with pytest.raises(InputError, match="bytes"):
        list(files.lines(tmp_path / "a"))


def test_a_bomb_is_stopped(tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(gzip.compress(bytes(10_000_000)))
    with pytest.raises(InputError, match="at most 1000 bytes"):
        files.whole(tmp_path / "a.gz", 1000)


@pytest.mark.parametrize("data", [b"no gzip", gzip.compress(b"x" * 1000)[:-9], gzip.compress(b"x" * 1000)[:15] + b"\xff" * 9])
def test_what_cannot_be_unpacked_is_one_error(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(data)
    for read in (files.whole, lambda path: list(files.lines(path))):
        with pytest.raises(InputError, match="cannot be read"):
            read(tmp_path / "a.gz")


def test_a_folder_stands_for_its_files(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("b.log", "a.log", "in/c.log", "x.txt"):
        (tmp_path / name).touch()
    assert [p.name for p in files.expanded([tmp_path, tmp_path / "x.txt"], "t", ["*.log"])] == ["a.log", "b.log", "c.log", "x.txt"]
    with pytest.raises(InputError, match=r"\*\.json"):
        files.expanded([tmp_path], "t", ["*.json"])
    with pytest.raises(UsageError, match="t: expected at least one"):
        files.expanded([], "t", [])


def test_what_is_not_there_has_no_time(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        files.changed(tmp_path / "none")
