"""Let the tests run from a bare checkout too: show grayscope its three wings."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import hypothesis
import pytest

import grayscope
from tests.kafkaserver import client, kafka_server, prefix, topics  # noqa: F401 - fixtures

ROOT = Path(__file__).parents[1]
# What runs in the background inherits an ignored Ctrl-C, and so would the processes that tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# A drawn input that takes long on a busy machine is no failure.
hypothesis.settings.register_profile("untimed", hypothesis.settings(), deadline=None)
hypothesis.settings.load_profile("untimed")
#: Begins by loading what is not there for every Python.
collect_ignore = [] if find_spec("atheris") else ["fuzz_child.py"]
grayscope.__path__.append(str(ROOT))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared real telemetry, or a skip that says how to point to it."""
    path = Path(os.environ.get("GRAYSCOPE_SHARED") or ROOT.parent / "shared")
    if not (path / "data").is_dir():
        pytest.skip(f"no shared data at {path}: set GRAYSCOPE_SHARED to the folder that holds data/")
    return path


@pytest.fixture(scope="module")
def benchmarks() -> Iterator[None]:
    """Let a module import what is in the folder of benchmarks."""
    folder = str(ROOT / "benchmarks")
    sys.path.insert(0, folder)
    yield
    sys.path.remove(folder)


@pytest.fixture(scope="session")
def server() -> Callable[[str, str], str]:
    """Find a real server's command: a skip that says how to install it, a failure where it should have been installed."""

    def find(command: str, package: str) -> str:
        path = shutil.which(command)
        if path is not None:
            return path
        text = f"{command} is not installed: apt-get update && apt-get install -y --no-install-recommends {package}"
        if os.environ.get("GRAYSCOPE_INSTALL_SERVERS") == "1":
            pytest.fail(text)
        pytest.skip(text)

    return find
