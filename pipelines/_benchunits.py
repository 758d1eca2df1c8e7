"""Benchunits: the pieces of work of a bench, each cached by content: make a trace, run detectors on it, score them."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grayscope.scoreboard import HOME, Run

from ._benchkeys import digest, importer, plugin, replayer, simulator

if TYPE_CHECKING:
    from grayscope.abreast import Cost
    from grayscope.fleet.scenario import Scenario
    from grayscope.settings import Settings


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

    @property
    def title(self) -> str:
        """Return what to call it in front of people."""
        return f"{self.name} seed {self.seed}" if self.kind == "simulated" else self.name

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
        return digest([self.file, self.mapping, *beside], importer())


@dataclass(frozen=True)
class Unit:
    """A piece of work: without detectors, make the trace; with some, replay it once for all of them, and score each.

    Parameters
    ----------
    source : Source
    cache : Path
    work : Path
        Where unfinished things lie; whoever owns the bench removes it.
    trace : str
        Key of the trace.
    results : tuple of (str, str)
        Rivals, or ``grayscope`` alone, each with the key of its results; empty: make the trace.
    """

    source: Source
    cache: Path
    work: Path
    trace: str
    results: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        """Return what to call it in front of people."""
        if not self.results:
            return f"trace of {self.source.title}"
        detectors = [d for d, _ in self.results]
        return f"{detectors[0] if len(detectors) == 1 else f'{len(detectors)} rivals'} on {self.source.title}"

    @property
    def trace_path(self) -> Path:
        """Return where the trace is kept."""
        return self.cache / "traces" / self.trace

    def path(self, key: str) -> Path:
        """Return where results are kept."""
        return self.cache / "results" / f"{self.trace}-{key}"

    @property
    def missing(self) -> list[str]:
        """Return the detectors whose results are not in the cache; of a trace that is not there, an empty name."""
        if not self.results:
            return [] if self.trace_path.exists() else [""]
        return [d for d, key in self.results if not self.path(key).exists()]


@dataclass(frozen=True)
class Failed:
    """One detector that came to nothing on a trace while others went on."""

    name: str
    why: str


def members(detector: str) -> list[str]:
    """Return the detectors of a set."""
    from grayscope import plugins

    return plugins.default_detectors() if detector == HOME else [detector]


def results_key(detector: str) -> str:
    """Return a digest of all that results depend on besides the trace."""
    return digest([], replayer(), *(f"{name} {plugin('detectors', name)}" for name in members(detector)))


def do(unit: Unit) -> list[Run | Failed]:
    """Do one unit as far as it is not in the cache; returns the scored runs, none for a trace."""
    if not unit.results:
        _make(unit)
        return []
    failed = _replayed(unit)
    truth = _truth(unit)
    return [Failed(f"{d} on {unit.source.title}", failed[d]) if d in failed else _scored(unit, d, key, truth) for d, key in unit.results]


def _make(unit: Unit) -> None:
    with _kept(unit, unit.trace_path) as folder:
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


def _replayed(unit: Unit) -> dict[str, str]:
    """Run those whose results are not in the cache in one pass; returns the errors of those that failed."""
    from grayscope.settings import Settings

    missing, settings = unit.missing, Settings(cluster=unit.source.name)
    with ExitStack() as stack:
        outs = {d: out for d, key in unit.results if d in missing and (out := stack.enter_context(_kept(unit, unit.path(key)))) is not None}
        costs = _alone(unit, *next(iter(outs.items())), settings) if outs and len(unit.results) == 1 else _abreast(unit, outs, settings)
        for name, cost in costs.items():
            if cost.error is None:
                seconds = {"cpu_seconds": round(cost.own + cost.common / cost.among, 3), "cpu_seconds_alone": round(cost.own + cost.common, 3)}
                (outs[name] / "cost.json").write_text(json.dumps(seconds) + "\n", "utf-8")
    return {name: cost.error for name, cost in costs.items() if cost.error is not None}


def _alone(unit: Unit, detector: str, out: Path, settings: Settings) -> dict[str, Cost]:
    """Run one set by itself, as grayscope must: its doubts reach back into what it compares."""
    from grayscope.abreast import Cost
    from grayscope.replaying import replay

    began = time.process_time()
    replay(unit.trace_path, settings=replace(settings, detectors=tuple(members(detector))), out=out)
    return {detector: Cost(time.process_time() - began)}


def _abreast(unit: Unit, outs: Mapping[str, Path], settings: Settings) -> dict[str, Cost]:
    from grayscope.abreast import replay_abreast

    return replay_abreast(unit.trace_path, outs, settings) if outs else {}


def _truth(unit: Unit) -> list[Mapping[str, Any]]:
    from grayscope.trace import Trace

    truth = Trace.open(unit.trace_path).truth()
    return [] if truth is None else [_accelerated(unit.source, row) for row in truth.to_pylist()]


def _scored(unit: Unit, detector: str, key: str, truth: Sequence[Mapping[str, Any]]) -> Run:
    from grayscope.exposure import exposure
    from grayscope.results import read_results
    from grayscope.score import score
    from grayscope.tracefiles import read_table

    path = unit.path(key)
    said = read_results(path)
    weeks, _ = exposure(said.coverage)
    found = score(truth, said.incidents, weeks, ledger=read_table(path / "ledger.parquet"))
    cost = json.loads((path / "cost.json").read_text("utf-8"))
    source = unit.source
    return Run(detector, source.name, source.kind, source.seed, found, weeks, cost["cpu_seconds"], cost["cpu_seconds_alone"])


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
    """Give a folder to make that becomes `path` when all went well; None if `path` is there already."""
    if path.exists():
        yield None
        return
    unit.work.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=unit.work))
    try:
        yield folder / "made"
        path.parent.mkdir(parents=True, exist_ok=True)
        if (folder / "made").exists() and not path.exists():  # another bench may have been faster
            (folder / "made").rename(path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
