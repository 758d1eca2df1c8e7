"""Files that stay open: read anew each time, opened again after they were exchanged, bounded in number."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

Descriptors: Any = __import__("grayscope.collectors._descriptors", fromlist=["Descriptors"]).Descriptors
Tree: Any = __import__("grayscope.collectors._sysfs", fromlist=["Tree"]).Tree


def test_what_is_held_is_read_anew(tmp_path: Path) -> None:
    file, files = tmp_path / "n", Descriptors()
    for text in ("1\n", "22\n", "3\n"):
        file.write_text(text)
        assert files.read(str(file)) == text.encode()
    assert len(files) == 1


def test_a_file_that_was_exchanged_or_went_is_noticed(tmp_path: Path) -> None:
    file, files = tmp_path / "n", Descriptors()
    file.write_text("1")
    assert files.read(str(file)) == b"1"
    (tmp_path / "new").write_text("2")
    (tmp_path / "new").replace(file)
    assert files.read(str(file)) == b"2"
    file.unlink()
    assert files.read(str(file)) is None
    assert len(files) == 0


def test_a_device_that_answers_with_an_error_is_opened_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, files, real = tmp_path / "n", Descriptors(), os.pread
    file.write_text("1")
    files.read(str(file))
    went = iter([True])

    def pread(handle: int, n: int, at: int) -> bytes:
        if next(went, False):
            raise OSError(19, "No such device")
        return real(handle, n, at)

    monkeypatch.setattr(os, "pread", pread)
    file.write_text("5")
    assert files.read(str(file)) == b"5"


@pytest.mark.parametrize("kind", ["long", "folder", "absent", "nul", "pipe"])
def test_what_cannot_be_held_is_left_to_the_usual_way(tmp_path: Path, kind: str) -> None:
    path = tmp_path / ("a\0b" if kind == "nul" else "n")
    if kind == "long":
        path.write_text("1" * 3000)
    elif kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    files = Descriptors()
    assert files.read(str(path)) is None
    assert len(files) == 0


def test_no_more_than_so_many_are_open_and_all_are_let_go(tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    files = Descriptors(3)
    for n in range(9):
        (tmp_path / str(n)).write_text(str(n))
        files.read(str(tmp_path / str(n)))
    assert len(files) == 3
    assert len(list(Path("/proc/self/fd").iterdir())) == before + 3
    files.close()
    files.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_held_numbers_are_those_of_the_usual_way(tmp_path: Path) -> None:
    texts = {"a": "7", "b": " -3\n", "c": "word", "d": "9" * 20, "e": "9" * 21, "f": "", "g": "+5"}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    held, usual = Tree(tmp_path, {}), Tree(tmp_path, {})
    names = [*texts, "absent"]
    for _ in range(2):
        held.begin()
        usual.begin()
        assert held.numbers(names) == [usual.number(name) for name in names]
        assert held.rejected == usual.rejected
    assert held.numbers(["a", "b", "g"]) == [7.0, -3.0, 5.0]
