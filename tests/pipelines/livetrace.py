"""A generated trace for the tests of `grayscope live`, commands in this process, and verdicts by subject; no tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from click.testing import CliRunner

from grayscope import plugins
from grayscope.fleet import Fleet
from grayscope.fleet.faults import Fault


def write(path: Path) -> Path:
    """Write half an hour of three nodes, one GPU of which throttles."""
    Fleet(nodes=3, hours=0.5, seed=102, faults=[Fault("n002/gpu3", "thermal_throttle", "gray", 600.0, strength=0.2)]).write(path)
    return path


def run(name: str, *words: object, **environ: str) -> Any:
    done = CliRunner(env=environ).invoke(plugins.load("pipelines", name), [str(w) for w in words], standalone_mode=False)
    assert done.exception is None, (done.output, done.exception)
    return done


def by_subject(verdicts: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for v in verdicts:
        told = {k: x for k, x in v.items() if k not in ("grayscope", "kind", "cell")}
        found.setdefault(v["subject"], []).append(told)
    return found
