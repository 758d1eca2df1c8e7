"""Receivers that are silent, slow, broken, busy, lying or of another kind: nothing is lost uncounted, no secret is told, and all goes on when they are well."""

from __future__ import annotations

import base64
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from grayscope.alert import Alert
from grayscope.sinks.alertmanager import Alertmanager
from grayscope.sinks.grafana import Grafana
from grayscope.sinks.webhook import Webhook

SECRET = "s3cretT0ken"
MINE = Alert({"alertname": "GrayFailure", "cluster": "c", "incident": "ab12", "severity": "page"}, {"summary": "n1 is gray"}, 1_700_000_000_000_000)
PAGE = b"<html>please log in</html>"
#: What a receiver answers; nothing at all, or for ever.
ANSWERS = {
    "closes": b"",
    "half": b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{",
    "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n",
    "nonsense status": b"HTTP/1.1 9x9 \r\nContent-Length: 0\r\n\r\n",
    "endless headers": b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(500)) + b"\r\n",
    "a login page": b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%s" % (len(PAGE), PAGE),
    "busy": b"HTTP/1.1 429 Too Many\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n",
    "a gossip": b'HTTP/1.1 500 No %(said)s\r\nContent-Type: application/json\r\n\r\n{"message": "you sent %(said)s"}',
    "an odd gossip": b"%(said)s\r\n\r\n",
    "ill": b"HTTP/1.1 503 Ill\r\nContent-Length: 4\r\n\r\nsick",
}
#: What asking again does not mend, or not soon.
REFUSALS = {
    "gone": b"HTTP/1.1 410 Gone\r\nContent-Length: 26\r\n\r\nthis version knows only v1",
    "another program": b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    "elsewhere": b"HTTP/1.1 405 Not so\r\nContent-Length: 0\r\n\r\n",
}
#: Whoever only wants to know that it was taken has heard enough; who reads an answer to its end reads many headers too.
TAKEN = {("webhook", "half"), ("alertmanager", "half"), ("grafana", "endless headers")}
WELL = {b"GET": b"[]", b"POS": b'{"message":"Annotation added","id":1}'}
SINKS: dict[str, Callable[[str], Any]] = {
    "webhook": lambda url: Webhook(url, token=SECRET, timeout=0.3, pauses=(0.01,)),
    "alertmanager": lambda url: Alertmanager(url, token=SECRET, timeout=0.3, pauses=(0.01,)),
    "grafana": lambda url: Grafana(url, token=SECRET, timeout=0.3, pauses=(0.01,)),
}


class Receiver:
    """Reads a request and answers as it is told; `asked` holds what came, `well` what came since it answers as it should."""

    def __init__(self) -> None:
        self.answer: bytes | None = b""
        self.drips = self.is_well = False
        self.asked: list[bytes] = []
        self.well: list[bytes] = []
        self.over = threading.Event()
        self.door = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.door.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while not self.over.is_set():
                line, _ = self.door.accept()
                threading.Thread(target=self._talk, args=(line,), daemon=True).start()

    def _talk(self, line: socket.socket) -> None:
        with line, contextlib.suppress(OSError):
            line.settimeout(5)
            data = line.recv(65536)
            head, _, rest = data.partition(b"\r\n\r\n")
            length = next((int(x.partition(b":")[2]) for x in head.split(b"\r\n") if x.lower().startswith(b"content-length:")), 0)
            while len(rest) < length:
                rest += line.recv(65536)
            self.asked.append(head)
            if self.is_well:
                self.well.append(rest)
                body = WELL[head[:3]]
                line.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
            elif self.drips:
                while not self.over.wait(0.05):
                    line.sendall(b"H")
            elif self.answer is None:
                self.over.wait(30)
            else:
                said = next(x for x in head.split(b"\r\n") if x.lower().startswith(b"authorization:"))
                line.sendall(self.answer.replace(b"%(said)s", said))

    def close(self) -> None:
        self.over.set()
        self.door.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    yield found
    found.close()


def until(done: Callable[[], object], says: Callable[[], object]) -> None:
    limit = time.monotonic() + 20
    while not done():
        assert time.monotonic() < limit, says()
        time.sleep(0.01)


def told(sink: Any) -> str:
    """Return what is said of the trouble: one line, without secrets."""
    said = str(sink.said)
    assert len(said) < 600
    assert said.isprintable()
    assert not any(secret in said + repr(vars(sink)) for secret in (SECRET, base64.b64encode(f"ann:{SECRET}".encode()).decode()))
    return said


@pytest.mark.parametrize(("name", "ill"), [(name, ill) for name in SINKS for ill in [*ANSWERS, "silent", "drips"] if (name, ill) not in TAKEN])
def test_it_is_asked_again_until_it_is_well_and_nothing_is_lost(name: str, ill: str, receiver: Receiver) -> None:
    receiver.answer, receiver.drips = ANSWERS.get(ill), ill == "drips"
    sink = SINKS[name](receiver.url)
    sink.send([MINE])
    until(lambda: sink.said and len(receiver.asked) >= 3, lambda: (sink.said, receiver.asked))
    assert told(sink)
    assert (sink.sent, sink.lost) == (0, 0)
    receiver.is_well = True
    until(lambda: sink.sent == 1, lambda: sink.said)
    sink.close()
    assert sink.lost == 0
    assert any(b"n1 is gray" in body for body in receiver.well)


@pytest.mark.parametrize("no", REFUSALS)
@pytest.mark.parametrize("name", SINKS)
def test_what_no_retry_mends_is_told_and_counted(name: str, no: str, receiver: Receiver) -> None:
    receiver.answer = REFUSALS[no]
    sink = SINKS[name](receiver.url)
    sink.send([MINE])
    until(lambda: sink.said, lambda: receiver.asked)
    sink.close()
    assert REFUSALS[no].split()[1].decode() in told(sink)
    assert (sink.sent, sink.lost) == (0, 1)


@pytest.mark.parametrize("name", ["webhook", "alertmanager"])
def test_a_password_is_not_told_by_a_gossip_either(name: str, receiver: Receiver) -> None:
    receiver.answer = ANSWERS["a gossip"]
    kind: Any = {"webhook": Webhook, "alertmanager": Alertmanager}[name]
    sink = kind(receiver.url, user="ann", password=SECRET, timeout=0.3, pauses=(0.01,))
    sink.send([MINE])
    until(lambda: sink.said, lambda: receiver.asked)
    assert "Basic ***" in told(sink)
    sink.close()


@pytest.mark.parametrize("ill", ["closes", "busy", "a login page"])
@pytest.mark.parametrize("name", SINKS)
def test_what_is_too_old_is_given_up_and_counted_while_the_receiver_is_ill(name: str, ill: str, receiver: Receiver) -> None:
    receiver.answer = ANSWERS[ill]
    kind: Any = {"webhook": Webhook, "alertmanager": Alertmanager, "grafana": Grafana}[name]
    sink = kind(receiver.url, token=SECRET, timeout=0.3, pauses=(0.01,), age=0.1)
    sink.send([replace(MINE, ends=MINE.starts + 1)])  # what fires is never too old for Alertmanager
    until(lambda: sink.lost == 1, lambda: told(sink))
    sink.close()
    assert (sink.sent, sink.lost) == (0, 1)
