"""A real Kafka for tests: one node for the whole run, started when the first test asks for it; topics of a test carry its own prefix."""

from __future__ import annotations

import os
import subprocess
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parent / "servers" / "kafka"
Server = Callable[[str, str], str]


@dataclass
class Cluster:
    """A running cluster in its folder."""

    folder: Path

    @property
    def servers(self) -> str:
        return (self.folder / "bootstrap").read_text().strip()

    def address(self, kind: str) -> str:
        """Return the servers of another listener, ``ssl`` or ``sasl``."""
        return (self.folder / f"bootstrap.{kind}").read_text().strip()

    @property
    def authority(self) -> str:
        return str(self.folder / "tls" / "ca.pem")

    def up(self, nodes: int = 1, **environ: str) -> Cluster:
        """Start what is down."""
        done = subprocess.run(
            [str(SCRIPTS / "kafka-up.sh"), str(self.folder), str(nodes)], env={**os.environ, **environ}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            text=True, timeout=240, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        return self

    def down(self) -> None:
        """Kill it: nobody needs the data."""
        subprocess.run([str(SCRIPTS / "kafka-down.sh"), "--now", str(self.folder)], capture_output=True, timeout=60, check=True)


def needs_java(server: Server) -> None:
    """Skip, or fail, with the line that installs what Kafka runs on."""
    server("java", "default-jre-headless maven")
    server("mvn", "maven")


@pytest.fixture(scope="session")
def kafka_server(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One plaintext node for all tests that only need a broker."""
    needs_java(server)
    cluster = Cluster(tmp_path_factory.mktemp("kafka") / "run")
    try:
        yield cluster.up()
    finally:
        cluster.down()


@pytest.fixture
def prefix() -> str:
    """Topics of one test."""
    return f"t{uuid.uuid4().hex[:8]}"


@pytest.fixture(params=["kafka-python", "confluent"])
def client(request: pytest.FixtureRequest) -> str:
    """Each client after the other, for tests that must hold with both."""
    name = str(request.param)
    if name == "confluent":
        pytest.importorskip("confluent_kafka", reason="pip install 'grayscope[confluent]'")
    return name


@pytest.fixture
def topics(kafka_server: Cluster, prefix: str) -> dict[str, str]:
    """Make all topics of one test, four partitions each; return the settings that lead there."""
    from grayscope.brokers._kafkasettings import kafka_settings
    from grayscope.brokers._kafkatopics import Topics

    options = {"bootstrap.servers": kafka_server.servers, "topic.prefix": prefix}
    with Topics(kafka_settings(options), partitions=4) as made:
        made.apply(made.changes())
    return options
