"""Benchunits: the pieces of work of a bench, each cached by content: make a trace, run one detector set on it, score that."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grayscope.scoreboard import HOME, Run

from ._benchkeys import digest, plugin, replayer, simulator

if TYPE_CHECKING:
    from grayscope.fleet.scenario import Scenario


@dataclass(frozen=True)
class Source:
    """Where a trace comes from: a simulated scenario, or a recorded `file` with the `mapping` that imports it.

    Parameters
    ----------
    name : str
        Of the scenario or the set.
    seed : int
    nodes : int or None
    hours : float or None
        None: as the scenario says.
    file, mapping : Path, optional
        Recorded sets only.
    """

    name: str
    seed: int = 0
    nodes: int | None = None
    hours: float | None = None
    file: Path | None = None
    mapping: Path | None = None

    @property
    def kind(self) -> str:
        """Return ``simulated`` or ``real``."""
        return "simulated" if self.file is None else "real"

    def scenario(self) -> Scenario:
        """Return what is simulated."""
        from grayscope.fleet.scenario import load

        return load(self.name).but(nodes=self.nodes, hours=self.hours, seed=self.seed)

    def key(self) -> str:
        """Return the name of its trace in the cache."""
        if self.file is None:
            return digest([], simulator(), self.scenario())
        assert self.mapping is not None
        beside = [p for p in self.file.parent.iterdir() if p.is_file() and p.suffix == ".csv" and p.stat().st_size < 1_000_000]
        return digest([self.file, self.mapping, *beside], plugin("collectors", "table"))


@dataclass(frozen=True)
class Unit:
    """A piece of work: without a detector, make the trace; with one, replay and score it.

    Parameters
    ----------
    source : Source
    cache : Path
    work : Path
        Where unfinished things lie; whoever owns the bench removes it.
    trace : str
        Key of the trace.
    detector : str
        A rival's name or ``grayscope``; empty: make the trace.
    results : str
        Key of the results.
    """

    source: Source
    cache: Path
    work: Path
    trace: str
    detector: str = ""
    results: str = ""

    @property
    def name(self) -> str:
        """Return what to call it in front of people."""
        source = f"{self.source.name} seed {self.source.seed}" if self.source.kind == "simulated" else self.source.name
        return f"{self.detector} on {source}" if self.detector else f"trace of {source}"


def members(detector: str) -> list[str]:
    """Return the detectors of a set."""
    from grayscope import plugins

    return plugins.default_detectors() if detector == HOME else [detector]


def results_key(detector: str) -> str:
    """Return a digest of all that results depend on besides the trace."""
    return digest([], replayer(), *(f"{name} {plugin('detectors', name)}" for name in members(detector)))


def do(unit: Unit) -> Run | None:
    """Do one unit, or take it from the cache; returns the scored run, None for a trace."""
    if not unit.detector:
        _make(unit)
        return None
    return _scored(unit)


def _make(unit: Unit) -> None:
    with _kept(unit, unit.cache / "traces" / unit.trace) as folder:
        if folder is None:
            return
        if unit.source.file is None:
            from grayscope.fleet.simulation import Simulation

            Simulation(unit.source.scenario()).write(folder)
            return
        from grayscope import plugins
        from grayscope.tracewriter import TraceWriter

        table = plugins.collector("table", unit.source.file, unit.source.mapping)
        with TraceWriter(folder, cluster=table.cluster, note=table.note, tables=table.tables, metrics=table.metrics) as writer:
            table.write(writer)


def _scored(unit: Unit) -> Run:
    from grayscope.exposure import exposure
    from grayscope.results import read_results
    from grayscope.score import score
    from grayscope.trace import Trace
    from grayscope.tracefiles import read_table

    path = unit.cache / "results" / f"{unit.trace}-{unit.results}"
    with _kept(unit, path) as folder:
        if folder is not None:
            _replay(unit, folder)
    truth = Trace.open(unit.cache / "traces" / unit.trace).truth()
    said = read_results(path)
    weeks, _ = exposure(said.coverage)
    rows = [] if truth is None else [_accelerated(unit.source, row) for row in truth.to_pylist()]
    found = score(rows, said.incidents, weeks, ledger=read_table(path / "ledger.parquet"))
    seconds = json.loads((path / "cost.json").read_text("utf-8"))["cpu_seconds"]
    return Run(unit.detector, unit.source.name, unit.source.kind, unit.source.seed, found, weeks, seconds)


def _replay(unit: Unit, folder: Path) -> None:
    from grayscope.replaying import replay
    from grayscope.settings import Settings

    began = time.process_time()
    replay(unit.cache / "traces" / unit.trace, settings=Settings(cluster=unit.source.name, detectors=tuple(members(unit.detector))), out=folder)
    (folder / "cost.json").write_text(json.dumps({"cpu_seconds": round(time.process_time() - began, 3)}) + "\n", "utf-8")


def _accelerated(source: Source, row: dict[str, Any]) -> Mapping[str, Any]:
    """Return a row of truth with how many times too often its like was planted, where the scenario says so."""
    if source.file is not None or row.get("x-acceleration") is not None:
        return row
    from grayscope.fleet.hazards import hazards

    scenario, hazard = source.scenario(), hazards().get(row["mode"])
    if hazard is None:
        return row
    planted = 1.0 if row["state"] == "benign" or hazard.share else scenario.acceleration
    return {**row, "x-acceleration": max(planted * scenario.speed.get(row["mode"], 1.0), 1e-9)}


@contextmanager
def _kept(unit: Unit, path: Path) -> Iterator[Path | None]:
    """Give a folder to fill that becomes `path` when all went well; None if `path` is there already."""
    if path.exists():
        yield None
        return
    unit.work.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=unit.work))
    try:
        yield folder / "made"
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():  # another bench may have been faster
            (folder / "made").rename(path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
