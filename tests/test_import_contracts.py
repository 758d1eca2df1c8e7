"""Import contracts, read off the source files: who may know whom, and what nobody may use."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WINGS = ("collectors", "detectors", "pipelines")
RECORDS = ("batch", "event", "roster", "message", "tick", "evidence", "verdict", "incident", "alert", "ledger")
#: Stations and the maths below them: a function of messages and nothing else.
PURE = (
    *(
        "agenda",
        "align",
        "alignclock",
        "alignlayout",
        "alignmerge",
        "aligntable",
        "announce",
        "blame",
        "columns",
        "desk",
        "detector",
        "engine",
        "horizons",
        "judge",
    ),
    *("kernels", "planned", "rates", "stand", "standing"),
    *("betalaw", "cohorts", "drifts", "evenness", "exhaustion", "ledgerlevel", "ledgermargin", "ledgerpage", "ledgerrate", "ledgerstock"),
    *RECORDS,
)
#: What would make a fold depend on more than its input.
IMPURE = {"time", "random", "secrets", "socket", "threading", "asyncio", "subprocess", "os", "pathlib", "datetime", "urllib", "http", "uuid", "tempfile"}
UNSAFE = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}


def files(*folders: str) -> list[Path]:
    return sorted(p for folder in folders for p in (ROOT / folder).rglob("*.py"))


def name_of(path: Path) -> str:
    """The name under which a file is installed: the wings lie inside grayscope."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = parts[:-1] if parts[-1] == "__init__" else parts
    return ".".join(parts if parts[0] == "grayscope" else ("grayscope", *parts))


def imports(path: Path) -> Iterator[tuple[str, int, int]]:
    """Yield (module, level, line) for every import anywhere in a file; ``from a import b`` yields a and a.b."""
    package = name_of(path).split(".")
    package = package if path.stem == "__init__" else package[:-1]
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, 0, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield module, node.level, node.lineno
            yield from ((f"{module}.{alias.name}", node.level, node.lineno) for alias in node.names)


def below(module: str, *packages: str) -> bool:
    return any(module == p or module.startswith(p + ".") for p in packages)


def offences(paths: list[Path], forbidden: tuple[str, ...], but: tuple[str, ...] = ()) -> list[str]:
    return [
        f"{p.relative_to(ROOT)}:{line} imports {module}"
        for p in paths
        for module, _, line in imports(p)
        if below(module, *forbidden) and not below(module, *but)
    ]


def test_there_is_something_to_read() -> None:
    assert len(files("grayscope")) > 30
    assert all(files(wing) for wing in WINGS)
    assert "grayscope.align" in {module for module, _, _ in imports(ROOT / "grayscope" / "engine.py")}


def test_the_core_imports_no_wing() -> None:
    assert offences(files("grayscope"), (*WINGS, *(f"grayscope.{w}" for w in WINGS))) == []


@pytest.mark.parametrize("wing", WINGS)
def test_a_wing_imports_the_core_and_its_own_wire_formats_only(wing: str) -> None:
    others = tuple(x for w in WINGS for x in (w, f"grayscope.{w}") if w != wing)
    assert offences(files(wing), others) == []
    for path in files(wing):
        for module, level, line in imports(path):
            if below(module, wing, f"grayscope.{wing}") and module != f"grayscope.{wing}":
                where = f"{path.relative_to(ROOT)}:{line} imports {module}"
                assert level == 1, f"{where}: siblings are imported relatively"
                assert module.split(".")[2].startswith("_"), f"{where}: only siblings of the form _name.py"


def test_only_pipelines_use_the_simulator() -> None:
    core = [p for p in files("grayscope") if p.parent.name != "fleet"]
    assert offences([*core, *files("collectors", "detectors")], ("grayscope.fleet",)) == []


def test_brokers_and_sinks_do_not_know_each_other() -> None:
    assert offences(files("grayscope/brokers"), ("grayscope.sinks",)) == []
    assert offences(files("grayscope/sinks"), ("grayscope.brokers",)) == []
    for path in files("grayscope/sinks"):
        siblings = tuple(f"grayscope.sinks.{p.stem}" for p in files("grayscope/sinks") if p != path and not p.stem.startswith("_"))
        assert offences([path], siblings) == []


@pytest.mark.parametrize("record", RECORDS)
def test_records_import_only_records(record: str) -> None:
    allowed = tuple(f"grayscope.{r}" for r in (*RECORDS, "errors"))
    path = ROOT / "grayscope" / f"{record}.py"
    assert offences([path], ("grayscope",), allowed) == []
    outside = {module.split(".")[0] for module, _, _ in imports(path)} - set(sys.stdlib_module_names)
    assert outside <= {"grayscope", "numpy", "pyarrow"}


def test_stations_and_detectors_know_no_clock_file_or_chance() -> None:
    paths = [*(ROOT / "grayscope" / f"{name}.py" for name in PURE), *files("detectors")]
    assert offences(paths, tuple(IMPURE)) == []
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            where = f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
            assert not (isinstance(node, ast.Name) and node.id in ("open", "input", "id") and path.parent.name == "detectors"), where
            assert not (isinstance(node, ast.Attribute) and node.attr == "random"), f"{where} uses chance"


def test_nothing_evaluates_text_or_unpickles() -> None:
    paths = files("grayscope", *WINGS)
    assert offences(paths, tuple(UNSAFE)) == []
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            where = f"{path.relative_to(ROOT)}:{node.lineno}"
            assert not (isinstance(node.func, ast.Name) and node.func.id in ("eval", "exec", "compile", "__import__")), where
            assert not any(k.arg == "allow_pickle" and not (isinstance(k.value, ast.Constant) and k.value.value is False) for k in node.keywords), where
            assert not any(k.arg == "shell" for k in node.keywords), where


def test_the_linter_agrees() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    if not linter.exists():
        pytest.skip("import-linter is not installed: pip install import-linter")
    done = subprocess.run([str(linter), "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout
    assert " 0 broken" in done.stdout
