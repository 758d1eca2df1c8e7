"""Modes: every kind of trouble once, and the catalogue and the code use no other name."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from grayscope import plugins
from grayscope.catalogue import SIDES, Catalogue
from grayscope.eventpolicy import Policy
from grayscope.modes import SEVERITIES, Modes

ROOT = Path(__file__).parents[1]
MODES = Modes.load()
TABLES = frozenset(["node", "gpu", "pcie", "nvlink", "nic", "drive", "leaf", "mig", "port", "path", "job", "rank", "comm", "rail", "batch", "site"])


def test_names_and_words() -> None:
    for name, mode in MODES.modes.items():
        assert re.fullmatch(r"[a-z][a-z0-9_]*", name)
        assert mode.name == name
        assert mode.severity in SEVERITIES
        assert len(mode.runbook) > 20, f"{name}: the runbook says too little"
        assert mode.runbook.endswith(".")


def test_every_mode_and_every_side_says_what_would_refute_it() -> None:
    said = {**{name: mode.refuted for name, mode in MODES.modes.items()}, **MODES.refuted}
    assert {name for name, words in said.items() if not (len(words) > 20 and words.endswith("."))} == set()
    assert set(MODES.refuted) == set(SIDES)
    assert len(set(said.values())) == len(said), "each in its own words"


def test_sides_are_the_catalogues() -> None:
    for name, mode in MODES.modes.items():
        assert set(mode.sides) <= set(SIDES), name
        assert mode.sides or mode.severity == "notice", name


def test_what_pages_is_felt_by_the_workload_or_a_symptom() -> None:
    for name, mode in MODES.modes.items():
        if mode.severity == "page":
            assert set(mode.sides) & {"service", "condition"}, name


def test_mechanisms_exist_and_say_what_they_hide() -> None:
    for name, mode in MODES.modes.items():
        assert mode.mechanism is None or mode.mechanism in MODES.mechanisms, name
    for name, mechanism in MODES.mechanisms.items():
        assert mechanism.table in TABLES, name
        assert mechanism.hides, name
        assert mechanism.budget, name


def test_the_catalogue_uses_no_other_name() -> None:
    metrics = Catalogue.load().metrics.values()
    assert {m.mode for m in metrics if m.mode} <= set(MODES.modes)
    assert {m.mechanism for m in metrics if m.mechanism} <= set(MODES.mechanisms)
    assert {m.table for m in metrics} <= TABLES


def test_detectors_use_no_other_name() -> None:
    """Every text handed over as ``mode=`` in a detector is a mode."""
    found = {
        (path.name, keyword.value.value)
        for path in sorted((ROOT / "detectors").glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg == "mode" and isinstance(keyword.value, ast.Constant) and keyword.value.value
    }
    assert {mode for _, mode in found} <= set(MODES.modes)


def _constants(path: Path) -> set[str]:
    """Return the texts of a file that may be handed on as they are: not those that something is only looked up or compared with."""
    tree, only_named = ast.parse(path.read_text("utf-8")), set[int]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Set | ast.List | ast.Tuple | ast.Compare):
            only_named |= {id(part) for part in ast.iter_child_nodes(node)}
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in only_named}


def _said() -> dict[str, set[str]]:
    """Return which places may say each mode: metrics of the catalogue, rules of events, code of the core and of detectors that are no rivals."""
    said: dict[str, set[str]] = {}
    for metric in Catalogue.load().metrics.values():
        said.setdefault(metric.mode or "", set()).add(metric.name)
    for rule in Policy.load().rules:
        said.setdefault(rule.mode, set()).add(f"events: {rule.source}")
    detectors = [ROOT / "detectors" / f"{name}.py" for name in plugins.default_detectors()]
    for path in (*detectors, *sorted((ROOT / "grayscope").glob("*.py"))):
        for text in _constants(path):
            said.setdefault(text, set()).add(path.name)
    return said


def test_every_mode_is_said_by_something_or_gives_the_reason_why_not() -> None:
    said = _said()
    silent = {name for name, mode in MODES.modes.items() if mode.silence}
    assert {name: said[name] for name in sorted(silent & said.keys())} == {}
    assert {name for name in MODES.modes if name not in silent and name not in said} == set()
    assert all(len(MODES.modes[name].silence) > 40 and MODES.modes[name].severity == "notice" for name in silent)


def test_the_runbook_of_what_nothing_says_tells_so() -> None:
    for name, mode in MODES.modes.items():
        text = (ROOT / f"docs/runbooks/{name}.md").read_text("utf-8")
        assert ("**No alert carries this name.**" in text) == bool(mode.silence), name
        assert mode.silence in text


def test_it_is_parsed_once() -> None:
    assert Modes.load() is MODES
