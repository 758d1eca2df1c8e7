"""Live workers of one name on a real Kafka: the newer one stays, the older one stops and says by whom; a name that nobody lives under is taken back."""

from __future__ import annotations

import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kafka import KafkaConsumer

from grayscope.batch import Batch
from grayscope.brokers.kafka import Kafka
from tests.brokers.crashing import WORKER
from tests.brokers.livekafka import eventually, said, taken, worker

pytestmark = pytest.mark.slow
CELLS = [f"pod{i}" for i in range(6)]


class Line:
    """Workers called w1, and what feeds them."""

    def __init__(self, options: dict[str, str], folder: Path) -> None:
        self.options, self.folder, self.ticks = options, folder, 0
        self.workers: list[subprocess.Popen[bytes]] = []
        self.config = folder / "live.toml"
        self.config.write_text('[live]\ncheckpoint = "1s"\n')

    def log(self, number: int) -> Path:
        return self.folder / f"log{number}"

    def work(self) -> subprocess.Popen[bytes]:
        self.workers.append(worker(self.options, self.log(len(self.workers)), "w1", "--config", str(self.config)))
        return self.workers[-1]

    def tick(self) -> None:
        """Send a row of each cell."""
        self.ticks += 1
        for cell in CELLS:
            kafka = Kafka(**self.options, cell=cell)
            values = np.full((1, 1, 4), 300 + self.ticks % 7, np.float32)
            kafka.send(Batch("gpu", np.array([(170_000_000 + self.ticks) * 10_000_000]), tuple(f"{cell}/g{g}" for g in range(4)), ("gpu_power_watts",), values))
            kafka.close()

    def judged(self, number: int) -> None:
        """Wait until all that was sent is committed."""
        eventually(lambda: len({place for place in taken(self.options) if place[1] == "t"}) == self.ticks * len(CELLS), self.log(number), 40)

    def open(self, number: int, seconds: float) -> None:
        """Wait until a worker has opened all lanes."""
        eventually(lambda: self.log(number).exists() and self.log(number).read_text().count("is open:") >= 4, self.log(number), seconds)

    def stopped(self, number: int, *words: str) -> None:
        """Assert that a worker gives up within a minute, and that its last line says so."""
        status, lines = self.workers[number].wait(60), self.log(number).read_text().splitlines()
        assert status == 2, lines
        for word in (*words, "--worker NAME"):
            assert word in lines[-1], lines

    def whole(self) -> None:
        """Assert that nothing was taken twice."""
        assert not [place for place, count in Counter(taken(self.options)).items() if count > 1]


@pytest.fixture
def line(topics: dict[str, str], client: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    for name, value in WORKER.items():
        monkeypatch.setenv(name, value)
    made = Line({**topics, "client": client}, tmp_path)
    try:
        yield made
    finally:
        for process in made.workers:
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait(30)


def test_the_newer_of_two_stays_and_the_older_stops_and_says_who_has_its_name(line: Line) -> None:
    line.work()
    line.tick()
    line.judged(0)
    newer = line.work()
    line.open(1, 30)
    line.tick()
    line.stopped(0, f"process {newer.pid} on host")
    line.tick()
    line.judged(1)
    assert newer.poll() is None
    newer.kill()  # a supervisor starts it again at once: it does not wait for its own session to end
    newer.wait(30)
    before = len(said(line.options, "order"))
    third = line.work()
    line.tick()
    line.judged(2)
    assert len(said(line.options, "order")) > before
    assert third.poll() is None
    line.whole()


def test_an_older_one_that_slept_meanwhile_stops_when_it_wakes(line: Line) -> None:
    asleep = line.work()
    line.tick()
    line.judged(0)
    asleep.send_signal(signal.SIGSTOP)
    newer = line.work()
    line.tick()
    line.judged(1)
    time.sleep(6)  # its session is over: confluent's client joins again by itself, and becomes the newest
    asleep.send_signal(signal.SIGCONT)
    line.stopped(0, f"process {newer.pid} on host")
    line.tick()
    line.judged(1)
    assert newer.poll() is None
    line.whole()


def test_where_nothing_was_said_the_older_stops_once_the_newer_has_outlived_a_session(line: Line) -> None:
    line.work()
    line.open(0, 30)
    newer = line.work()
    line.open(1, 30)
    line.stopped(0, "member w1-")
    line.tick()
    line.judged(1)
    assert newer.poll() is None


def test_a_name_under_which_nobody_lives_is_taken_back(line: Line) -> None:
    line.work()
    line.tick()
    line.judged(0)
    # What a request to join leaves whose answer was lost: a member without a heart.
    prefix = line.options["topic.prefix"]
    named: dict[str, Any] = {"group_id": f"{prefix}.live", "group_instance_id": "w1", "session_timeout_ms": 6000, "enable_auto_commit": False}
    ghost = KafkaConsumer(bootstrap_servers=line.options["bootstrap.servers"], **named)
    ghost.subscribe([f"{prefix}.telemetry", f"{prefix}.events"])
    ghost.poll(timeout_ms=2000)
    assert ghost.assignment()
    ghost.close(autocommit=False)
    for _ in range(2):
        line.tick()
        line.judged(0)
    assert line.workers[0].poll() is None
    assert "this one waits" in line.log(0).read_text()
    line.whole()
