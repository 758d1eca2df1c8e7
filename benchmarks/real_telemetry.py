"""Replay of published real telemetry: what was said about it, and how that compares with labels where there are any.

The data folder is ``GRAYSCOPE_SHARED`` or ``../shared`` beside the repository. Each set is imported with its map in
tests/maps, replayed with default settings and summed up in a few lines. Names of drives are permuted within their host
on import, because the labelled ones come first in the published file.

Usage: python benchmarks/real_telemetry.py [NAME ...]
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from grayscope import plugins
from grayscope.incident import Incident
from grayscope.replaying import replay
from grayscope.saidrows import incident_dict
from grayscope.score import score
from grayscope.showing import incident_lines
from grayscope.trace import Trace
from grayscope.tracewriter import TraceWriter

ROOT = Path(__file__).parents[1]
DAY = 86_400_000_000
DAYS = (1, 2, 3, 5, 10, 15)
#: Map and the file that it is for.
SETS: dict[str, str] = tomllib.loads((ROOT / "tests" / "maps" / "sets.toml").read_text("utf-8"))["files"]


def imported(name: str, file: Path, out: Path) -> dict[str, int]:
    """Import one file with its map."""
    table = plugins.collector("table", file, ROOT / "tests" / "maps" / f"{name}.toml")
    with TraceWriter(out, cluster=table.cluster, note=table.note, tables=table.tables, metrics=table.metrics) as writer:
        counts: dict[str, int] = table.write(writer)
        return counts


def scored(trace: Trace, found: list[Incident]) -> None:
    """Print precision and recall after some days of observation."""
    truth = trace.truth()
    if truth is None:
        return
    files = trace.open_table(trace.tables[0])
    days = sorted({int(d) for rows in files.all() for d in np.unique(rows.time // DAY)})
    said: list[dict[str, Any]] = [{k: getattr(i, k) for k in ("id", "subject", "severity", "mode", "rivals", "history", "ended")} for i in found]
    for day in (d for d in DAYS if d <= len(days)):
        part = score(truth, said, len(files.names), until=(days[day - 1] + 1) * DAY - 1).overall
        shown = ["-" if x is None else f"{x:.2f}" for x in (part.precision, part.recall)]
        print(f"  after {day:2d} days: precision {shown[0]}, recall {shown[1]}: {len(part.found)} of {len(part.finds)} found, {len(part.false)} false")


def main() -> None:
    """Run the sets that are named, or all."""
    shared = Path(os.environ.get("GRAYSCOPE_SHARED") or ROOT.parent / "shared") / "data"
    if not shared.is_dir():
        print(f"no real telemetry at {shared.parent}: set GRAYSCOPE_SHARED to a folder that holds data/ to see it here")
        return
    for name in sys.argv[1:] or SETS:
        if name not in SETS:
            raise SystemExit(f"no set is called {name!r}: known: {', '.join(SETS)}")
        with tempfile.TemporaryDirectory() as folder:
            began = time.process_time()
            counts = imported(name, shared / SETS[name], Path(folder) / "trace")
            run = replay(Path(folder) / "trace")
            severities = Counter(incident_dict(i)["severity"] for i in run.found)
            told = ", ".join(f"{n} {s}s" for s, n in sorted(severities.items())) or "no incident"
            print(f"{name}: {counts['subjects']:,} subjects, {run.counts['rows']:,} rows: {told} ({time.process_time() - began:.1f} CPU-s)")
            for line in list(incident_lines(i for i in run.found if i.severity != "notice"))[:4]:
                print(f"  {line[:200]}")
            scored(Trace.open(Path(folder) / "trace"), run.found)


if __name__ == "__main__":
    main()
