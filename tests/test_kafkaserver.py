"""The real Kafka of the tests answers, and is the same one for all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kafkaserver import SCRIPTS, Cluster, needs_java


@pytest.mark.slow
def test_the_cluster_answers(kafka_server: Cluster, prefix: str) -> None:
    from kafka import KafkaProducer

    producer = KafkaProducer(bootstrap_servers=kafka_server.servers, bootstrap_timeout_ms=10_000)
    try:
        assert producer.bootstrap_connected() in (True, False)
        assert prefix.isalnum()
    finally:
        producer.close()


def test_what_is_missing_is_named_with_the_line_that_installs_it(server: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("GRAYSCOPE_INSTALL_SERVERS", raising=False)
    with pytest.raises(pytest.skip.Exception, match=r"apt-get install -y --no-install-recommends default-jre-headless maven"):
        needs_java(server)  # type: ignore[arg-type]
    monkeypatch.setenv("GRAYSCOPE_INSTALL_SERVERS", "1")
    with pytest.raises(pytest.fail.Exception, match="java is not installed"):
        needs_java(server)  # type: ignore[arg-type]


def test_the_scripts_can_be_run() -> None:
    for name in ("kafka-up.sh", "kafka-down.sh"):
        assert (SCRIPTS / name).stat().st_mode & 0o111
