"""Kafka through crashes: the broker is killed while an agent publishes, and a recorder is killed in the middle; nothing acknowledged is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from grayscope import plugins
from grayscope.batch import Batch
from grayscope.brokers._kafkasettings import kafka_settings
from grayscope.brokers._kafkatopics import Topics
from grayscope.brokers.kafka import Kafka
from grayscope.errors import GrayscopeError
from grayscope.event import Event
from grayscope.spool import Spool
from tests.kafkaserver import Cluster, needs_java

pytestmark = pytest.mark.slow
publishing: Any = __import__("grayscope.pipelines._publisher", fromlist=["Publisher"])
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def mortal(server: Callable[[str, str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A node of these tests' own, to be killed."""
    needs_java(server)
    cluster = Cluster(tmp_path_factory.mktemp("mortal") / "run")
    try:
        yield cluster.up()
    finally:
        cluster.down()


@pytest.fixture(params=["kafka-python", "confluent"])
def at(request: pytest.FixtureRequest, mortal: Cluster, prefix: str) -> dict[str, Any]:
    """Make the topics; return the settings that lead there, through either client."""
    if request.param == "confluent":
        pytest.importorskip("confluent_kafka", reason="pip install 'grayscope[confluent]'")
    short = {"delivery.timeout.ms": 3000, "request.timeout.ms": 2000, "session.timeout.ms": 6000, "heartbeat.interval.ms": 1000}
    found = {"bootstrap.servers": mortal.up().servers, "topic.prefix": prefix, "client": request.param, **short}
    with Topics(kafka_settings(found), partitions=1) as topics:
        topics.apply(topics.changes())
    return found


def test_a_broker_killed_under_an_agent_loses_nothing_and_keeps_the_order(mortal: Cluster, at: dict[str, Any], tmp_path: Path) -> None:
    publisher = publishing.Publisher(lambda: Kafka(**at), Spool(tmp_path / "spool"))
    told = 0

    def publish(count: int) -> None:
        nonlocal told
        publisher.publish([Event(told + i, "n1", "kernel", "x") for i in range(count)])
        told += count

    publish(10)
    os.kill(int((mortal.folder / "n1.pid").read_text()), signal.SIGKILL)
    publish(10)  # goes out, is not acknowledged
    publish(10)  # waits behind it
    assert (publisher.up, len(publisher.spool), publisher.outages) == (False, 20, 1)
    assert "nobody listens there" in publisher.said or "not acknowledged" in publisher.said or "kafka" in publisher.said
    mortal.up()
    for _ in range(100):
        publish(1)
        if publisher.up and not len(publisher.spool):
            break
        time.sleep(0.2)
    publisher.close()
    reader = Kafka(**at)
    found = [m.time for m in reader.receive() if isinstance(m, Event)]
    reader.close()
    assert set(found) == set(range(told))
    first = list(dict.fromkeys(found))
    assert first == sorted(first)


def test_a_silent_broker_fills_no_memory_and_is_told_in_one_line(mortal: Cluster, at: dict[str, Any]) -> None:
    pid = int((mortal.folder / "n1.pid").read_text())
    broker, most = Kafka(**{**at, "buffer.memory": 1 << 20, "compression.type": "none"}), 0
    said, before = "", {*threading.enumerate()}
    noise = Event(1, "n1", "kernel", "x", "y" * 100_000)
    broker.send(noise)
    broker.flush()
    os.kill(pid, signal.SIGSTOP)
    try:
        for _ in range(100):
            broker.send(noise)
            most = max(most, broker._out().bytes)
    except GrayscopeError as error:
        said = str(error)
    finally:
        os.kill(pid, signal.SIGCONT)
        broker.close()
    assert 900_000 < most <= 1 << 20
    assert f"kafka topic {at['topic.prefix']}.events" in said
    assert "\n" not in said
    assert {t for t in threading.enumerate() if t.is_alive()} <= before  # kafka-python's own close would leave its thread behind


def row(i: int) -> Batch:
    return Batch("node", np.array([i * 1_000_000], np.int64), ("n1",), ("node_load1",), np.full((1, 1, 1), i, np.float32))


def test_a_recorder_killed_in_the_middle_leaves_nothing_out(at: dict[str, Any], tmp_path: Path) -> None:
    sender, named = Kafka(**at), {**at, "group.id": at["topic.prefix"], "group.instance.id": "r1"}
    for i in range(200):
        sender.send(row(i))
    sender.flush()
    # Traces of 50 ms: some take their place, one is open when the process dies.
    program = (
        "import sys, json, threading, grayscope\n"
        f"grayscope.__path__.append({str(ROOT)!r})\n"
        "from grayscope import plugins\n"
        "from grayscope.pipelines.record import record\n"
        "kafka = plugins.broker('kafka', **json.loads(sys.argv[1]))\n"
        "rolling = plugins.broker('rolling', sys.argv[2], every=0.05, keep=1000, period=None)\n"
        "record(kafka, rolling, threading.Event())\n"
    )
    argv = [sys.executable, "-c", program, json.dumps({**named, "max.poll.records": 20}), str(tmp_path / "traces")]
    process = subprocess.Popen(argv, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE)
    try:
        for i in range(300):
            sender.send(row(200 + i))
            sender.flush()
            if len(list((tmp_path / "traces").glob("[0-9]*Z/trace.json"))) >= 3:
                break
            time.sleep(0.05)
    finally:
        process.kill()
        _, said = process.communicate(timeout=30)
    assert len(list((tmp_path / "traces").glob("[0-9]*Z/trace.json"))) >= 3, said.decode()[-2000:]
    sent = 201 + i
    sender.close()
    module: Any = __import__("grayscope.pipelines.record", fromlist=["record"])
    rolling = plugins.broker("rolling", tmp_path / "traces", every=3600, keep=1000, period=None)
    module.record(Kafka(**named), rolling, threading.Event(), once=True)
    kept = {int(v) for m in rolling.receive() if isinstance(m, Batch) for v in m.values.ravel()}
    assert kept == set(range(sent))
