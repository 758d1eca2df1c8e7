"""The process of one parser: `guided.py` starts it. It imports nothing of grayscope before the fuzzer can follow it."""

from __future__ import annotations

import importlib
import sys
import warnings
from pathlib import Path
from types import FunctionType

import atheris

ROOT = Path(__file__).parents[1]


def compiled() -> list[str]:
    """Return the modules that numba compiles: it does not understand what the fuzzer adds to them."""
    files = [p.relative_to(ROOT) for p in (ROOT / "grayscope").rglob("*.py") if "numba" in p.read_text(encoding="utf-8")]
    return [".".join(p.with_suffix("").parts) for p in files]


def main(source: str, name: str, *flags: str) -> None:
    """Fuzz one parser of a module's `parsers()`; the fuzzer ends the process."""
    sys.path.insert(0, str(ROOT))
    with atheris.instrument_imports(include=["grayscope"], exclude=compiled()):
        package = importlib.import_module("grayscope")
        if str(ROOT) not in package.__path__:
            package.__path__.append(str(ROOT))
        parser = next(p for p in importlib.import_module(source).parsers() if p.name == name)
    warnings.simplefilter("error")
    check = atheris.instrument_func(parser.check) if isinstance(parser.check, FunctionType) else parser.check
    atheris.Setup([name, *flags], check)
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
