"""Let the tests run from a bare checkout too: show grayscope its three wings."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import grayscope

ROOT = Path(__file__).parents[1]
grayscope.__path__.append(str(ROOT))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared real telemetry, or a skip that says how to point to it."""
    path = Path(os.environ.get("GRAYSCOPE_SHARED") or ROOT.parent / "shared")
    if not (path / "data").is_dir():
        pytest.skip(f"no shared data at {path}: set GRAYSCOPE_SHARED to the folder that holds data/")
    return path
