"""Runs of a calibration: noise or a simulated trace through the very engine that runs live, and what it said of them."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from calibration_noise import NOISES, START, Source

from grayscope import assembly
from grayscope.brokers.parquet import Parquet
from grayscope.engine import Engine
from grayscope.fleet.scenario import load
from grayscope.fleet.simulation import Simulation
from grayscope.horizons import Horizons
from grayscope.incident import Incident
from grayscope.message import Message
from grayscope.score import score
from grayscope.settings import Settings
from grayscope.stretches import Stretches
from grayscope.trace import Trace

HOURS_OF_WEEK = 168.0
#: Ticks before a fault, so that everybody has a past.
BEFORE = 600


@dataclass(frozen=True)
class Task:
    """One piece of work for one process.

    Parameters
    ----------
    kind : str
        ``noise``, ``scenario`` or ``fault``.
    source : str
        Name of the noise or of the scenario.
    rates : tuple of float
        Configured false pages per 1,000 subject-weeks, each with an engine of its own.
    seed, subjects, period : int
        GPUs, and seconds.
    hours : float
    fault : str
        ``3 %`` or ``3 sigma``.
    detectors : tuple of str
        Empty: those that are on by default.
    """

    kind: str
    source: str
    rates: tuple[float, ...]
    seed: int
    subjects: int
    period: int
    hours: float
    fault: str = ""
    detectors: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Return it in a few words."""
        return f"{self.source}{f', {self.fault} at {self.period} s' if self.fault else ''}, seed {self.seed}, at {', '.join(f'{r:g}' for r in self.rates)}"


@dataclass
class Count:
    """What was said falsely at one configured rate, or how soon what was there was found.

    Parameters
    ----------
    weeks : float
        Subject-weeks.
    pages, tickets : int
        False ones.
    causes : Counter
        By severity, detector and metric of the strongest evidence when it was first said so loudly.
    delays : list of int
        In ticks, of the faults that were found.
    faults : int
    engines, tests : int
        Engines, and tests that ran at once in all of them together: subjects x metrics x horizons of the detectors that gather evidence.
    """

    kind: str
    source: str
    configured: float
    period: int
    fault: str = ""
    weeks: float = 0.0
    pages: int = 0
    tickets: int = 0
    causes: Counter[str] = field(default_factory=Counter)
    delays: list[int] = field(default_factory=list)
    faults: int = 0
    engines: int = 0
    tests: int = 0

    def add(self, other: Count) -> None:
        """Take another run of the same into account."""
        for k in ("weeks", "pages", "tickets", "faults", "engines", "tests"):
            setattr(self, k, getattr(self, k) + getattr(other, k))
        self.causes += other.causes
        self.delays += other.delays


def do(task: Task) -> list[Count]:
    """Do a task: one count for each configured rate."""
    return list({"noise": _noise, "scenario": _scenario, "fault": _fault}[task.kind](task))


def _noise(task: Task) -> Iterator[Count]:
    for rate in task.rates:
        source = _source(task)
        ticks = round(task.hours * 3600 / task.period)
        engine = _engine(source, rate, task.detectors)
        yield _counted(task, rate, [], engine, *_watched(engine, _messages(source, ticks)))


