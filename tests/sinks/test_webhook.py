"""Webhook: the shape, the retries, and a receiver that is not there."""

from __future__ import annotations

import base64
import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from grayscope.alert import Alert
from grayscope.errors import GrayscopeError, UsageError
from grayscope.sinks.webhook import NEVER, Webhook, body, fingerprint

LABELS = {"alertname": "GrayFailure", "cluster": "c", "incident": "ab12", "severity": "page"}
FIRING = Alert(LABELS, {"summary": "n1 is gray: ü"}, 1_700_000_000_000_000)
RESOLVED = Alert({**LABELS, "incident": "cd34"}, {}, 0, 60_000_000)


class Receiver(ThreadingHTTPServer):
    """Remembers what was posted; answers from a list of (status, headers), then 200."""

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.posts: list[tuple[dict[str, str], Any]] = []
        self.gets = 0
        self.open = threading.Event()
        self.open.set()
        self.thread = threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook"

    def stop(self) -> None:
        self.open.set()
        self.shutdown()
        self.server_close()
        self.thread.join()


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        self.server.open.wait(30)
        text = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posts.append((dict(self.headers), json.loads(text)))
        status, headers = self.server.answers.pop(0) if self.server.answers else (200, {})
        self.send_response(status)
        for name, value in {**headers, "Content-Length": "0"}.items():
            self.send_header(name, value)
        self.end_headers()

    def do_GET(self) -> None:
        self.server.gets += 1
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as in the standard library
        del format, args


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    yield server
    server.stop()


