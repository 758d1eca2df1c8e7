"""Kept: compiled kernels find a place of their own where nothing may be written."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from grayscope import kept


def test_nothing_is_made_where_the_package_or_the_home_may_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept.CONFIG, "CACHE_DIR", "")
    assert kept.keep(tmp_path, Path("/nowhere")) == ""
    assert kept.CONFIG.CACHE_DIR == ""


def test_a_folder_of_this_process_alone_where_neither_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept.CONFIG, "CACHE_DIR", "")
    monkeypatch.setattr(os, "access", lambda *_: False)
    folder = kept.keep(tmp_path / "package", tmp_path / "home")
    assert folder == kept.CONFIG.CACHE_DIR
    assert stat.S_IMODE(Path(folder).stat().st_mode) == 0o700
    assert kept.keep(tmp_path, tmp_path) == ""  # what is set stays
