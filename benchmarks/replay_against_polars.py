"""Replay of a recorded trace against the same answer written in polars; both sides in this one process.

The question: which (metric, subject) stood more than four robust spreads above its peers in 48 of 64 consecutive ticks,
and when first? Median and median absolute deviation are exact, over all subjects, per metric and tick.

- polars: lazy scan of the same Parquet file, one metric at a time, so that it need not hold everything at once.
- grayscope, same answer: Parquet broker, rates, align, stand, and a detector that only asks this question.
- grayscope, whole line: the same with all detectors that are on by default, judge and desk.

Usage: python benchmarks/replay_against_polars.py [--subjects 1000] [--metrics 40] [--hours 6]
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

os.environ.setdefault("POLARS_MAX_THREADS", str(os.cpu_count() or 1))

import numpy as np
import polars as pl

from grayscope import assembly
from grayscope.brokers.parquet import Parquet
from grayscope.catalogue import Catalogue
from grayscope.engine import Engine, EngineSettings
from grayscope.evidence import NOTHING, Evidence
from grayscope.settings import Settings
from grayscope.standing import Standing
from grayscope.tick import Tick
from grayscope.trace import Trace
from grayscope.tracewriter import TraceWriter

Answer = dict[tuple[str, str], int]
PERIOD, ABOVE, OF, LEAST = 10_000_000, 4.0, 64, 48


class Persistent:
    """More than `ABOVE` robust spreads above the peers' median in `LEAST` of `OF` ticks."""

    rival: ClassVar[bool] = True

    def __init__(self) -> None:
        self.history: np.ndarray[Any, Any] | None = None
        self.found: Answer = {}

    def step(self, tick: Tick, standing: Standing) -> Evidence:
        """Shift one bit into every cell's history word and count bits."""
        edge = np.float32(ABOVE) * (np.float32(1.4826) * standing.spread[:, :1])
        if self.history is None:
            self.history = np.zeros(tick.values.shape, np.uint64)
        self.history <<= np.uint64(1)
        self.history |= standing.residual > edge
        for m, s in np.argwhere(np.bitwise_count(self.history) >= LEAST).tolist():
            self.found.setdefault((tick.metrics[m], tick.subjects[s]), tick.time)
        return NOTHING

    def snapshot(self) -> dict[str, np.ndarray[Any, Any]]:
        """Nothing is kept."""
        return {}

    def restore(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Nothing is kept."""


def write(path: Path, subjects: int, metrics: int, hours: float) -> None:
    """Write a trace of gauges with autocorrelated noise, offsets that stay, and twenty subjects that become worse."""
    rng = np.random.default_rng(1)
    names = [f"n{i // 8:03d}/gpu{i % 8}" for i in range(subjects)]
    described = {f"m{j:02d}": {"table": "gpu", "unit": "W", "worse": "higher", "side": "condition"} for j in range(metrics)}
    offset = rng.normal(0, 1, (metrics, subjects)).astype(np.float32)
    noise = rng.normal(0, 1, (metrics, subjects)).astype(np.float32)
    ticks = round(hours * 3600e6 / PERIOD)
    with TraceWriter(path, cluster="bench", tables={"gpu": {"period_s": PERIOD / 1e6}}, metrics=described) as out:
        for start in range(0, ticks, 60):
            block = np.empty((min(60, ticks - start), metrics, subjects), np.float32)
            for k in range(len(block)):
                noise = 0.5 * noise + rng.standard_normal(noise.shape, np.float32)
                block[k] = 300 + offset + noise
                if start + k > ticks // 2:
                    block[k, :4, :: max(subjects // 20, 1)] += 12
            t = np.repeat((np.arange(start, start + len(block)) + 1) * PERIOD, subjects)
            out.rows("gpu", t, names * len(block), {f"m{j:02d}": block[:, j].ravel() for j in range(metrics)})


def by_polars(path: Path, metrics: int) -> Answer:
    """Answer in polars, one metric after the other."""
    found: Answer = {}
    for j in range(metrics):
        x = pl.col(f"m{j:02d}")
        frame = (
            pl.scan_parquet(path / "gpu.parquet").select("time", "subject", x)
            .with_columns(r=x - x.median().over("time"))
            .with_columns(hot=pl.col("r") > ABOVE * (1.4826 * pl.col("r").abs().median().over("time")))
            .filter(pl.col("hot").any().over("subject"))
            .sort("subject", "time")
            .with_columns(n=pl.col("hot").cast(pl.Int32).rolling_sum(OF, min_samples=1).over("subject"))
            .filter(pl.col("n") >= LEAST)
            .group_by("subject").agg(pl.col("time").min())
            .collect()
        )  # fmt: skip
        found |= {(f"m{j:02d}", s): int(t.timestamp() * 1e6) for s, t in frame.iter_rows()}
    return found


def by_line(path: Path, engine: Engine) -> None:
    """Replay through an engine."""
    for message in Parquet(path).receive():
        engine.step(message)
    engine.flush()


def same_answer(path: Path) -> Answer:
    """Answer with the line and the one detector that asks the same."""
    trace, detector = Trace.open(path), Persistent()
    told = EngineSettings(periods=trace.periods)
    by_line(path, Engine([detector], trace.catalogue, told))
    return detector.found


def whole_line(path: Path) -> None:
    """Replay with everything that is on by default."""
    trace = Trace.open(path)
    by_line(path, assembly.engine(Settings(), catalogue=trace.catalogue, periods=trace.periods, eager=False))


def measured(what: Callable[[], Any]) -> tuple[Any, float, float]:
    """Return (result, CPU seconds, highest resident set in MB while it ran)."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        print("note: the peak of the resident set cannot be reset here; what is shown includes what came before")
    began = time.process_time()
    result = what()
    spent = time.process_time() - began
    status = Path("/proc/self/status").read_text()
    peak = next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))
    return result, spent, peak


def main() -> None:
    """Run both sides and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subjects", type=int, default=1000)
    parser.add_argument("--metrics", type=int, default=40)
    parser.add_argument("--hours", type=float, default=6.0)
    given = parser.parse_args()
    samples = given.subjects * given.metrics * round(given.hours * 360)
    print(f"{given.subjects} subjects x {given.metrics} metrics x {given.hours:g} h at 10 s = {samples / 1e6:.1f} M samples; {os.cpu_count()} cores,")
    print(f"{platform.machine()}, Python {platform.python_version()}, numpy {np.__version__}, polars {pl.__version__}")
    Catalogue.load()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace"
        write(path, given.subjects, given.metrics, given.hours)
        ours, cpu, peak = measured(lambda: same_answer(path))
        _, cpu_all, peak_all = measured(lambda: whole_line(path))
        theirs, cpu_polars, peak_polars = measured(lambda: by_polars(path, given.metrics))
    for name, seconds, memory in (("polars", cpu_polars, peak_polars), ("grayscope, same answer", cpu, peak), ("grayscope, whole line", cpu_all, peak_all)):
        ratio = cpu_polars / seconds
        print(f"{name:<24}{samples / seconds / 1e6:8.1f} M samples/CPU-s  {seconds:7.2f} CPU-s  {memory:6.0f} MB peak RSS  {ratio:5.2f} x polars")
    print(f"answers: {len(ours)} (metric, subject) found by grayscope, {len(theirs)} by polars, equal with their times: {ours == theirs}")
    if ours != theirs:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
