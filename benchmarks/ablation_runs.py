"""Runs of an ablation: one trace, one part off, scored; kept in a file, so that a broken-off ablation goes on where it was."""

from __future__ import annotations

import inspect
import json
import statistics
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import ablation_parts
from ablation_parts import WHOLE, Part, off

from grayscope.incident import Incident
from grayscope.matching import COUNTED, Row, row_of, said_of, settle
from grayscope.pipelines import _benchunits
from grayscope.pipelines._benchkeys import CORE, digest, plugin, replayer
from grayscope.pipelines._benchunits import Source, Unit
from grayscope.replaying import replay
from grayscope.score import score
from grayscope.settings import Settings
from grayscope.trace import Trace

#: What scoring looks at.
SAID = ("id", "subject", "severity", "mode", "rivals", "history", "ended")
#: Rates are no part of the page.
WEEKS = 1.0


@dataclass(frozen=True)
class Task:
    """One piece of work for one process; `folder` is where the trace lies."""

    source: Source
    part: str
    folder: str

    @property
    def name(self) -> str:
        """Return it in a few words."""
        return f"{self.source.title} {'with' if self.part == WHOLE else 'without'} {self.part}"


@dataclass(frozen=True)
class Figures:
    """What was planted, and what was said of it; figures add up over traces.

    Parameters
    ----------
    false, pages : int
        False pages and tickets, and how many of them are pages.
    called : int
        Found ones whose incident goes by the right mode.
    explained : int
        Planted look-alikes that a notice speaks of.
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
    called: int = 0
    explained: int = 0
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


def make(source: Source, cache: Path) -> Path:
    """Write a trace once; it is there whole or not at all."""
    (cache / "traces").mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as work:
        unit = Unit(source, cache, Path(work), source.key())
        _benchunits.do(unit)
    return unit.trace_path


def do(task: Task) -> Figures:
    """Replay a trace without a part, and score it."""
    part = next(p for p in ablation_parts.parts() if p.name == task.part)
    table = Trace.open(task.folder).truth()
    truth = table.to_pylist() if table is not None else []
    began = time.process_time()
    with off(part):
        run = replay(task.folder, settings=Settings(cluster=task.source.name, detectors=part.detectors))
    seconds = time.process_time() - began
    of = score(truth, [_plain(i) for i in run.found], WEEKS).overall
    found = of.found
    return Figures(
        rows=len(of.finds), found=len(found), matched=of.matched, false=len(of.false), pages=sum(i.severity == "page" for i in of.false),
        exact=sum(f.exact for f in found), right=sum(f.right for f in found), repeats=len(of.repeats),
        called=sum(f.incident is not None and f.incident.mode == f.row.mode for f in found),
        explained=explained([r for r in map(row_of, truth) if r.state == "benign"], run.found),
        delays=tuple(round(f.delay / 1e6) for f in found), seconds=round(seconds, 2),
    )  # fmt: skip


def explained(benign: Sequence[Row], found: Iterable[Incident]) -> int:
    """Return of how many look-alikes a notice speaks: what is matched is matched as if notices counted."""
    notices = [said_of(_plain(i), 2**62) for i in found if i.severity not in COUNTED]
    loud = [replace(s, history=tuple((t, state, COUNTED[0]) for t, state, _ in s.history)) for s in notices]
    return sum(f.incident is not None for f in settle(benign, loud)[0])


def _plain(incident: Incident) -> dict[str, Any]:
    return {k: getattr(incident, k) for k in SAID}


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
        return digest(
            [Path(__file__), CORE / "matching.py", CORE / "score.py"],
            source.key(),
            replayer(),
            *(plugin("detectors", d) for d in part.detectors),
            source.name,
            part.name,
            *patched,
        )

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
