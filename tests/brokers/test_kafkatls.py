"""Kafkatls: a certificate's fault is named in OpenSSL's words, and TLS is told from plain text."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from grayscope.brokers._kafkasettings import kafka_settings
from grayscope.brokers._kafkatls import addresses, fault, spoken
from tests.brokers.kafkadoors import openssl


@pytest.fixture
def listener(server: Callable[[str, str], str], tmp_path: Path) -> Iterator[Callable[[int, str], str]]:
    """Make a TLS listener whose certificate lasts so many days and bears such a name; return its address."""
    server("openssl", "openssl")
    opened: list[socket.socket] = []
    openssl(f"req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=ca -keyout {tmp_path}/ca.key -out {tmp_path}/ca.pem")

    def make(days: int, name: str) -> str:
        key, request, certificate = (tmp_path / n for n in ("key", "csr", "crt"))
        (tmp_path / "names").write_text(f"subjectAltName={name}\n")
        openssl(f"req -newkey rsa:2048 -nodes -subj /CN=x -keyout {key} -out {request}")
        authority = f"-CA {tmp_path}/ca.pem -CAkey {tmp_path}/ca.key -CAcreateserial -extfile {tmp_path}/names"
        openssl(f"x509 -req -in {request} {authority} -days {days} -out {certificate}")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        opened.append(socket.create_server(("127.0.0.1", 0)))
        threading.Thread(target=serve, args=(opened[-1], context), daemon=True).start()
        return f"127.0.0.1:{opened[-1].getsockname()[1]}"

    yield make
    for one in opened:
        one.close()


def serve(listening: socket.socket, context: ssl.SSLContext) -> None:
    with suppress(OSError):
        while True:
            client, _ = listening.accept()
            with client, suppress(OSError), context.wrap_socket(client, server_side=True):
                pass


@pytest.mark.parametrize(
    ("days", "name", "seen"), [(1, "IP:127.0.0.1", ""), (-1, "IP:127.0.0.1", "certificate has expired"), (1, "DNS:elsewhere", "IP address mismatch")]
)
def test_the_fault_of_a_certificate_is_named(listener: Callable[[int, str], str], tmp_path: Path, days: int, name: str, seen: str) -> None:
    at = listener(days, name)
    settings = {"bootstrap.servers": f"127.0.0.1:9,{at}", "security.protocol": "SSL"}
    assert seen in fault(kafka_settings({**settings, "ssl.ca.location": str(tmp_path / "ca.pem")}))
    assert bool(seen) == bool(fault(kafka_settings({**settings, "ssl.ca.location": str(tmp_path / "ca.pem")})))
    assert "certificate" in fault(kafka_settings(settings))  # of an authority that nobody knows
    assert spoken(at)


def test_what_is_not_there_or_no_tls_has_no_fault(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as dumb:
        at = f"127.0.0.1:{dumb.getsockname()[1]}"

        def answer() -> None:
            client, _ = dumb.accept()
            with client:
                client.sendall(b"220 hello\r\n" * 3)
                client.recv(1000)

        thread = threading.Thread(target=answer)
        thread.start()
        assert not spoken(at)
        thread.join(5)
    for servers in (at, "nosuch.invalid:1", "127.0.0.1:99999", ""):
        assert (fault(kafka_settings({"bootstrap.servers": servers or "127.0.0.1:9"})), spoken(servers)) == ("", False)
    (tmp_path / "ca.pem").write_text("no certificate")
    assert fault(kafka_settings({"bootstrap.servers": at, "ssl.ca.location": str(tmp_path / "ca.pem")})) == ""


def test_addresses_of_every_form() -> None:
    assert list(addresses("k1, SSL://k2:1,[::1]:2")) == [("k1", 9092), ("k2", 1), ("::1", 2)]
