"""Records a real GPU once a second while a load starts and stops, and compares what was read with nvidia-smi.

Needs a node with an NVIDIA GPU; the load needs PyTorch (without it the GPU stays idle). Writes into a new folder: a trace of all that was
read (`grayscope replay` takes it), what the driver supports (support.json), and the numbers without names or serials (gpu.csv).
Exit code 1 if a look failed or a number differs from what nvidia-smi says.

Usage: python benchmarks/gpu_recording.py --out DIR [--seconds 200]
"""

from __future__ import annotations

import argparse
import csv
import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

import grayscope

if str(Path(__file__).parents[1]) not in grayscope.__path__:
    grayscope.__path__.append(str(Path(__file__).parents[1]))

from grayscope import plugins
from grayscope.batch import Batch
from grayscope.tracewriter import TraceWriter
from tests.realgpu import Compared, Values, asked, compared, shown

#: A load in turns: how much of the time, what is done. The same matrices all along, so that memory in use is a step of its own.
PHASES = ((0.2, "idle"), (0.3, "multiply"), (0.2, "idle"), (0.2, "copy"), (0.1, "idle"))
LOAD = """
import sys, time, torch
a = torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16); b = a.clone(); out = torch.empty_like(a)
for word in sys.argv[1:]:
    seconds, kind = word.split(":"); end = time.time() + float(seconds)
    while time.time() < end:
        if kind == "idle": time.sleep(0.05); continue
        for _ in range(50): torch.matmul(a, b, out=out) if kind == "multiply" else out.copy_(a)
        torch.cuda.synchronize()
"""


class Recording:
    """Looks on whole seconds; keeps what came and what it cost.

    Parameters
    ----------
    out : Path
        A new folder.
    """

    def __init__(self, out: Path) -> None:
        self.source = plugins.collector("nvml", "n001")
        tables = {t: {"period_s": 1, "counters": "increments"} for t in ("gpu", "pcie", "nvlink")}
        self.writer = TraceWriter(out / "trace", cluster="recorded", note="one node, one look a second", tables=tables)
        self.rows: list[dict[str, float]] = []
        self.wall: list[float] = []
        self.cpu: list[float] = []

    def look(self) -> list[Any]:
        """Look once, write, return the messages."""
        wall, cpu = time.perf_counter(), time.process_time()
        messages = list(self.source.collect())
        self.wall.append(time.perf_counter() - wall)
        self.cpu.append(time.process_time() - cpu)
        for message in messages:
            self._write(message)
        return messages

    def _write(self, message: Any) -> None:
        if isinstance(message, Batch):
            self.writer.batch(message)
            if message.table == "gpu":
                self.rows.append({m: float(v) for m, v in zip(message.metrics, message.values[0, :, 0], strict=True)})
        elif isinstance(message, tuple):
            self.writer.roster(message)
        else:
            self.writer.event(message)


def seconds(count: int) -> Iterator[int]:
    """Yield 0, 1, ... on whole seconds of the clock."""
    first = int(time.time()) + 1
    for i in range(count):
        time.sleep(max(first + i - time.time(), 0))
        yield i


def phase(share: float) -> str:
    """Return what is done at a share of the time."""
    for part, name in PHASES:
        if (share := share - part) < 0:
            return name
    return PHASES[-1][1]


def record(out: Path, count: int) -> tuple[Recording, list[tuple[str, Compared]]]:
    """Look `count` times; in the middle of every phase ask nvidia-smi too."""
    recording, found = Recording(out), []
    before: Values = {}
    load = subprocess.Popen([sys.executable, "-c", LOAD, *(f"{count * part:.1f}:{name}" for part, name in PHASES)])
    edges = np.cumsum([0.0, *(part for part, _ in PHASES)])
    middles = {int(count * (a + b) / 2) for a, b in pairwise(edges)}
    try:
        for i in seconds(count):
            before |= shown(recording.look())  # what is read once a minute stays
            if i in middles:
                theirs = asked("n001")
                found += [(phase(i / count), c) for c in compared(before, theirs, before | shown(recording.look()))]
    finally:
        load.terminate()
        load.wait()
    recording.writer.close()
    return recording, found


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=int, default=200)
    args = parser.parse_args(words)
    args.out.mkdir(parents=True, exist_ok=True)
    recording, found = record(args.out, args.seconds)
    source = recording.source
    support = next(iter(source.support.values()))
    (args.out / "support.json").write_text(json.dumps(dict(sorted(support.items())), indent=1))
    names = sorted({n for row in recording.rows for n in row})
    with (args.out / "gpu.csv").open("w", newline="") as file:
        csv.writer(file).writerows([names, *([f"{row[n]:g}" if n in row else "" for n in names] for row in recording.rows)])
    counts = {word: list(support.values()).count(word) for word in sorted(set(support.values()))}
    wall, cpu = np.array(recording.wall) * 1e3, np.array(recording.cpu) * 1e3
    print(f"{len(recording.rows)} looks, {len(names)} numbers of the GPU a look; fields and functions: {counts}; failed: {source.rejected or 'none'}")
    print(f"a look: {np.median(wall):.1f} ms (95 %: {np.percentile(wall, 95):.1f}, longest {wall.max():.1f}), {np.median(cpu):.2f} ms of processor time")
    print(f"resident: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")
    for name in ("gpu_power_watts", 'gpu_clock_hertz{domain="sm"}', "gpu_active_ratio", 'gpu_temperature_celsius{sensor="gpu"}', "gpu_memory_used_bytes"):
        at = {p: [row[name] for i, row in enumerate(recording.rows) if name in row and phase(i / len(recording.rows)) == p] for _, p in PHASES}
        print(f"  {name}: " + ", ".join(f"{p} {np.median(v):.4g}" for p, v in at.items() if v))
    wrong = [(p, c) for p, c in found if not c.agrees]
    print(f"beside nvidia-smi: {len(found)} numbers of {len({c.metric for _, c in found})} metrics, {len(wrong)} differ")
    for p, c in wrong:
        print(f"  {p}: {c.subject} {c.metric}: we read {c.before:g} and {c.after:g}, nvidia-smi says {c.theirs:g}")
    raise SystemExit(bool(wrong or source.rejected))


if __name__ == "__main__":
    main()
