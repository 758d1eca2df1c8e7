"""Plugins: a file is a plugin, its name is the plugin's name."""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path

import pytest

from grayscope import plugins
from grayscope.errors import MissingPackage, UsageError

ROOT = Path(__file__).parents[1]
FOLDERS = {"collectors": ROOT / "collectors", "detectors": ROOT / "detectors", "pipelines": ROOT / "pipelines",
           "brokers": ROOT / "grayscope" / "brokers", "sinks": ROOT / "grayscope" / "sinks"}  # fmt: skip


@pytest.mark.parametrize("wing", plugins.WINGS)
def test_every_file_is_found_and_says_what_it_is(wing: str) -> None:
    files = sorted(p.stem.rstrip("_") for p in FOLDERS[wing].glob("*.py") if not p.stem.startswith("_"))
    assert plugins.names(wing) == files
    for name in files:
        line = plugins.summary(wing, name)
        assert line[:1].strip(), name
        assert "\n" not in line
        first = next(p for p in FOLDERS[wing].glob(f"{name}*.py") if p.stem.rstrip("_") == name).read_text("utf-8").partition("\n")[0]
        assert re.match(r'r?"""\S.*: \S', first), f"{wing}/{name}: the first line is to say `Name: what it is.`"


@pytest.mark.parametrize("wing", plugins.WINGS)
def test_every_plugin_loads(wing: str) -> None:
    for name in plugins.names(wing):
        try:
            loaded = plugins.load(wing, name)
        except MissingPackage:
            continue
        assert callable(loaded)
        if wing == "pipelines":
            assert loaded.name in (None, name, "command"), name
        else:
            assert inspect.isclass(loaded)
            assert loaded.__name__.lower() == name.replace("_", "")


def test_default_detectors_are_those_that_are_no_rivals() -> None:
    rivals = {n for n in plugins.names("detectors") if plugins.load("detectors", n).rival}
    assert set(plugins.default_detectors()) == set(plugins.names("detectors")) - rivals
    assert "slower" in plugins.default_detectors()


@pytest.mark.parametrize(
    ("wing", "name", "words"),
    [
        ("detectors", "sloer", "no detector is called 'sloer': did you mean 'slower'?"),
        ("detectors", "../grayscope/align", "no detector is called"),
        ("detectors", "", "no detector is called '': known: "),
        ("sinks", "_tableread", "no sink is called"),
        ("detectrs", "slower", "no wing is called 'detectrs': did you mean 'detectors'?"),
    ],
)
def test_unknown_names_are_answered_with_the_nearest(wing: str, name: str, words: str) -> None:
    with pytest.raises(UsageError) as error:
        plugins.load(wing, name)
    assert words in str(error.value)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of somebody else's detectors."""
    from grayscope import detectors

    monkeypatch.setattr(detectors, "__path__", [*detectors.__path__, str(tmp_path)])
    return tmp_path


def test_a_folder_added_to_the_path_is_part_of_the_wing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "ours_alone.py").write_text('"""Ours: finds what only we have."""\nclass OursAlone:\n    rival = True\n')
    monkeypatch.setitem(sys.modules, "grayscope.detectors.ours_alone", None)
    monkeypatch.delitem(sys.modules, "grayscope.detectors.ours_alone")
    assert "ours_alone" in plugins.names("detectors")
    assert plugins.summary("detectors", "ours_alone") == "finds what only we have."
    assert plugins.load("detectors", "ours_alone").rival
    assert "ours_alone" not in plugins.default_detectors()


def test_what_is_not_installed_gives_the_line_that_installs_it(folder: Path) -> None:
    (folder / "needy.py").write_text('"""Needy: needs."""\nimport no_such_package.part\n')
    with pytest.raises(MissingPackage, match=r"^detector needy needs no_such_package: pip install no_such_package$"):
        plugins.load("detectors", "needy")


def test_a_broken_import_of_our_own_is_not_hidden(folder: Path) -> None:
    (folder / "broken.py").write_text('"""Broken: breaks."""\nimport grayscope.no_such_module\n')
    with pytest.raises(ModuleNotFoundError, match=r"grayscope\.no_such_module"):
        plugins.load("detectors", "broken")


def test_a_file_without_its_class_is_said_to_be_so(folder: Path) -> None:
    (folder / "hollow.py").write_text('"""Hollow: holds nothing."""\n')
    with pytest.raises(UsageError, match=r"hollow\.py holds no Hollow"):
        plugins.load("detectors", "hollow")


def test_summaries_import_nothing(folder: Path) -> None:
    (folder / "loud.py").write_text('"""Loud: shouts at import."""\nraise RuntimeError\n')
    assert plugins.summary("detectors", "loud") == "shouts at import."


def test_an_outline_says_what_the_class_says_without_importing_it() -> None:
    for name in plugins.names("collectors"):
        methods, needed = plugins.outline("collectors", name)
        made = plugins.load("collectors", name)
        assert ("collect" in methods) == hasattr(made, "collect"), name
        wanted = [p for p in list(inspect.signature(made.__init__).parameters.values())[1:] if p.default is p.empty and p.kind is not p.VAR_KEYWORD]
        assert needed == tuple(p.name for p in wanted), name


def test_an_outline_sees_what_a_sibling_brings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from grayscope import collectors

    monkeypatch.setattr(collectors, "__path__", [str(tmp_path)])
    (tmp_path / "_base.py").write_text("class Base:\n    def __init__(self, root, *, node): ...\n    def collect(self): ...\n")
    (tmp_path / "heir.py").write_text("import not_installed\nfrom ._base import Base\nclass Heir(Base):\n    def read(self): ...\n")
    (tmp_path / "lone.py").write_text("from ._none import Base\nclass Lone(Base, Lone):\n    def __init__(self, url, limit=1): ...\n")
    assert plugins.outline("collectors", "heir") == (frozenset({"__init__", "collect", "read"}), ("root", "node"))
    assert plugins.outline("collectors", "lone") == (frozenset({"__init__"}), ("url",))
