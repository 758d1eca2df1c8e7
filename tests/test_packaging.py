"""Packaging: what is built holds everything, and what is installed works, wings included."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

import grayscope

ROOT = Path(__file__).parents[1]
WINGS = ("collectors", "detectors", "pipelines")
DATA = tuple(f"grayscope/{name}" for name in ("py.typed", "catalogue.toml", "events.toml", "mechanisms.toml", "modes.toml"))
pytestmark = pytest.mark.slow


def run(*argv: str | Path, cwd: Path, **more: str) -> str:
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("GRAYSCOPE_", "PYTHON"))} | more
    done = subprocess.run([str(a) for a in argv], cwd=cwd, capture_output=True, text=True, timeout=300, env=environ, check=False)
    assert done.returncode == 0, f"{argv}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources, as building writes beside them."""
    target = tmp_path_factory.mktemp("source") / "grayscope"
    unwanted = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist", "shared")
    shutil.copytree(ROOT, target, ignore=unwanted)
    return target


@pytest.fixture(scope="module")
def built(source: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The source distribution, and the wheel that is made from it."""
    pytest.importorskip("build")
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, source, cwd=out)
    (sdist,), (wheel,) = out.glob("*.tar.gz"), out.glob("*.whl")
    return sdist, wheel


def environment(folder: Path) -> Path:
    """Make a virtual environment that sees the packages of the running one, but not its grayscope."""
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    own = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip())
    # A path in a .pth file is searched, but the .pth files in it (editable installs) are not.
    (own / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def pip(python: Path, *argv: str | Path) -> None:
    run(
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "--disable-pip-version-check",
        "install",
        "--quiet",
        "--no-index",
        "--no-deps",
        *argv,
        cwd=python.parent,
    )


def works(python: Path, cwd: Path, **more: str) -> None:
    command = python.with_name("grayscope")
    assert run(command, "--version", cwd=cwd) == f"grayscope, version {grayscope.__version__}\n"
    assert "slower" in run(command, "list", "detectors", cwd=cwd)
    for wing in ("collectors", "pipelines", "brokers", "sinks"):
        assert len(run(command, "list", wing, cwd=cwd).splitlines()) > 1
    program = (
        "from grayscope import plugins, assembly, settings; assembly.engine(settings.Settings());"
        " [plugins.load(w, n) for w in plugins.WINGS for n in plugins.names(w)]"
    )
    run(python, "-W", "error::DeprecationWarning:grayscope", "-c", program, cwd=cwd, **more)


def modules(folder: Path) -> set[str]:
    """Where the files of a folder are installed."""
    paths = [p.relative_to(ROOT) for p in folder.rglob("*.py")]
    return {str("grayscope" / p if p.parts[0] in WINGS else p) for p in paths}


def test_the_wheel_holds_every_module_and_all_data(built: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(built[1]) as wheel:
        names = set(wheel.namelist())
        metadata = wheel.read(next(n for n in names if n.endswith(".dist-info/METADATA"))).decode()
        entries = wheel.read(next(n for n in names if n.endswith("entry_points.txt"))).decode()
    wanted = set().union(*(modules(ROOT / folder) for folder in ("grayscope", *WINGS)))
    assert wanted - names == set()
    assert set(DATA) - names == set()
    assert {n.split("/")[0] for n in names if not n.split("/")[0].endswith(".dist-info")} == {"grayscope"}
    assert any(n.endswith("licenses/LICENSE") for n in names)
    assert "License-Expression: Apache-2.0" in metadata
    assert "grayscope = grayscope.cli:main" in entries


def test_the_source_distribution_holds_what_a_build_needs(built: tuple[Path, Path]) -> None:
    with tarfile.open(built[0]) as sdist:
        names = {n.partition("/")[2] for n in sdist.getnames()}
    assert {"README.md", "LICENSE", "pyproject.toml", *DATA} - names == set()
    wanted = {str(p.relative_to(ROOT)) for folder in ("grayscope", *WINGS) for p in (ROOT / folder).rglob("*.py")}
    assert wanted - names == set()


def test_the_wheel_installed_works(built: tuple[Path, Path], tmp_path: Path) -> None:
    python = environment(tmp_path / "env")
    pip(python, built[1])
    works(python, tmp_path)
    where = run(python, "-c", "import grayscope, grayscope.detectors as d; print(grayscope.__file__, d.__file__)", cwd=tmp_path)
    assert all(part.startswith(str(tmp_path)) for part in where.split())


def test_an_editable_install_works(source: Path, tmp_path: Path) -> None:
    python = environment(tmp_path / "env")
    pip(python, "--no-build-isolation", "--editable", source)
    works(python, tmp_path, NUMBA_DISABLE_JIT="1")  # the wheel's kernels have been compiled: these are the same
    where = run(python, "-c", "import grayscope, grayscope.detectors as d; print(grayscope.__file__, d.__file__)", cwd=tmp_path)
    assert where.split() == [str(source / "grayscope" / "__init__.py"), str(source / "detectors" / "__init__.py")]
    # A detector is one new file: nothing to register.
    (source / "detectors" / "brand_new.py").write_text('"""New: just written."""\n')
    try:
        assert "just written." in run(python.with_name("grayscope"), "list", "detectors", cwd=tmp_path)
    finally:
        (source / "detectors" / "brand_new.py").unlink()
