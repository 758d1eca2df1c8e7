"""Sysfs: small files are read, what is absent is no fault, what refuses is counted and left alone for a while."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import grayscope.collectors._sysfs as sysfs  # type: ignore[import-not-found]
from tests.hosttree import plant


@pytest.fixture
def tree(tmp_path: Path) -> sysfs.Tree:
    plant(tmp_path, {"a/good": "17", "a/text": "4: ACTIVE", "a/wide": "18446744073709551615", "a/bad": "N/A (no PMA)", "a/under": "1_0"})
    made = sysfs.Tree(tmp_path, {})
    made.begin()
    return made


def test_numbers_and_texts(tree: sysfs.Tree) -> None:
    assert tree.number("a/good") == 17
    assert tree.number("a/wide") == 2.0**64
    assert tree.text("a/text") == "4: ACTIVE"
    assert tree.names("a") == ["bad", "good", "text", "under", "wide"]
    assert tree.rejected == {}


def test_what_is_absent_is_no_fault(tree: sysfs.Tree) -> None:
    assert (tree.number("a/none"), tree.text("none/at/all"), tree.text("a/good/below"), tree.text("a/\x00"), tree.names("none")) == (None, None, None, None, [])
    assert tree.target("a/none") == ""
    assert tree.rejected == {}


def test_what_refuses_is_counted_once_and_left_alone(tree: sysfs.Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = []
    really = os.open

    def refuse(path: str, *rest: int) -> int:
        reads.append(path)
        if path.endswith("good"):
            raise PermissionError(13, "Permission denied")
        return really(path, *rest)

    monkeypatch.setattr(sysfs.os, "open", refuse)
    for _ in range(10):
        tree.begin()
        assert tree.number("a/good") is None
        assert tree.number("a/bad") is None
    assert tree.rejected == {"denied": 1, "not_a_number": 1}
    assert len(reads) == 2
    tree.looks += sysfs.PAUSE
    tree.number("a/good")
    assert tree.rejected["denied"] == 2


def test_numbers_are_whole_and_written_as_the_kernel_does(tree: sysfs.Tree) -> None:
    assert tree.number("a/under") is None
    assert tree.rejected == {"not_a_number": 1}


def test_a_file_without_end_is_cut(tree: sysfs.Tree) -> None:
    Path(tree.path("a/huge")).write_bytes(b"x" * (sysfs.LARGEST + 100_000))
    assert len(tree.data("a/huge") or b"") == sysfs.LARGEST
    assert tree.rejected == {"too_large": 1}


def test_a_pipe_that_nobody_fills_does_not_block(tree: sysfs.Tree) -> None:
    os.mkfifo(tree.path("a/pipe"))
    assert not tree.text("a/pipe")
