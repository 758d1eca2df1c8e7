"""How fast the simulator writes: 128 nodes of 8 GPUs, one day at 10 s, on one core; the promise is under five minutes.

Usage: taskset -c 0 python benchmarks/simulate_speed.py [--nodes 128] [--hours 24] [--scenario mixed]
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from pathlib import Path

from grayscope.fleet.scenario import load
from grayscope.fleet.simulation import Simulation
from grayscope.trace import Trace


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--nodes", type=int, default=128)
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--scenario", default="mixed")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        began, cpu = time.perf_counter(), time.process_time()
        path = Path(folder, "trace")
        written = Simulation(load(args.scenario).but(nodes=args.nodes, hours=args.hours)).write(path)
        wall, used = time.perf_counter() - began, time.process_time() - cpu
        trace = Trace.open(path)
        cells = sum(written.rows[t] * len(trace.open_table(t).metrics) for t in trace.tables)
        size = sum(f.stat().st_size for f in path.rglob("*.parquet"))
        metrics = len(trace.open_table("gpu").metrics)
    rows, most = sum(written.rows.values()), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    cores = len(os.sched_getaffinity(0))
    print(f"{args.scenario}: {args.nodes} nodes x 8 GPUs, {metrics} GPU metrics, {args.hours:g} h at 10 s on {cores} core(s)")
    print(f"{rows:,} rows, {cells:,} numbers, {size / 1e9:.2f} GB, {len(written.truth)} truth rows")
    print(f"{wall:.0f} s wall, {used:.0f} s CPU, {cells / wall / 1e6:.1f} million numbers/s, at most {most:.2f} GB of memory")


if __name__ == "__main__":
    main()
