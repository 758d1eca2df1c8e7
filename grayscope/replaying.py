"""Replaying: run a recorded trace through the very engine that runs live."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grayscope import __version__, assembly
from grayscope.brokers.parquet import Parquet
from grayscope.engine import Engine, Output
from grayscope.results import ResultsWriter, tables
from grayscope.run import Run as Run
from grayscope.run import Said
from grayscope.settings import Settings, load_settings
from grayscope.trace import Trace

if TYPE_CHECKING:
    from grayscope.evidence import Evidence
    from grayscope.incident import Incident
    from grayscope.ledger import Entry
    from grayscope.verdict import Verdict

#: Told after every message: event time reached (microseconds), rows read.
Progress = Callable[[int, int], None]


def replay(
    path: str | Path, *, settings: Settings | None = None, out: str | Path | None = None, detectors: Sequence[str] | None = None,
    scores: bool = False, progress: Progress | None = None,
) -> Run:  # fmt: skip
    """Replay a trace and return what was said, for the eyes of a notebook too; the same rows always give the same bits.

    Parameters
    ----------
    path : path
        A trace directory.
    settings : Settings, optional
        Default: environment and built-in defaults.
    out : path, optional
        Also write a results directory there.
    detectors : sequence of str, optional
        By name; overrides the settings.
    scores : bool
        Keep the evidence stream.
    progress : callable, optional
        Told after every message: event time reached, rows read.

    Returns
    -------
    Run
        Frames, incidents, evidence and plots; see `grayscope.run.Run`.

    Raises
    ------
    InputError
        The trace is wrong: names file, row or key.
    """
    settings = settings or load_settings()
    if detectors:
        settings = replace(settings, detectors=tuple(detectors))
    trace = Trace.open(path)
    engine = assembly.engine(settings, catalogue=trace.catalogue, periods=trace.periods, eager=False)
    broker = Parquet(path)
    outputs = Collected(scores)
    began = time.perf_counter()
    for message in broker.receive():
        outputs.add(engine.step(message))
        if progress is not None and engine.align.now is not None:
            progress(engine.align.now, engine.align.counts["rows"])
    outputs.add(engine.flush())
    counts = {**broker.counts, **engine.counts}
    took = time.perf_counter() - began
    if out is not None:
        outputs.write(Path(out), engine, about(trace, settings, counts, took))
    found = outputs.latest()
    frames = tables(outputs.verdicts, found, outputs.evidence, engine.coverage, outputs.ledger)
    return Run(
        frames.__getitem__, lambda: about(trace, settings, counts, took), trace.cluster, trace.path, said=Said(found, outputs.ledger, counts)
    )  # fmt: skip


class Collected:
    """The outputs of a run: verdicts in order, the latest of each incident, the ledger, the evidence if asked for."""

    def __init__(self, scores: bool = False) -> None:
        self.keep_scores = scores
        self.verdicts: list[Verdict] = []
        self.incidents: dict[str, Incident] = {}
        self.evidence: list[Evidence] = []
        self.ledger: list[Entry] = []

    def add(self, output: Output) -> None:
        """Take one output."""
        self.verdicts += output.verdicts
        self.ledger += output.ledger
        self.incidents |= {i.id: i for i in output.incidents}
        if self.keep_scores and len(output.evidence):
            self.evidence.append(output.evidence)

    def latest(self) -> list[Incident]:
        """Return every incident as it stands, by time noticed."""
        return sorted(self.incidents.values(), key=lambda i: (i.noticed, i.id))

    def write(self, out: Path, engine: Engine, run: dict[str, Any]) -> None:
        """Write a results directory."""
        writer = ResultsWriter(out, scores=self.keep_scores)
        writer.verdicts(self.verdicts)
        writer.incidents(self.latest())
        writer.ledger(self.ledger)
        for evidence in self.evidence:
            writer.evidence(evidence)
        writer.close(engine.coverage, run)


def about(trace: Trace | None, settings: Settings, counts: Mapping[str, int], seconds: float) -> dict[str, Any]:
    """Return what ``run.json`` says of a run that took so many seconds, over a trace or live."""
    return {
        "versions": _versions(), "trace": trace.cluster if trace else settings.cluster, "input": trace.digest() if trace else None,
        "counts": dict(counts), "settings": _plain(settings),
        "seconds": round(seconds, 3),
    }  # fmt: skip


def _plain(settings: Settings) -> dict[str, Any]:
    # Receivers may carry passwords in their URLs.
    return {f: getattr(settings, f) for f in settings.__slots__ if f != "webhook_urls"}


def _versions() -> dict[str, str]:
    return {"grayscope": __version__, **{name: metadata.version(name) for name in ("numba", "numpy", "polars", "pyarrow")}}
