"""Runs of an ablation: one simulated trace, one part off, scored; kept in a file, so that a broken-off ablation goes on where it was."""

from __future__ import annotations

import inspect
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import ablation_parts
from ablation_parts import WHOLE, Part, off

from grayscope.fleet.scenario import load
from grayscope.fleet.simulation import Simulation
from grayscope.pipelines._benchkeys import digest, plugin, replayer, simulator
from grayscope.replaying import replay
from grayscope.score import score
from grayscope.settings import Settings
from grayscope.trace import Trace

#: What scoring looks at.
SAID = ("id", "subject", "severity", "mode", "rivals", "history", "ended")
#: Simulated GPUs in a node; rates are no part of the page, so that the scenario's own number matters little.
GPUS, HOURS_OF_WEEK = 8, 168.0


@dataclass(frozen=True)
class Source:
    """One simulated trace."""

    scenario: str
    seed: int
    nodes: int
    hours: float

    @property
    def name(self) -> str:
        """Return it in a few words."""
        return f"{self.scenario} {self.seed}"


@dataclass(frozen=True)
class Task:
    """One piece of work for one process; `folder` is where the trace lies."""

    source: Source
    part: str
    folder: str

    @property
    def name(self) -> str:
        """Return it in a few words."""
        return f"{self.source.name} {'with' if self.part == WHOLE else 'without'} {self.part}"


@dataclass(frozen=True)
class Figures:
    """What was planted, and what was said of it; figures add up over traces.

    Parameters
    ----------
    false, pages : int
        False pages and tickets, and how many of them are pages.
    delays : tuple of int
        Seconds from onset to being found.
    """

    rows: int = 0
    found: int = 0
    matched: int = 0
    false: int = 0
    pages: int = 0
    exact: int = 0
    right: int = 0
    repeats: int = 0
    delays: tuple[int, ...] = ()
    seconds: float = 0.0

    def __add__(self, other: Figures) -> Figures:
        return Figures(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    @property
    def precision(self) -> float:
        """Return matched incidents over matched and false ones; 1 where nothing was said."""
        return self.matched / (self.matched + self.false) if self.matched + self.false else 1.0

    @property
    def recall(self) -> float:
        """Return the share of what was planted that was found; 1 where nothing was."""
        return self.found / self.rows if self.rows else 1.0

    @property
    def f1(self) -> float:
        """Return the harmonic mean of both."""
        p, r = self.precision, self.recall
        return 2 * p * r / (p + r) if p + r else 0.0

    @property
    def delay(self) -> float | None:
        """Return the median delay, None where nothing was found."""
        return statistics.median(self.delays) if self.delays else None

    @property
    def said(self) -> Figures:
        """Return all but the time that it took."""
        return replace(self, seconds=0.0)


def make(source: Source, folder: Path) -> Path:
    """Write a trace once; it is there whole or not at all."""
    scenario = load(source.scenario).but(nodes=source.nodes, hours=source.hours, seed=source.seed)
    path = folder / f"{source.scenario}-{source.seed}-{digest([], simulator(), scenario)}"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as work:
            Simulation(scenario).write(Path(work, "trace"))
            Path(work, "trace").rename(path)
    return path


def do(task: Task) -> Figures:
    """Replay a trace without a part, and score it."""
    part = next(p for p in ablation_parts.parts() if p.name == task.part)
    truth = Trace.open(task.folder).truth()
    began = time.process_time()
    with off(part):
        run = replay(task.folder, settings=Settings(cluster=task.source.scenario, detectors=part.detectors))
    seconds = time.process_time() - began
    said = [{k: getattr(i, k) for k in SAID} for i in run.found]
    of = score(truth.to_pylist() if truth is not None else [], said, task.source.nodes * GPUS * task.source.hours / HOURS_OF_WEEK).overall
    found = of.found
    exact, right = sum(f.exact for f in found), sum(f.right for f in found)
    pages, delays = sum(i.severity == "page" for i in of.false), tuple(round(f.delay / 1e6) for f in found)
    return Figures(len(of.finds), len(found), of.matched, len(of.false), pages, exact, right, len(of.repeats), delays, round(seconds, 2))


class Kept:
    """Figures in a file of JSON lines, each under a name that changes when anything that it depends on does."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.figures: dict[str, Figures] = {}
        for line in file.read_text("utf-8").splitlines() if file.exists() else []:
            try:
                key, figures = json.loads(line)
                self.figures[key] = Figures(**(figures | {"delays": tuple(figures["delays"])}))
            except (ValueError, TypeError, KeyError):  # the last line of a run that was killed
                continue

    def key(self, source: Source, part: Part) -> str:
        """Return the name of the figures of a part on a trace."""
        patched = [f"{target} {_text(instead)}" for target, instead in part.patches.items()]
        return digest([], simulator(), replayer(), *(plugin("detectors", d) for d in part.detectors), source, part.name, *patched)

    def put(self, key: str, figures: Figures) -> None:
        """Keep figures at once: the next thing may be the power switch."""
        self.figures[key] = figures
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.file.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps([key, asdict(figures)]) + "\n")


def _text(instead: object) -> str:
    return inspect.getsource(instead) if inspect.isfunction(instead) else repr(instead)


def missing(kept: Kept, sources: Sequence[Source], chosen: Sequence[Part]) -> list[tuple[Source, Part]]:
    """Return what is still to do: trace by trace, everything on first."""
    return [(s, p) for s in sources for p in chosen if kept.key(s, p) not in kept.figures]
