"""Whom we trust and who we are over TLS: a private CA, and a certificate of our own."""

from __future__ import annotations

import contextlib
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from grayscope.errors import Retry, UsageError
from grayscope.grafana import Server
from grayscope.sinks._access import Access
from grayscope.sinks._posting import Post


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class Quiet(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Handshakes are meant to fail here."""


@pytest.fixture(scope="module")
def folder(server: Callable[[str, str], str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CA, a certificate for 127.0.0.1 and one for us."""
    command, path = server("openssl", "openssl"), tmp_path_factory.mktemp("tls")
    (path / "san").write_text("subjectAltName=IP:127.0.0.1\n")
    for line in (
        "req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=ca -keyout ca.key -out ca.pem",
        "req -newkey rsa:2048 -nodes -subj /CN=server -keyout server.key -out server.csr",
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 1 -extfile san -out server.pem",
        "req -newkey rsa:2048 -nodes -subj /CN=us -keyout us.key -out us.csr",
        "x509 -req -in us.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 1 -out us.pem",
    ):
        subprocess.run([command, *line.split()], cwd=path, check=True, capture_output=True)
    return path


@pytest.fixture(params=[False, True], ids=["anyone", "known clients only"])
def place(folder: Path, request: pytest.FixtureRequest) -> Iterator[tuple[str, bool]]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    if request.param:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(folder / "ca.pem")
    found = Quiet(("127.0.0.1", 0), Handler)
    found.socket = context.wrap_socket(found.socket, server_side=True)
    thread = threading.Thread(target=found.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"https://127.0.0.1:{found.server_port}/", request.param
    found.shutdown()
    thread.join()
    found.server_close()


def test_trust_and_identity(place: tuple[str, bool], folder: Path) -> None:
    url, asks = place
    ca, cert, key = (str(folder / x) for x in ("ca.pem", "us.pem", "us.key"))
    Post(url, access=Access(ca=ca, cert=cert, key=key))(b"{}")
    with pytest.raises(Retry, match=r"CERTIFICATE_VERIFY_FAILED|certificate verify failed"):
        Post(url)(b"{}")
    if asks:
        with pytest.raises(Retry, match="no answer"):
            Post(url, access=Access(ca=ca))(b"{}")
    else:
        Post(url, access=Access(ca=ca))(b"{}")


def test_grafana_is_asked_over_tls_and_cut_off_when_it_drips(place: tuple[str, bool], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ca, cert, key = (str(folder / x) for x in ("ca.pem", "us.pem", "us.key"))
    server = Server(place[0], token="t", ca=ca, cert=cert, key=key, timeout=0.3)
    assert server.ask("POST", "/annotations", {}, kind=object) in (None, "", {})
    asked = []

    def drip(handler: Handler) -> None:
        asked.append(handler.path)
        with contextlib.suppress(OSError):
            while True:
                handler.wfile.write(b"H")
                time.sleep(0.05)

    monkeypatch.setattr(Handler, "do_POST", drip)
    with pytest.raises(Retry, match=r"no whole answer|no answer"):
        server.ask("POST", "/annotations", {})
    assert asked
    monkeypatch.undo()
    assert server.ask("POST", "/annotations", {}, kind=object) in (None, "", {})
    server.close()
    stranger = Server(place[0], token="t", timeout=1.0)
    with pytest.raises(Retry):
        stranger.ask("POST", "/annotations", {})
    stranger.close()


def test_files_that_are_no_certificates_are_named(folder: Path) -> None:
    for wrong in (Access(ca=str(folder / "none")), Access(ca=str(folder / "san")), Access(cert=str(folder / "us.pem"), key=str(folder / "ca.key"))):
        with pytest.raises(UsageError, match="certificates cannot be read"):
            Post("https://127.0.0.1:1/", access=wrong)
