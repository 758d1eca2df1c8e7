"""Recorded workflow runs by what was done to them: which share is found, beside that of runs to which nothing was done.

A run of a host counts as found by the rule that the score has for labels, whether or not it has one. Who finds as many
of those without any fault as of those with some fault has not seen what that fault is. `slower` is what the fault
does to the time of a task of its kind, in the mean over kinds.

Usage: python benchmarks/by_label.py [DETECTOR ...]      (default: grayscope nvrx greyhound)
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import polars as pl
from real_telemetry import ROOT, SETS

from grayscope import plugins
from grayscope.matching import COUNTED, Row, row_of, said_of, settle
from grayscope.replaying import replay
from grayscope.saidrows import incident_dict
from grayscope.trace import Trace
from grayscope.tracewriter import TraceWriter

NAMES = ("workflow_runs_eht", "workflow_runs_pycbc")
#: The line of the maps that keeps runs without a fault out of the truth.
FILTER = re.compile(r"^where = \{anomaly_type.*$", re.MULTILINE)
OPEN = 2**62


def imported(name: str, file: Path, folder: Path) -> Path:
    """Import one set with a truth that holds every run of every host."""
    text, n = FILTER.subn("", (ROOT / "tests" / "maps" / f"{name}.toml").read_text("utf-8"))
    assert n == 1
    (folder / "all.toml").write_text(text, "utf-8")
    table = plugins.collector("table", file, folder / "all.toml")
    with TraceWriter(folder / "trace", cluster=table.cluster, note=table.note, tables=table.tables, metrics=table.metrics) as writer:
        table.write(writer)
    return folder / "trace"


def labelled(trace: Path) -> dict[str, list[Row]]:
    """Return the runs by label."""
    truth = Trace.open(trace).truth()
    assert truth is not None
    rows = defaultdict(list)
    for given in truth.to_pylist():
        rows[given["note"]].append(row_of(given))
    return dict(sorted(rows.items()))


def shares(trace: Path, detector: str, rows: dict[str, list[Row]]) -> list[float]:
    """Return which share of the runs of each label is found."""
    run = replay(trace, detectors=None if detector == "grayscope" else [detector])
    said = [s for i in run.found if (s := said_of(incident_dict(i), OPEN)).severity in COUNTED and s.history]
    said.sort(key=lambda s: (s.history[0][0], s.id))
    return [sum(f.incident is not None for f in settle(some, said)[0]) / len(some) for some in rows.values()]


def slowed(file: Path) -> dict[str, float]:
    """Return the median time of tasks of each label over that of tasks of the same kind without one, in the mean over kinds."""
    tasks = pl.read_parquet(file).filter(pl.col("type") == "compute").rename({"kickstart_transformations": "kind", "anomaly_type": "label"})
    medians = tasks.group_by("kind", "label").agg(pl.col("runtime").median())
    usual = medians.filter(pl.col("label") == "None").select("kind", usual="runtime")
    ratio = medians.join(usual, on="kind").group_by("label").agg((pl.col("runtime") / pl.col("usual")).mean())
    return dict(ratio.iter_rows())


def main() -> None:
    shared = Path(os.environ.get("GRAYSCOPE_SHARED") or ROOT.parent / "shared") / "data"
    if not shared.is_dir():
        print(f"no real telemetry at {shared.parent}: set GRAYSCOPE_SHARED to a folder that holds data/ to see it here")
        return
    for name in NAMES:
        with tempfile.TemporaryDirectory() as folder:
            trace, slower = imported(name, shared / SETS[name], Path(folder)), slowed(shared / SETS[name])
            rows = labelled(trace)
            print(f"{name}: found of the runs with each label")
            print("| detector | " + " | ".join(f"{label}, {len(some)} runs" for label, some in rows.items()) + " |")
            print("| --- | " + " | ".join("---:" for _ in rows) + " |")
            print("| slower | " + " | ".join(f"{slower[label]:.2f}" for label in rows) + " |")
            for detector in sys.argv[1:] or ("grayscope", "nvrx", "greyhound"):
                print(f"| {detector} | " + " | ".join(f"{x:.0%}" for x in shares(trace, detector, rows)) + " |", flush=True)


if __name__ == "__main__":
    main()
