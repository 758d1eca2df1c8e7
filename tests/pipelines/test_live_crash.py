"""Live through crashes on three nodes: brokers, workers and agents die or sleep; nothing is lost, nothing doubled, the order kept.

One short run of each kind; with GRAYSCOPE_TEST_CRASH=long (`make crash`) each is drawn out and repeated.
"""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from grayscope import assembly
from grayscope.brokers.parquet import Parquet
from grayscope.errors import GrayscopeError
from grayscope.fleet import Fleet
from grayscope.fleet.faults import Fault
from grayscope.saidrows import verdict_dict
from grayscope.settings import Settings
from grayscope.trace import Trace
from tests.brokers.crashing import WORKER, Agent, Nodes, cluster, holds, topics
from tests.brokers.livekafka import eventually, said, worker
from tests.kafkaserver import Cluster, needs_java
from tests.pipelines.livetrace import by_subject

# A client that is closed while it dials leaves that socket to the garbage collector (kafka-python 3.0, `sock_connect`): where brokers die, some do.
DIALLING = r"ignore:unclosed <socket.socket fd=\d+, family=2, type=1, proto=6, laddr=\('127.0.0.1', \d+\), raddr=:ResourceWarning"
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings(DIALLING)]
LONG = os.environ.get("GRAYSCOPE_TEST_CRASH") == "long"
#: Seconds: brokers away, a worker asleep (its session ends after six).
AWAY, ASLEEP = (90.0, 30.0) if LONG else (6.0, 9.0)
ROUNDS = 3 if LONG else 1


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("crash") / "trace"
    faults = [Fault("n002/gpu3", "thermal_throttle", "gray", 600.0, strength=0.2)]
    Fleet(nodes=3, hours=2.0 if LONG else 0.4, seed=102, faults=faults).write(path)
    return path


@pytest.fixture(scope="module")
def expected(trace: Path) -> tuple[dict[str, Any], set[str], int]:
    """What one engine says of the same rows, verdicts by subject and names of incidents; how many messages there are."""
    engine = assembly.engine(Settings(), periods=Trace.open(trace).periods)
    outputs = [engine.step(message) for message in Parquet(trace).receive()]
    verdicts = [verdict_dict(v) for output in outputs for v in output.verdicts]
    return by_subject(verdicts), {i.id for output in outputs for i in output.incidents}, len(outputs)


@pytest.fixture(scope="module")
def trio(server: Callable[[str, str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    needs_java(server)
    folder = tmp_path_factory.mktemp("trio") / "kafka"
    try:
        yield cluster(folder)
    finally:
        Cluster(folder / "run").down()


class Line:
    """An agent, workers and a cluster: the line under test."""

    def __init__(self, trio: Cluster, prefix: str, trace: Path, folder: Path, count: int, client: str) -> None:
        self.cluster, self.nodes, self.count = trio, Nodes(trio), count
        self.options, self.log, self.folder = {**topics(trio, prefix), "client": client}, folder / "log", folder
        self.config = folder / "live.toml"
        self.config.write_text('[live]\nperiods = { nvlink = "60s" }\ncheckpoint = "2s"\n')
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        self.agent = Agent(self.options, trace, folder)

    def work(self, *names: str) -> None:
        for name in names:
            self.workers[name] = worker(self.options, self.log, name, "--config", str(self.config))

    def kill(self, name: str) -> None:
        self.workers[name].kill()
        self.workers[name].wait(30)

    def committed(self) -> int:
        return len(said(self.options, "order"))

    def onward(self) -> None:
        """Wait for the next commit."""
        before = -1

        def more() -> bool:
            nonlocal before
            with suppress(GrayscopeError):  # brokers may be away
                now = self.committed()
                before = now if before < 0 else before
                return now > before
            return False

        eventually(more, self.log)

    def parts(self) -> Iterator[int]:
        """Yield numbers of messages at which something may happen."""
        for i in range(ROUNDS):
            self.agent.until(part := (i + 1) * self.count // (ROUNDS + 2))
            yield part

    def close(self) -> None:
        for process in self.workers.values():
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait(30)
        self.agent.kill()


@pytest.fixture
def line(
    trio: Cluster, prefix: str, client: str, trace: Path, expected: tuple[Any, Any, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Line]:  # fmt: skip
    for name, value in WORKER.items():
        monkeypatch.setenv(name, value)
    trio.up(3)
    made = Line(trio, prefix, trace, tmp_path, expected[2], client)
    try:
        yield made
    finally:
        made.close()


def judged(line: Line, expected: tuple[dict[str, Any], set[str], int]) -> None:
    line.agent.finished()
    holds(line.options, expected[0], expected[1], line.log)


def test_the_leader_dies(line: Line, expected: Any) -> None:
    line.work("w1")
    for _ in line.parts():
        line.nodes.kill(line.nodes.leader(line.options))
        time.sleep(AWAY)
        line.cluster.up(3)
        line.nodes.in_sync(line.options, line.log)
    judged(line, expected)


def test_two_brokers_die_one_after_the_other(line: Line, expected: Any) -> None:
    line.work("w1")
    for _ in line.parts():
        for _ in range(2):
            line.nodes.kill(line.nodes.leader(line.options))
            line.cluster.up(3)
            line.nodes.in_sync(line.options, line.log)
    judged(line, expected)


def test_all_workers_die_at_once(line: Line, expected: Any) -> None:
    for _ in line.parts():
        line.work("w1", "w2")
        line.onward()
        for name in ("w1", "w2"):
            line.workers[name].kill()
        for name in ("w1", "w2"):
            line.workers[name].wait(30)
    line.work("w1", "w2")
    judged(line, expected)


def test_an_agent_dies(line: Line, expected: Any) -> None:
    line.work("w1")
    for _ in line.parts():
        line.agent.kill()
        line.agent.start()
    judged(line, expected)


def test_a_worker_sleeps_longer_than_its_session(line: Line, expected: Any) -> None:
    line.work("w1")
    for _, name in zip(line.parts(), itertools.cycle(("w1", "w2"))):
        line.onward()
        asleep = line.workers[name]
        asleep.send_signal(signal.SIGSTOP)
        other = "w2" if name == "w1" else "w1"
        if other not in line.workers:
            line.work(other)
        time.sleep(ASLEEP)
        line.onward()  # the other has taken over
        asleep.send_signal(signal.SIGCONT)
    judged(line, expected)


def test_brokers_are_away_and_the_agent_dies_meanwhile(line: Line, expected: Any) -> None:
    line.work("w1")
    for part in line.parts():
        line.onward()
        for number in (1, 2, 3):
            line.nodes.kill(number)
        line.agent.until(part + 20)  # these wait on disk
        line.agent.kill()
        line.agent.start()
        time.sleep(AWAY)
        line.cluster.up(3)
    judged(line, expected)
