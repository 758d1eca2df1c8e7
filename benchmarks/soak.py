"""Ten minutes of 10,000 GPUs x 50 metrics through one worker on Kafka, faster than life: is memory flat, does it keep up?

Each tick one GPU falls off the bus, and one that did so `REPLACED` ticks ago is replaced: as many incidents end as begin. Prints every ten seconds the
resident memory, at the end its slope over the last two thirds (least squares) and the lag, and exits 1 where either is above what is accepted or
incidents stay open. `--replaced 0` lets them all stay open: what an open incident costs. `make soak` runs it; it needs Java and Maven.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from live_latency import METRICS, WARM, child, cpu, peak

from grayscope.brokers._kafkasettings import kafka_settings
from grayscope.brokers._kafkatopics import Topics
from tests.brokers.livekafka import said, taken, worker
from tests.kafkaserver import Cluster

#: Megabytes a minute that memory may grow; messages that may wait at the end, in ticks.
SLOPE, LAG = 2.0, 5
#: Ticks after which a GPU is replaced, and those that an incident may stay open beyond: events wait for stragglers, and the judge for what comes again.
REPLACED, ENDS = 90, 240


def resident(pid: int) -> float:
    """Return megabytes that are resident now."""
    line = next(x for x in Path(f"/proc/{pid}/status").read_text().splitlines() if x.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def slope(points: list[tuple[float, float]]) -> float:
    """Return megabytes a minute over the last two thirds of (seconds, megabytes)."""
    late = np.array(points[len(points) // 3 :])
    return float(np.polyfit(late[:, 0], late[:, 1], 1)[0] * 60)


def standing(options: dict[str, str]) -> tuple[int, int]:
    """Return how many incidents there were, and how many of them are open."""
    last = {told["id"]: told for told in said(options, "incidents")}
    return len(last), sum(told["ended"] is None for told in last.values())


def soak(cluster: Cluster, gpus: int, per: int, seconds: int, rate: float, replaced: int, folder: Path) -> dict[str, Any]:
    """Run it; return what is to be said."""
    options = {"bootstrap.servers": cluster.servers, "topic.prefix": f"s{time.time_ns()}"}
    with Topics(kafka_settings(options), partitions=1) as made:
        made.apply(made.changes())
    config, log = folder / "live.toml", folder / "log"
    config.write_text('[live]\ncheckpoint = "60s"\nperiods = { gpu = "1s" }\n')
    process = worker(options, log, "soak", "--config", str(config))
    ticks = round(seconds * rate)
    feeder = child("feed", json.dumps(options), gpus, per, ticks, rate, replaced or math.inf)
    points, begin, per_tick = list[tuple[float, float]](), 0.0, -(-gpus // per)
    try:
        assert feeder.stdout is not None
        assert feeder.stdin is not None
        assert feeder.stdout.readline() == "warm\n"
        feeder.stdin.write("\n")
        feeder.stdin.flush()
        begin, sent = time.monotonic(), 0
        for _ in feeder.stdout:
            sent += 1
            now = time.monotonic() - begin
            if not points or now - points[-1][0] >= 10:
                points.append((now, resident(process.pid)))
                print(f"{now:6.0f} s  {points[-1][1]:6.0f} MB", flush=True)
        time.sleep(2)
        behind = (WARM + sent) * per_tick - sum(kind == "t" for _, kind, _ in taken(options))
        used, most, (incidents, still) = cpu(process.pid), peak(process.pid), standing(options)
    finally:
        for one in (feeder, process):
            one.kill()
            one.wait(30)
    return {"ticks": sent, "samples": sent * gpus * METRICS, "slope_mb_per_minute": round(slope(points), 2), "lag_messages": behind,
            "lag_ticks": round(behind / per_tick, 1), "incidents": incidents, "open": still, "cpu_s": round(used, 1), "peak_mb": round(most)}  # fmt: skip


def main() -> None:
    """Print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gpus", type=int, default=10_000)
    parser.add_argument("--per-message", type=int, default=1000)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--rate", type=float, default=2.0, help="Ticks a second, each of one second of event time.")
    parser.add_argument("--replaced", type=int, default=REPLACED, help="Ticks after which a GPU that fell off the bus is replaced; 0 for never.")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        cluster = Cluster(Path(folder) / "run")
        try:
            found = soak(cluster.up(1), args.gpus, args.per_message, args.seconds, args.rate, args.replaced, Path(folder))
        finally:
            cluster.down()
    print(json.dumps(found))
    stay = args.replaced and found["open"] > args.replaced + ENDS
    raise SystemExit(int(bool(found["slope_mb_per_minute"] > SLOPE or found["lag_ticks"] > LAG or stay)))


if __name__ == "__main__":
    main()
