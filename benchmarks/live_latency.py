"""From the last sample in to the incident that a reader of committed messages sees, over a real Kafka; and what a worker costs.

Feeder, worker and reader are processes of their own. Before the clock runs, the worker meets the roster and every metric. Then, once a
second, all GPUs report, and one of them has an incident due: of an Xid 79 told thirty ticks before, the time that events wait for stragglers.
So each tick measures the whole way: broker, frames, alignment, all detectors, blame, judge, desk, transaction, broker.
The same run sends one JSON message per sample to a consumer with pandas (median and MAD of each metric): less than what the worker does.
`python benchmarks/live_latency.py --gpus 10000 --per-message 1000` needs Java and Maven, about two minutes; `make bench` does not run it.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

import grayscope
from grayscope.batch import Batch
from grayscope.brokers._kafkasettings import kafka_settings
from grayscope.brokers._kafkatopics import Topics
from grayscope.brokers.kafka import Kafka
from grayscope.catalogue import Catalogue
from grayscope.event import Event
from grayscope.frames import encode
from grayscope.roster import RosterRow
from tests.brokers.livekafka import worker
from tests.kafkaserver import Cluster

grayscope.__path__.append(str(Path(__file__).parents[1]))
METRICS, START, SECOND = 50, 1_700_000_000, 1_000_000
#: Ticks that an event waits; ticks before the clock runs; incidents in those.
WAIT, WARM, FIRST = 30, 75, 5


def metrics() -> tuple[tuple[str, ...], int]:
    """Return fifty metrics of a GPU, and how many of them move; the others are increments of zero."""
    gpu = [m for m in Catalogue.load().metrics.values() if m.table == "gpu"]
    moving = [m.name for m in gpu if m.type == "gauge" and m.side in ("service", "condition", "load")]
    return tuple((moving + [m.name for m in gpu if m.type == "counter"])[:METRICS]), len(moving)


def subjects(gpus: int) -> list[str]:
    """Return names, eight GPUs a node."""
    return [f"n{i // 8:04d}/gpu{i % 8}" for i in range(gpus)]


def hit(tick: int, gpus: int) -> int:
    """Return which GPU is told to have failed in a tick: each time one of another node."""
    return tick * 8 * 7 % gpus


def ticks(gpus: int, per: int) -> Callable[[int], list[bytes]]:
    """Return what makes the frames of a tick."""
    names, moving = metrics()
    rng, found = np.random.default_rng(7), subjects(gpus)
    base = rng.normal(100, 1, (METRICS, gpus)).astype(np.float32)

    def make(tick: int) -> list[bytes]:
        values = base + rng.standard_normal((METRICS, gpus), np.float32)
        values[moving:] = 0
        times = np.array([(START + tick) * SECOND])
        return [encode(Batch("gpu", times, tuple(found[low : low + per]), names, np.ascontiguousarray(values[None, :, low : low + per])))
                for low in range(0, gpus, per)]  # fmt: skip

    return make


def feed(options: dict[str, str], gpus: int, per: int, seconds: int, rate: float = 1.0, replaced: float = math.inf) -> None:
    """Send all; one JSON line per measured tick: subject that is due, nanoseconds just before the last message was handed over.

    `replaced`: ticks after which a GPU that fell off the bus is told to be another one.
    """
    kafka, make, found = Kafka(**options, cell="cluster"), ticks(gpus, per), subjects(gpus)
    topic, out = f"{options['topic.prefix']}.telemetry", kafka._out()
    rows = [RosterRow(s, "gpu", keys={"node": s.partition("/")[0], "sku": "H100", "slot": s[-1]}) for s in found]
    for low in range(0, gpus, 1000):
        kafka.send(tuple(rows[low : low + 1000]))
    kafka.flush()
    begin = 0.0
    for tick in range(WARM + seconds):
        frames = make(tick)
        if tick == WARM:
            print("warm", flush=True)
            sys.stdin.readline()
            begin = time.monotonic()
        if begin:
            time.sleep(max(0.0, begin + (tick - WARM) / rate - time.monotonic()))
        if tick >= WARM - WAIT - FIRST:
            kafka.send(Event((START + tick) * SECOND, found[hit(tick, gpus)], "xid", "79", "GPU has fallen off the bus."))
        if tick - replaced >= WARM - WAIT - FIRST:
            kafka.send(Event((START + tick) * SECOND, found[hit(int(tick - replaced), gpus)], "health", "replaced", "GPU was replaced."))
        for frame in frames[:-1]:
            out.send(topic, b"cluster", frame)
        stamp = time.monotonic_ns()
        out.send(topic, b"cluster", frames[-1])
        out.flush()
        if begin:
            print(json.dumps([found[hit(tick - WAIT, gpus)], stamp]), flush=True)
    kafka.close()


def judge_json(options: dict[str, str], samples: int) -> float:
    """Return CPU seconds of a consumer that takes one JSON message per sample and judges with pandas."""
    import pandas as pd
    from kafka import KafkaConsumer, TopicPartition

    reader = KafkaConsumer(bootstrap_servers=options["bootstrap.servers"], isolation_level="read_committed", max_poll_records=5000)
    reader.assign([TopicPartition(options["topic"], 0)])
    reader.seek_to_beginning()
    began, rows, taken, flagged = time.process_time(), list[dict[str, Any]](), 0, 0
    while taken < samples:
        for records in reader.poll(timeout_ms=1000).values():
            for record in records:
                row = json.loads(record.value)
                if rows and row["time"] != rows[0]["time"]:
                    flagged += _outliers(pd.DataFrame(rows))
                    rows = []
                rows.append(row)
                taken += 1
    flagged += _outliers(pd.DataFrame(rows))
    return time.process_time() - began


def _outliers(frame: Any) -> int:
    wide = frame.pivot(index="subject", columns="metric", values="value")
    off = (wide - wide.median()).abs()
    return int((off > 6 * 1.4826 * off.median()).sum().sum())


def send_json(options: dict[str, str], gpus: int, seconds: int) -> int:
    """Send one JSON message per sample; return how many."""
    kafka, names, rng = Kafka(**options), metrics()[0], np.random.default_rng(7)
    for tick in range(seconds):
        for subject in subjects(gpus):
            for name, value in zip(names, rng.normal(100, 1, METRICS).tolist(), strict=True):
                told = {"time": START + tick, "subject": subject, "metric": name, "value": value}
                kafka._out().send(f"{options['topic.prefix']}.rejected", subject.encode(), json.dumps(told).encode())
    kafka.flush()
    kafka.close()
    return gpus * METRICS * seconds


class Watch(threading.Thread):
    """Reads incidents as they are committed: subject, nanoseconds at which the first record of it was here."""

    def __init__(self, options: dict[str, str]) -> None:
        from kafka import KafkaConsumer, TopicPartition

        super().__init__(daemon=True)
        self.seen: dict[str, int] = {}
        self.stop = threading.Event()
        topic = f"{options['topic.prefix']}.incidents"
        self.reader = KafkaConsumer(bootstrap_servers=options["bootstrap.servers"], isolation_level="read_committed", auto_offset_reset="earliest")
        self.reader.assign([TopicPartition(topic, p) for p in self.reader.partitions_for_topic(topic)])

    def run(self) -> None:
        while not self.stop.is_set():
            for records in self.reader.poll(timeout_ms=200).values():
                now = time.monotonic_ns()
                for record in records:
                    self.seen.setdefault(json.loads(record.value)["subject"], now)


def cpu(pid: int) -> float:
    """Return CPU seconds of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak(pid: int) -> float:
    """Return the most resident megabytes a process has had."""
    line = next(x for x in Path(f"/proc/{pid}/status").read_text().splitlines() if x.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def measure(cluster: Cluster, client: str, gpus: int, per: int, seconds: int, checkpoint: str, folder: Path) -> dict[str, Any]:
    """Return one row of the table."""
    options = {"bootstrap.servers": cluster.servers, "topic.prefix": f"l{time.time_ns()}"}
    with Topics(kafka_settings(options), partitions=1) as made:
        made.apply(made.changes())
    config, log = folder / "live.toml", folder / "log"
    config.write_text(f'[live]\ncheckpoint = "{checkpoint}"\nperiods = {{ gpu = "1s" }}\n')
    watch = Watch(options)
    watch.start()
    process = worker({**options, "client": client}, log, "bench", "--config", str(config))
    feeder = child("feed", json.dumps(options), gpus, per, seconds)
    try:
        assert feeder.stdout is not None
        assert feeder.stdin is not None
        until = time.monotonic() + 180
        assert feeder.stdout.readline() == "warm\n"
        while len(watch.seen) < FIRST:
            if process.poll() is not None or time.monotonic() > until:
                raise SystemExit(f"the worker says nothing:\n{log.read_text()[-2000:]}")
            time.sleep(0.1)
        time.sleep(2)
        before = cpu(process.pid)
        feeder.stdin.write("\n")
        feeder.stdin.flush()
        due = [json.loads(line) for line in feeder.stdout]
        until = time.monotonic() + 60
        while any(s not in watch.seen for s, _ in due) and time.monotonic() < until:
            time.sleep(0.1)
        used, most = cpu(process.pid) - before, peak(process.pid)
    finally:
        for one in (feeder, process):
            one.kill()
            one.wait(30)
        watch.stop.set()
    late = np.array([(watch.seen[s] - stamp) / 1e6 for s, stamp in due if s in watch.seen])
    quantiles = dict(zip(("p50_ms", "p95_ms", "p99_ms", "max_ms"), np.percentile(late, [50, 95, 99, 100]).round(0).tolist(), strict=True))
    return {"client": client, "gpus": gpus, "per_message": per, "ticks": len(due), "missing": len(due) - len(late), "checkpoint": checkpoint, **quantiles,
            "cpu_s_per_million": round(used / (len(due) * gpus * METRICS / 1e6), 4), "cores": round(used / len(due), 3), "peak_mb": round(most)}  # fmt: skip


def compare(cluster: Cluster, gpus: int, seconds: int) -> float:
    """Return CPU seconds per million samples of JSON and pandas."""
    options = {"bootstrap.servers": cluster.servers, "topic.prefix": f"j{time.time_ns()}"}
    with Topics(kafka_settings(options), partitions=1) as made:
        made.apply(made.changes())
    count = send_json(options, gpus, seconds)
    consumer = child("json", json.dumps({**options, "topic": f"{options['topic.prefix']}.rejected"}), count)
    return float(consumer.communicate(timeout=300)[0]) / (count / 1e6)


def child(*words: object) -> subprocess.Popen[str]:
    """Start a role of this file in a process of its own."""
    argv = [sys.executable, str(Path(__file__).resolve()), "--role", *(str(w) for w in words)]
    return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def main() -> None:
    """Print the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--role", nargs="+", help=argparse.SUPPRESS)
    parser.add_argument("--gpus", type=int, nargs="+", default=[1000, 10000])
    parser.add_argument("--per-message", type=int, nargs="+", default=[8, 1000])
    parser.add_argument("--client", nargs="+", default=["confluent", "kafka-python"], help="of the worker")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--nodes", type=int, default=1, choices=(1, 3))
    parser.add_argument("--checkpoint", default="20s")
    args = parser.parse_args()
    if args.role:
        role, options, *rest = args.role
        numbers = [int(x) for x in rest[:3]]
        if role == "feed":
            feed(json.loads(options), *numbers[:3], *(float(x) for x in rest[3:]))
        else:
            print(judge_json(json.loads(options), *numbers))
        return
    with tempfile.TemporaryDirectory() as folder:
        cluster = Cluster(Path(folder) / "run")
        try:
            cluster.up(args.nodes)
            for client, gpus, per in product(args.client, args.gpus, args.per_message):
                row = measure(cluster, client, gpus, per, args.seconds, args.checkpoint, Path(folder))
                print(json.dumps({"nodes": args.nodes, **row}), flush=True)
            if find_spec("pandas") is None:
                print("not compared with JSON and pandas: pip install pandas", file=sys.stderr)
            else:
                print(json.dumps({"json_pandas_cpu_s_per_million": round(compare(cluster, 100, 20), 2)}), flush=True)
        finally:
            cluster.down()


if __name__ == "__main__":
    main()
