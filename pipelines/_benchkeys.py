"""Benchkeys: names for cached work that change when anything that it depends on changes."""

from __future__ import annotations

import ast
import hashlib
import inspect
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import grayscope
from grayscope import plugins

CORE = Path(grayscope.__file__).parent
#: Files of the core that only read what a replay wrote: a change there asks for no new replay.
AFTERWARDS = frozenset({"bootstrap", "cli", "drawing", "exposure", "matching", "score", "scoreboard", "showing"})
PACKAGES = ("numba", "numpy", "polars", "pyarrow")


@cache
def simulator() -> str:
    """Return a digest of what makes a simulated trace, its scenario apart: a change of the judge asks for no new trace."""
    fleet = [p for p in (CORE / "fleet").rglob("*") if p.suffix in (".py", ".toml") and p.parent.name != "scenarios"]
    return digest([*fleet, *imported(p for p in fleet if p.suffix == ".py"), *CORE.glob("*.toml")])


@cache
def replayer() -> str:
    """Return a digest of what a replay depends on, its detectors apart."""
    return digest([*_core(), *(CORE / "brokers").glob("*.py")])


@cache
def importer() -> str:
    """Return a digest of what makes a trace of a recorded set, its map apart."""
    file = Path(inspect.getfile(plugins.load("collectors", "table")))
    files = [file, *file.parent.glob("_[!_]*.py")]
    return digest([*files, *imported(files), *CORE.glob("*.toml")])


@cache
def plugin(wing: str, name: str) -> str:
    """Return a digest of a plugin's file and of the helpers beside it."""
    made = plugins.load(wing, name)
    file = Path(inspect.getfile(made))
    return digest([file, *file.parent.glob("_[!_]*.py")])


def imported(files: Iterable[Path]) -> set[Path]:
    """Return the files of the core that some files import, at whatever depth, wherever in them the import stands."""
    found: set[Path] = set()
    waiting = list(files)
    while waiting:
        fresh = set(_imports(waiting.pop())) - found
        found |= fresh
        waiting += fresh
    return found


def _imports(file: Path) -> Iterator[Path]:
    """Yield the core's modules that a file names; what follows `import` may be one too."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        named = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            named = [node.module, *(f"{node.module}.{a.name}" for a in node.names)]
        for name in named:
            path = CORE.joinpath(*name.split(".")[1:]) if name.split(".")[0] == "grayscope" else None
            if path is not None and path.with_suffix(".py").is_file():
                yield path.with_suffix(".py")


def digest(files: Iterable[Path], *more: Any) -> str:
    """Return 24 hexadecimal digits that stand for the names and contents of files, for `more` and for the packages in use."""
    total = hashlib.blake2b(digest_size=12)
    for part in (*_versions(), *more):
        total.update(f"{part}\0".encode())
    for file in sorted(set(files)):
        total.update(f"{file.name}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as stream:
            while chunk := stream.read(1 << 20):
                total.update(chunk)
    return total.hexdigest()


def _core() -> list[Path]:
    return [p for p in CORE.glob("*.*") if p.suffix in (".py", ".toml") and p.stem not in AFTERWARDS]


@cache
def _versions() -> tuple[str, ...]:
    return (f"{sys.version_info[:2]}", *(f"{name} {metadata.version(name)}" for name in PACKAGES))