def _scenario(task: Task) -> Iterator[Count]:
    base = load(task.source)
    period = {"period_s": task.period, "link_period_s": max(base.link_period_s // task.period, 1) * task.period}
    chosen = base.but(nodes=max(task.subjects // base.gpus, 1), hours=task.hours, seed=task.seed, **period)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "trace")
        Simulation(chosen).write(path)
        trace = Trace.open(path)
        truth = trace.truth()
        rows = truth.to_pylist() if truth is not None else []
        for rate in task.rates:
            settings = Settings(false_pages_per_1000_gpu_weeks=rate)
            engine = assembly.engine(settings, catalogue=trace.catalogue, periods=trace.periods, eager=False)
            yield _counted(task, rate, rows, engine, *_watched(engine, Parquet(path).receive()))


def _fault(task: Task) -> Iterator[Count]:
    for rate in task.rates:
        source = _source(task)
        ticks = round(task.hours * 3600 / task.period)
        job = np.unique(source.job, return_index=True)[1]
        victims = (job + np.bincount(source.job) // 3).tolist()  # one of each job
        factor = np.ones(task.subjects)
        factor[victims] = 1.03 if task.fault == "3 %" else np.exp(3 * source.sigma())
        onset = START + (BEFORE + 1) * task.period * 1_000_000
        truth = [{"subject": source.gpus[v], "also": [source.ranks[v]], "mode": "slow_rank", "state": "gray", "began": onset, "ended": None} for v in victims]
        engine = _engine(source, rate, task.detectors)
        yield _counted(task, rate, truth, engine, *_watched(engine, _messages(source, BEFORE + ticks, factor)))


def _source(task: Task) -> Source:
    return Source(next(n for n in NOISES if n.name == task.source), task.subjects, task.period, task.seed)


def _engine(source: Source, rate: float, detectors: tuple[str, ...] = ()) -> Engine:
    settings = Settings(false_pages_per_1000_gpu_weeks=rate, detectors=detectors)
    return assembly.engine(settings, periods={source.noise.table: source.period * 1_000_000})


def _messages(source: Source, ticks: int, factor: np.ndarray[Any, Any] | None = None) -> Iterator[Message]:
    yield source.roster()
    yield from source.batches(ticks, factor, BEFORE)


def _watched(engine: Engine, messages: Iterable[Message]) -> tuple[dict[str, Incident], dict[tuple[str, str], str]]:
    """Return all incidents in their last form, and why each was first said at each severity."""
    found: dict[str, Incident] = {}
    causes: dict[tuple[str, str], str] = {}
    for output in (*map(engine.step, messages), engine.flush()):
        for incident in output.incidents:
            found[incident.id] = incident
            key = (incident.id, incident.severity)
            if key not in causes:
                last = incident.evidence[-1] if incident.evidence else {}
                heard = [f for f in output.evidence if f.subject in (incident.subject, last.get("subject")) and f.metric == last.get("metric")]
                by = max(heard, key=lambda f: f.strength).detector if heard else "earlier"
                causes[key] = f"{incident.severity}: {by} of {last.get('metric') or incident.mode}"
    return found, causes


def tests(engine: Engine) -> int:
    """Return how many running means and changes an engine holds against a threshold at once: cells that were ever judged, by horizon."""
    together = 0
    for detector in engine.detectors:
        if isinstance(detector, Stretches):
            together += sum(len(detector.plan.spans) * int(np.count_nonzero(c.arrays["seen"])) for c in detector.memory.tables.values())
        elif isinstance(horizons := getattr(detector, "horizons", None), Horizons):
            together += sum(int(np.count_nonzero(c.arrays["seen"])) for c in horizons.memory.tables.values())
    return together


def _counted(
    task: Task, rate: float, truth: list[dict[str, Any]], engine: Engine, found: dict[str, Incident], causes: dict[tuple[str, str], str]
) -> Count:  # fmt: skip
    weeks = task.subjects * task.hours / HOURS_OF_WEEK
    said = [{k: getattr(i, k) for k in ("id", "subject", "severity", "mode", "rivals", "history", "ended")} for i in found.values()]
    part = score(truth, said, weeks).overall
    count = Count(task.kind, task.source, rate, task.period, task.fault, weeks, faults=len(part.finds), engines=1, tests=tests(engine))
    count.pages, count.tickets = (sum(s.severity == severity for s in part.false) for severity in ("page", "ticket"))
    count.causes.update(causes.get((s.id, s.severity), f"{s.severity}: unknown") for s in part.false)
    count.delays = [round(f.delay / (task.period * 1e6)) for f in part.found]
    return count
