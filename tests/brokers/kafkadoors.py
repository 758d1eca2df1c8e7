"""A broker with TLS, passwords and access rules for tests, and what a refused client says."""

from __future__ import annotations

import gc
import subprocess
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from grayscope.brokers.kafka import Kafka
from grayscope.errors import GrayscopeError
from grayscope.event import heartbeat
from tests.kafkaserver import Cluster

SCRAM = {"security.protocol": "SASL_SSL", "sasl.mechanism": "SCRAM-SHA-512", "sasl.username": "grayscope"}
SECRET = "grayscope-secret"
NO_CONFLUENT = pytest.mark.skipif(find_spec("confluent_kafka") is None, reason="pip install 'grayscope[confluent]'")
CLIENTS = ["kafka-python", pytest.param("confluent", marks=NO_CONFLUENT)]


def refused(do: Callable[[Kafka], Any], **options: Any) -> str:
    """Return the one line with which `do` fails."""
    broker = Kafka(**options)
    try:
        with pytest.raises(GrayscopeError) as caught:
            do(broker)
    finally:
        broker.close()
        with warnings.catch_warnings():  # kafka-python drops the socket of a handshake that failed without closing it
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 300
    assert SECRET not in text
    return text


def said(**options: Any) -> str:
    """Return the one line with which a first message fails."""

    def send(broker: Kafka) -> None:
        broker.send(heartbeat(1))
        broker.flush()

    return refused(send, **options)


def guarded_by(folder: Path) -> Cluster:
    """Return a node not yet started: TLS, passwords and access rules; the TLS port wants a client certificate."""
    lines = ["listener.name.ssl.ssl.client.auth=required", "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
             "super.users=User:ANONYMOUS"]  # fmt: skip
    (folder / "more").write_text("\n".join(lines) + "\n")
    return Cluster(folder / "run").up(KAFKA_TLS="1", KAFKA_PROPERTIES=str(folder / "more"))


def signed(cluster: Cluster, folder: Path, *, days: int = 1) -> tuple[str, str]:
    """Return (certificate, key) of a client; below zero days it has expired."""
    tls, key, request, certificate = cluster.folder / "tls", folder / "key", folder / "csr", folder / "crt"
    openssl(f"req -newkey rsa:2048 -nodes -subj /CN=agent -keyout {key} -out {request}")
    openssl(f"x509 -req -in {request} -CA {tls}/ca.pem -CAkey {tls}/ca.key -CAcreateserial -days {days} -out {certificate}")
    return str(certificate), str(key)


def expire(cluster: Cluster) -> None:
    """Stop the node, and start it with a certificate that has expired."""
    tls = cluster.folder / "tls"
    cluster.down()
    (tls / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    openssl(f"x509 -req -in {tls}/server.csr -CA {tls}/ca.pem -CAkey {tls}/ca.key -CAcreateserial -days -1 -extfile {tls}/names -out {tls}/server.crt")
    (tls / "server.pem").write_text((tls / "server.key").read_text() + (tls / "server.crt").read_text())
    cluster.up()


def openssl(line: str) -> None:
    subprocess.run(["openssl", *line.split()], check=True, capture_output=True)
