"""Modes: every kind of trouble once, and the catalogue and the code use no other name."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from grayscope.catalogue import SIDES, Catalogue
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


def test_it_is_parsed_once() -> None:
    assert Modes.load() is MODES
