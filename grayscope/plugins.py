"""Plugins: find and load what is one file in a wing; the file's name is the plugin's name."""

from __future__ import annotations

import ast
import difflib
import importlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from grayscope.errors import MissingPackage, UsageError

#: Wings and what a plugin file there holds: a class named like the file, or a click command named ``command``.
WINGS = ("collectors", "detectors", "pipelines", "brokers", "sinks")


def names(wing: str) -> list[str]:
    """Return the plugins of a wing, sorted; folders appended to the wing's ``__path__`` count too.

    Examples
    --------
    >>> "kafka" in names("detectors"), "kafka" in names("brokers")
    (False, True)
    """
    return sorted(p.stem.rstrip("_") for p in _files(wing))


def load(wing: str, name: str) -> Any:
    """Import one plugin and return its class (its command, for a pipeline).

    Raises
    ------
    UsageError
        No such plugin; names the nearest.
    MissingPackage
        It needs a package that is not installed.
    """
    path = _file(wing, name)
    try:
        module = importlib.import_module(f"grayscope.{wing}.{path.stem}")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "grayscope":
            raise
        package = (error.name or "").partition(".")[0]
        raise MissingPackage(f"{wing[:-1]} {name} needs {package}: pip install {package}") from error
    wanted = "command" if wing == "pipelines" else _class_name(path.stem)
    if not hasattr(module, wanted):
        raise UsageError(f"{wing[:-1]} {name}: {path.name} holds no {wanted}")
    return getattr(module, wanted)


def detector(name: str, **settings: Any) -> Any:
    """Make a detector by name."""
    return load("detectors", name)(**settings)


def collector(name: str, *args: Any, **settings: Any) -> Any:
    """Make a collector by name."""
    return load("collectors", name)(*args, **settings)


def broker(name: str, *args: Any, **settings: Any) -> Any:
    """Make a broker by name."""
    return load("brokers", name)(*args, **settings)


def sink(name: str, *args: Any, **settings: Any) -> Any:
    """Make a sink by name."""
    return load("sinks", name)(*args, **settings)


def default_detectors() -> list[str]:
    """Return the detectors that are on by default: all that are not rivals."""
    return [name for name in names("detectors") if not load("detectors", name).rival]


def summary(wing: str, name: str) -> str:
    """Return the first line of a plugin's module docstring, without importing it."""
    doc = ast.get_docstring(ast.parse(_file(wing, name).read_text("utf-8"))) or ""
    return doc.partition("\n")[0].partition(": ")[2] or doc.partition("\n")[0]


def is_rival(name: str) -> bool:
    """Say whether a detector is marked as a rival, without importing it.

    Examples
    --------
    >>> is_rival("minder"), is_rival("slower")
    (True, False)
    """
    path = _file("detectors", name)
    classes = [c for c in ast.parse(path.read_text("utf-8")).body if isinstance(c, ast.ClassDef) and c.name == _class_name(path.stem)]
    said = [a for c in classes for a in c.body if isinstance(a, (ast.Assign, ast.AnnAssign)) and isinstance(a.value, ast.Constant) and a.value.value is True]
    targets = [t for a in said for t in (a.targets if isinstance(a, ast.Assign) else [a.target])]
    return any(isinstance(t, ast.Name) and t.id == "rival" for t in targets)


def outline(wing: str, name: str) -> tuple[frozenset[str], tuple[str, ...]]:
    """Return a plugin's methods, and what its constructor needs (parameters without a default), without importing it or its packages.

    Base classes count if they stand in the same file or in a sibling that it imports.

    Examples
    --------
    >>> methods, needed = outline("collectors", "exporter")
    >>> "collect" in methods, needed
    (True, ('url',))
    """
    path = _file(wing, name)
    methods = _methods(path, _class_name(path.stem))
    made = methods.get("__init__")
    if made is None:
        return frozenset(methods), ()
    places = [*made.posonlyargs, *made.args][1:]
    needed = places[: len(places) - len(made.defaults)] + [a for a, d in zip(made.kwonlyargs, made.kw_defaults, strict=True) if d is None]
    return frozenset(methods), tuple(a.arg for a in needed)


def _methods(path: Path, name: str, depth: int = 8) -> dict[str, ast.arguments]:
    """Return the arguments of every method of a class by name, its bases' where it has none of its own."""
    if not path.is_file() or not depth:
        return {}
    body = ast.parse(path.read_text("utf-8")).body
    siblings = {(a.asname or a.name): path.with_name(f"{i.module}.py") for i in body if isinstance(i, ast.ImportFrom) and i.level == 1 for a in i.names}
    found: dict[str, ast.arguments] = {}
    for made in (c for c in body if isinstance(c, ast.ClassDef) and c.name == name):
        for base in (b for b in reversed(made.bases) if isinstance(b, ast.Name)):
            found |= _methods(siblings.get(base.id, path), base.id, depth - 1)
        found |= {f.name: f.args for f in made.body if isinstance(f, ast.FunctionDef)}
    return found


def nearest(word: str, known: Iterable[str]) -> str:
    """Return a hint that names the nearest known word, or all of them.

    Examples
    --------
    >>> nearest("sloer", ["slower", "became"])
    "did you mean 'slower'?"
    """
    choices = sorted(known)
    close = difflib.get_close_matches(word, choices, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(choices)}"


def _files(wing: str) -> list[Path]:
    if wing not in WINGS:
        raise UsageError(f"no wing is called {wing!r}: {nearest(wing, WINGS)}")
    package = importlib.import_module(f"grayscope.{wing}")
    return [p for folder in package.__path__ for p in Path(folder).glob("*.py") if not p.stem.startswith("_")]


def _file(wing: str, name: str) -> Path:
    for path in _files(wing):
        if path.stem.rstrip("_") == name:
            return path
    raise UsageError(f"no {wing[:-1]} is called {name!r}: {nearest(name, names(wing))}")


def _class_name(stem: str) -> str:
    return "".join(part.capitalize() for part in stem.split("_"))
