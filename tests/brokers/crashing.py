"""Helpers for tests of crashes: three nodes with short time-outs, an agent that is a process of its own, and what must hold afterwards."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

from kafka import KafkaAdminClient

from grayscope.brokers._kafkasettings import kafka_settings
from grayscope.brokers._kafkatopics import Topics
from grayscope.brokers.kafka import Kafka
from grayscope.brokers.parquet import Parquet
from grayscope.errors import GrayscopeError
from grayscope.spool import Spool
from tests.brokers.livekafka import ROOT, eventually, records, said, taken
from tests.kafkaserver import Cluster

#: What makes a cluster notice a death within seconds.
PROPERTIES = """broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
group.initial.rebalance.delay.ms=0
"""
#: The same for clients, as options and as the workers' environment.
SHORT = {"delivery.timeout.ms": 4000, "request.timeout.ms": 2000}
WORKER = {"GRAYSCOPE_KAFKA_SESSION_TIMEOUT_MS": "6000", "GRAYSCOPE_KAFKA_HEARTBEAT_INTERVAL_MS": "1000"}
#: Messages that an agent publishes at once.
CHUNK = 5


def cluster(folder: Path) -> Cluster:
    """Start three nodes with short time-outs."""
    folder.mkdir(parents=True)
    properties = folder / "more.properties"
    properties.write_text(PROPERTIES)
    return Cluster(folder / "run").up(3, KAFKA_PROPERTIES=str(properties))


def topics(some: Cluster, prefix: str) -> dict[str, str]:
    """Make the topics of one test, two partitions on all three nodes."""
    options = {"bootstrap.servers": some.servers, "topic.prefix": prefix}
    with Topics(kafka_settings(options), partitions=2) as made:
        made.apply(made.changes())
    return options


class Nodes:
    """The nodes of a cluster, to be killed."""

    def __init__(self, some: Cluster) -> None:
        self.cluster = some

    def kill(self, number: int) -> None:
        os.kill(int((self.cluster.folder / f"n{number}.pid").read_text()), signal.SIGKILL)

    def _described(self, options: dict[str, str], *names: str) -> list[Any]:
        admin = KafkaAdminClient(bootstrap_servers=options["bootstrap.servers"])
        try:
            found = admin.describe_topics([f"{options['topic.prefix']}.{name}" for name in names])
        finally:
            admin.close()
        return [p for topic in found for p in topic["partitions"]]

    def leader(self, options: dict[str, str]) -> int:
        """Return which node leads the partition that the agent's telemetry goes to."""
        partition = records(options, "telemetry")[0].partition
        return next(int(_of(p, "leader")) for p in self._described(options, "telemetry") if int(_of(p, "partition")) == partition)

    def in_sync(self, options: dict[str, str], log: Path) -> None:
        """Wait until all replicas of all topics are in sync."""
        names = ("telemetry", "events", "order", "state", "verdicts", "incidents", "roster")

        def whole() -> bool:
            with suppress(Exception):  # whatever a cluster in the middle of an election says
                return all(len(_of(p, "isr")) == 3 for p in self._described(options, *names))
            return False

        eventually(whole, log)


def _of(partition: Any, what: str) -> Any:
    return next(partition[key] for key in (f"{what}_id", f"{what}_index", f"{what}_nodes", what) if key in partition)


class Agent:
    """Publishes a trace through the spool, in a process of its own; goes on after a kill where it had handed over."""

    def __init__(self, options: dict[str, str], trace: Path, folder: Path, pause: float = 0.05) -> None:
        self.words = [json.dumps({**options, **SHORT}), str(trace), str(folder / "spool"), str(pause)]

        self.log = folder / "agent"
        self.start()

    def start(self) -> None:
        argv = [sys.executable, "-m", "tests.brokers.crashing", *self.words, str(self.told())]
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(argv, cwd=ROOT, stdout=out, stderr=out)

    def told(self) -> int:
        """Return how many messages it has handed over, to Kafka or the spool."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return max((int(x) for x in lines if x.isdecimal()), default=0)

    def until(self, count: int) -> None:
        eventually(lambda: self.told() >= count or self.process.poll() is not None, self.log, 90)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(30)

    def finished(self) -> None:
        assert self.process.wait(150) == 0, self.log.read_text()[-2000:]


def publish(options: dict[str, Any], trace: Path, spool: Path, pause: float, first: int) -> None:
    """What an `Agent` runs."""
    import grayscope

    grayscope.__path__.append(str(ROOT))
    module: Any = __import__("grayscope.pipelines._publisher", fromlist=["Publisher"])
    module.PAUSES = (1.0, 2.0)
    publisher = module.Publisher(lambda: Kafka(**options, cell="cluster"), Spool(spool))
    messages = list(Parquet(trace).receive())
    for low in range(first, len(messages), CHUNK):
        publisher.publish(messages[low : low + CHUNK])
        print(min(low + CHUNK, len(messages)), flush=True)
        time.sleep(pause)
    while len(publisher.spool) or not publisher.up:
        publisher.publish([])
        time.sleep(0.2)
    publisher.close()


def holds(options: dict[str, str], expected: dict[str, Any], incidents: set[str], log: Path) -> None:
    """Assert that nothing was lost, nothing doubled, and the order kept; waits until all has been taken.

    A trace that is over is a site that has fallen silent: where brokers were away for long, a worker may say so before we look.
    """
    from tests.pipelines.livetrace import by_subject

    sent = {(r.partition, kind, r.offset) for kind, topic in (("t", "telemetry"), ("e", "events")) for r in records(options, topic)}

    def all_taken() -> bool:
        with suppress(GrayscopeError):
            return sent <= set(taken(options))
        return False

    eventually(all_taken, log, 90)
    twice = [place for place, count in Counter(taken(options)).items() if count > 1]
    assert not twice
    verdicts, found = said(options, "verdicts"), [i for i in said(options, "incidents") if i["kind"] == "incident"]
    over = [v["state"] for v in verdicts if v["subject"] == "site"]
    assert over in ([], ["unknown"])
    assert by_subject([v for v in verdicts if v["subject"] != "site"]) == expected
    assert len({i["id"] for i in found if i["subject"] == "site"}) == len(over)
    found = [i for i in found if i["subject"] != "site"]
    assert {i["id"] for i in found} == incidents
    kept = [json.dumps(i, sort_keys=True) for i in found]
    assert len(kept) == len(set(kept))


if __name__ == "__main__":
    publish(json.loads(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5]))
