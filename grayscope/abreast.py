"""Abreast: several rivals on one trace: read, aligned and compared once, then each with its own patience and desk."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ParamSpec

from grayscope import assembly
from grayscope.brokers.parquet import Parquet
from grayscope.engine import Engine
from grayscope.errors import UsageError, shorten
from grayscope.replaying import Collected, about
from grayscope.settings import Settings
from grayscope.standing import Standing
from grayscope.tick import Tick
from grayscope.trace import Trace

P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class Cost:
    """What one rival's run cost, or why there is none.

    Parameters
    ----------
    own : float
        CPU seconds of its own detector, judge and desk, and of writing its results.
    common : float
        CPU seconds of all that it shared: reading, aligning, comparing.
    among : int
        How many shared that.
    error : str, optional
        Why it was given up; the others went on.
    """

    own: float = 0.0
    common: float = 0.0
    among: int = 1
    error: str | None = None


@dataclass(slots=True)
class Lane:
    """One rival on its way."""

    settings: Settings
    out: Path
    engine: Engine | None = None
    outputs: Collected = field(default_factory=Collected)
    seconds: float = 0.0
    error: str | None = None

    def start(self, trace: Trace) -> None:
        """Make its engine."""
        self.engine = assembly.engine(self.settings, catalogue=trace.catalogue, periods=trace.periods, eager=False)
        if self.engine.blame is not None:
            raise UsageError(f"only rivals may run abreast, for they doubt nobody: {', '.join(self.settings.detectors)} would")

    def take(self, tick: Tick, standing: Standing) -> None:
        """Judge a tick that was compared for all."""
        assert self.engine is not None
        self.outputs.add(self.engine.judged(tick, standing))


def replay_abreast(path: str | Path, outs: Mapping[str, Path], settings: Settings) -> dict[str, Cost]:
    """Replay a trace once for several rivals; write for each what `replay` with it alone would write, bit for bit.

    This holds because whoever doubts nobody feeds nothing back: what is compared depends on the trace alone.

    Parameters
    ----------
    path : path
        A trace directory.
    outs : mapping of str to Path
        Rivals, each with its results directory.
    settings : Settings
        For all; its detectors are not looked at.

    Returns
    -------
    dict of str to Cost
        A rival that raises is given up with its error, without results.
    """
    trace, broker, began = Trace.open(path), Parquet(path), time.perf_counter()
    whole = time.process_time()
    lanes = {name: Lane(replace(settings, detectors=(name,)), out) for name, out in outs.items()}
    for lane in lanes.values():
        _guarded(lane, lane.start, trace)
    lead = next((lane.engine for lane in lanes.values() if lane.error is None), None)
    if lead is not None:
        _drive(lead, list(lanes.values()), broker)
        run = about(trace, settings, {**broker.counts, **lead.counts}, time.perf_counter() - began)
        for name, lane in lanes.items():
            said = {**run, "settings": {**run["settings"], "detectors": (name,)}}
            _guarded(lane, lane.outputs.write, lane.out, lead, said)
    common = time.process_time() - whole - sum(lane.seconds for lane in lanes.values())
    return {name: Cost(lane.seconds, common, len(lanes), lane.error) for name, lane in lanes.items()}


def _drive(lead: Engine, lanes: list[Lane], broker: Parquet) -> None:
    """Let one engine read, align and compare, and everyone judge."""
    for message in broker.receive():
        _judge(lead, lanes, lead.align.step(message))
    _judge(lead, lanes, lead.align.flush())


def _judge(lead: Engine, lanes: list[Lane], ticks: Iterable[Tick]) -> None:
    for tick in ticks:
        standing = lead.compared(tick)
        for lane in lanes:
            _guarded(lane, lane.take, tick, standing)


def _guarded(lane: Lane, act: Callable[P, object], *args: P.args, **named: P.kwargs) -> None:
    """Do something of a lane on its own account; what it raises ends that lane alone."""
    if lane.error is not None:
        return
    began = time.process_time()
    try:
        act(*args, **named)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is this rival's and is told
        lane.error = f"{type(error).__name__}: {shorten(error, 300)}"
    lane.seconds += time.process_time() - began