class Sleeps(list[float]):
    """A clock that only takes notes, and moves on by what is slept."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)

    def time(self) -> float:
        return sum(self)


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def test_the_shape_is_that_of_alertmanagers_webhooks(receiver: Receiver) -> None:
    sink = Webhook(receiver.url)
    sink.send([FIRING, RESOLVED])
    sink.close()
    assert sink.lost == 0
    (headers, firing), (_, resolved) = receiver.posts
    assert headers["Content-Type"] == "application/json"
    assert (firing["version"], firing["status"], resolved["status"]) == ("4", "firing", "resolved")
    (alert,) = firing["alerts"]
    assert alert == {
        "status": "firing", "labels": LABELS, "annotations": {"summary": "n1 is gray: ü"}, "startsAt": "2023-11-14T22:13:20Z", "endsAt": NEVER,
        "generatorURL": "", "fingerprint": fingerprint(LABELS),
    }  # fmt: skip
    assert (resolved["alerts"][0]["startsAt"], resolved["alerts"][0]["endsAt"]) == ("1970-01-01T00:00:00Z", "1970-01-01T00:01:00Z")
    assert set(firing) == {
        "version", "groupKey", "truncatedAlerts", "status", "receiver", "groupLabels", "commonLabels", "commonAnnotations", "externalURL", "alerts",
    }  # fmt: skip


def test_common_labels_are_those_that_all_share() -> None:
    both = body([FIRING, RESOLVED], "firing")
    assert both["commonLabels"] == {k: v for k, v in LABELS.items() if k != "incident"}
    assert fingerprint(dict(reversed(LABELS.items()))) == fingerprint(LABELS) != fingerprint(RESOLVED.labels)


def test_every_send_arrives_in_order(receiver: Receiver) -> None:
    sink = Webhook(receiver.url)
    for i in range(20):
        sink.send([Alert({**LABELS, "incident": str(i)}, {}, 0)])
    sink.send([])
    sink.close()
    sink.close()
    assert [p["alerts"][0]["labels"]["incident"] for _, p in receiver.posts] == [str(i) for i in range(20)]


def test_a_busy_receiver_is_tried_again_and_told_when(receiver: Receiver) -> None:
    receiver.answers = [(503, {}), (429, {"Retry-After": "7"}), (500, {"Retry-After": "soon"}), (503, {"Retry-After": "999999"})]
    sleeps = Sleeps()
    sink = Webhook(receiver.url, pauses=(0.5, 1.0, 2.0, 4.0), sleep=sleeps)
    sink.send([FIRING])
    while not sink.sent:
        threading.Event().wait(0.01)
    sink.close()
    assert len(receiver.posts) == 5
    assert sleeps == [0.5, 7.0, 2.0, 60.0]  # what was asked for, within reason
    assert sink.lost == 0


def test_a_refusal_is_final_and_counted(receiver: Receiver) -> None:
    receiver.answers = [(400, {})]
    sink = Webhook(receiver.url)
    sink.send([FIRING, FIRING])
    sink.send([RESOLVED])
    sink.close()
    assert len(receiver.posts) == 2
    assert sink.lost == 2


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_a_refusal_for_the_alerts_would_be_lost_on_the_way(status: int, receiver: Receiver) -> None:
    receiver.answers = [(status, {"Location": receiver.url})]
    sink = Webhook(receiver.url)
    sink.send([FIRING])
    sink.close()
    assert (len(receiver.posts), receiver.gets, sink.lost) == (1, 0, 1)


def test_a_receiver_that_comes_up_later_gets_everything() -> None:
    port = free_port()
    started: list[Receiver] = []

    def later(_: float) -> None:
        if not started:
            started.append(Receiver(port))

    sink = Webhook(f"http://127.0.0.1:{port}/hook", pauses=(0.0,), sleep=later)
    sink.send([FIRING])
    while not sink.sent:
        threading.Event().wait(0.01)
    sink.close()
    assert len(started[0].posts) == 1
    assert sink.lost == 0
    started[0].stop()


def test_a_receiver_that_never_comes_up_is_asked_until_the_alerts_are_too_old() -> None:
    sleeps = Sleeps()
    sink = Webhook(f"http://127.0.0.1:{free_port()}/hook", pauses=(1.0, 2.0), age=6.0, sleep=sleeps, clock=sleeps.time)
    sink.send([FIRING])
    while sink.lost < 1:
        threading.Event().wait(0.01)
    assert sleeps == [1.0, 2.0, 2.0, 2.0]
    assert "no answer" in sink.said
    sink.close()
    assert (sink.lost, sink.sent) == (1, 0)


def test_what_waits_in_a_spool_goes_on_after_a_restart(tmp_path: Path) -> None:
    port = free_port()
    sink = Webhook(f"http://127.0.0.1:{port}/hook", spool=str(tmp_path))
    sink.send([FIRING])
    sink.send([RESOLVED])
    sink.close()
    sink.close()
    assert (sink.lost, sink.sent) == (0, 0)
    receiver = Receiver(port)
    again = Webhook(receiver.url, spool=str(tmp_path))
    again.close()
    assert [p["status"] for _, p in receiver.posts] == ["firing", "resolved"]
    assert (again.lost, again.sent) == (0, 2)
    receiver.stop()


def test_a_spool_that_cannot_be_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(GrayscopeError, match="cannot be used as a spool"):
        Webhook("http://127.0.0.1:9/", spool=str(tmp_path / "file"))


def test_a_dead_receiver_never_blocks_and_what_is_dropped_is_counted(receiver: Receiver) -> None:
    receiver.open.clear()  # takes connections, answers nobody
    sink = Webhook(receiver.url, timeout=30)
    for i in range(3000):
        sink.send([Alert({**LABELS, "incident": str(i)}, {}, 0)])
    assert 1999 <= sink.lost <= 2000  # the newest thousand wait
    sink.close(limit=0.05)
    assert sink.lost >= 2990
    assert receiver.posts == []


def test_a_password_travels_in_a_header_only(receiver: Receiver) -> None:
    sink = Webhook(receiver.url.replace("http://", "http://ann:s%40cret@"))
    sink.send([FIRING])
    sink.close()
    headers, _ = receiver.posts[0]
    assert base64.b64decode(headers["Authorization"].removeprefix("Basic ")) == b"ann:s@cret"
    assert "cret" not in headers["Host"] + sink.url


@pytest.mark.parametrize("url", ["", "ftp://x", "file:///etc/passwd", "http://", "http://[bad/", "http://host:port/"])
def test_no_url(url: str) -> None:
    with pytest.raises(UsageError, match="webhook"):
        Webhook(url)
