"""Alertmanager: what is told and when, and receivers that are dead, slow, wrong or lying."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import pytest

from grayscope.alert import Alert
from grayscope.engine import Output
from grayscope.errors import UsageError
from grayscope.sinks._alertstate import KEPT, Alertstate
from grayscope.sinks._alertwire import wire
from grayscope.sinks.alertmanager import Alertmanager

NOW = 1_700_000_000
START = (NOW - 60) * 1_000_000


def alert(incident: str = "ab", severity: str = "page", ends: int | None = None, start: int = START, **words: str) -> Alert:
    return Alert({"alertname": "GrayFailure", "cluster": "c", "incident": incident, "severity": severity}, words, start, ends)


class Receiver(ThreadingHTTPServer):
    """Takes notes; `answer` says what to do with a body."""

    def __init__(self, answer: Callable[[list[Any]], int] = lambda _: 200) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer, self.posts, self.paths, self.headers = answer, list[list[Any]](), list[str](), list[dict[str, str]]()
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def labels(self) -> list[dict[str, str]]:
        return [a["labels"] for post in self.posts for a in post]


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.paths.append(self.path)
        self.server.headers.append(dict(self.headers))
        status = self.server.answer(body)
        self.server.posts.append(body)
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def receivers() -> Iterator[list[Receiver]]:
    found = [Receiver(), Receiver()]
    yield found
    for receiver in found:
        receiver.shutdown()
        receiver.server_close()


def until(done: Callable[[], bool]) -> None:
    limit = time.monotonic() + 20
    while not done():
        assert time.monotonic() < limit
        time.sleep(0.01)


def test_every_instance_is_told_with_labels_apart_from_words(receivers: list[Receiver]) -> None:
    one, two = receivers
    sink = Alertmanager([one.url, two.url + "/prefix/"], clock=lambda: NOW, runbooks="https://r.example/modes/", token="s3cret")
    sink.send([alert(summary="n1 is gray", mode="psu", leaf="leaf04", node="n1", table="gpu", empty="")])
    until(lambda: sink.sent == 2)
    sink.close()
    assert one.posts == two.posts
    assert (one.paths, two.paths) == (["/api/v2/alerts"], ["/prefix/api/v2/alerts"])
    assert one.headers[0]["Authorization"] == "Bearer s3cret"
    assert one.posts == [[{
        "labels": {"alertname": "GrayFailure", "cluster": "c", "incident": "ab", "severity": "page", "leaf": "leaf04", "node": "n1", "table": "gpu"},
        "annotations": {"summary": "n1 is gray", "mode": "psu", "runbook_url": "https://r.example/modes/psu.md"},
        "startsAt": "2023-11-14T22:12:20Z", "endsAt": "2023-11-14T22:16:20Z",
    }]]  # fmt: skip
    assert (sink.lost, sink.said) == (0, "")
    assert "s3cret" not in repr(vars(sink))


def test_what_fires_is_told_again_until_it_is_over(receivers: list[Receiver]) -> None:
    sink = Alertmanager(receivers[0].url, resend=0.02)
    sink.send([alert()])
    until(lambda: len(receivers[0].posts) >= 4)
    sink.send([alert(ends=START + 5)])
    until(lambda: receivers[0].posts[-1][0]["endsAt"] == receivers[0].posts[-1][0]["startsAt"])
    sink.close()
    assert (sink.sent, sink.lost) == (2, 0)


def test_where_the_suspect_sits_is_frozen_while_it_fires(receivers: list[Receiver]) -> None:
    sink = Alertmanager(receivers[0].url)
    for where in ("leaf01", "leaf02"):
        sink.send([alert(leaf=where)])
    for _ in range(2):
        sink.send([alert(leaf="leaf03", ends=START + 5)])
    until(lambda: bool(receivers[0].posts) and not sink.instances[0].state.waiting())
    sink.close()
    assert {x["leaf"] for x in receivers[0].labels()} == {"leaf01"}


def test_a_dead_instance_is_told_what_holds_when_it_is_back_and_keeps_nobody_waiting(receivers: list[Receiver]) -> None:
    up, down = receivers
    ill = [True]
    down.answer = lambda _: 503 if ill[0] else 200
    sink = Alertmanager([up.url, down.url], pauses=(0.01,))
    sink.send([alert("ab"), alert("cd")])
    until(lambda: len(up.posts) == 1 and len(down.posts) >= 2)
    sink.send([alert("cd", ends=START + 9)])
    ill[0] = False
    down.posts.clear()
    until(lambda: sink.sent == 3 + 2)
    sink.close()
    assert {x["incident"] for x in down.labels()} == {"ab", "cd"}
    assert (sink.lost, sink.said) == (0, "")


def test_one_that_is_refused_does_not_hold_up_the_others(receivers: list[Receiver]) -> None:
    receivers[0].answer = lambda body: 400 if any(a["labels"]["incident"] == "bad" for a in body) else 200
    sink = Alertmanager(receivers[0].url)
    sink.send([alert("a"), alert("bad"), alert("b")])
    until(lambda: sink.sent == 2 and sink.lost == 1)
    assert [len(p) for p in receivers[0].posts] == [3, 1, 1, 1]
    assert "400" in sink.said
    sink.close()
    assert sink.lost == 1


def test_a_slow_one_holds_up_neither_detection_nor_the_others(receivers: list[Receiver]) -> None:
    quick, slow = receivers
    gate = threading.Event()
    slow.answer = lambda _: 200 if gate.wait(30) else 500
    sink = Alertmanager([slow.url, quick.url], timeout=20.0)
    for n in range(50):
        sink.send([alert(f"{n}")])
    until(lambda: sink.instances[1].state.sent == 50)
    assert slow.posts == []
    gate.set()
    until(lambda: sink.sent == 100)
    sink.close()
    assert len(slow.posts) <= 3, "what came meanwhile goes together"
    assert sink.lost == 0


def test_what_may_inhibit_others_is_told_first(receivers: list[Receiver]) -> None:
    sink = Alertmanager(receivers[0].url)
    sink.send([alert("a", table="gpu"), alert("b", table="node"), alert("c", "ticket", table="leaf"), alert("d", table="leaf")])
    until(lambda: sink.sent == 4)
    sink.close()
    assert [x["incident"] for x in receivers[0].labels()] == ["d", "b", "a", "c"]


def test_a_wrong_token_is_said_without_it_and_what_waits_counts_at_the_end(receivers: list[Receiver]) -> None:
    receivers[0].answer = lambda _: 401
    sink = Alertmanager(receivers[0].url.replace("//", "//ann:s3cret@"))
    sink.send([alert()])
    until(lambda: bool(sink.said))
    sink.close()
    assert (sink.sent, sink.lost) == (0, 1)
    assert "401" in sink.said
    assert "s3cret" not in sink.said


def test_nobody_listens(receivers: list[Receiver]) -> None:
    receivers[0].server_close()
    sink = Alertmanager(receivers[0].url, timeout=0.2, pauses=(0.01,))
    sink.send([alert()])
    until(lambda: "no answer" in sink.said)
    sink.close()
    assert sink.lost == 1


def test_a_restored_engine_tells_what_fires_and_a_cell_that_was_left_is_silent(receivers: list[Receiver]) -> None:
    engine: Any = SimpleNamespace(announce=SimpleNamespace(firing={"ab": alert("ab"), "cd": alert("cd")}))
    sink = Alertmanager(receivers[0].url, resend=0.02)
    sink.see(Output(), engine, "0")
    until(lambda: len(receivers[0].posts) >= 3)
    again: Any = SimpleNamespace(announce=SimpleNamespace(firing={"cd": alert("cd")}))
    sink.see(Output(), again, "0")
    assert [k.alert.labels["incident"] for k in sink.instances[0].state.held.values()] == ["cd"]
    sink.leave("0")
    assert sink.instances[0].state.held == {}
    sink.leave("0")
    sink.close()
    assert {x["incident"] for x in receivers[0].labels()} == {"ab", "cd"}
    assert all(a["endsAt"] > a["startsAt"] for post in receivers[0].posts for a in post)


def test_the_state_is_bounded_and_ages() -> None:
    state = Alertstate(resend=60, age=100, most=2)
    state.put(alert("a", "notice"), 0)
    state.put(alert("b"), 0)
    state.put(alert("c", "ticket"), 0)
    assert [h.alert.labels["incident"] for h in state.due(0)] == ["b", "c"]
    assert state.lost == 1
    for held in state.due(0):
        state.took(held, 0)
    assert (state.due(59), len(state.due(60)), state.sent, state.next()) == ([], 2, 2, 60)
    state.put(alert("b", ends=START), 70)
    assert state.due(100)[0].alert.firing, "what fires comes first"
    assert state.due(170)[0].alert.labels["incident"] == "c"
    assert (len(state.held), state.lost) == (1, 2)
    state.put(alert("c", "ticket", ends=START), 200)
    state.took(state.due(200)[0], 200)
    assert len(state.due(200 + 61)) == 1
    assert state.due(200 + KEPT) == []
    assert (state.held, state.lost) == ({}, 2)


def test_a_ticket_that_became_a_page_ends_before_the_page_is_told() -> None:
    state = Alertstate(resend=60, age=100)
    for told in (alert("a", "ticket"), alert("b", ends=START), alert("a"), alert("a", "ticket", ends=START), alert("c", "ticket")):
        state.put(told, 0)
    due = [(h.alert.labels["incident"], h.alert.labels["severity"], h.alert.firing) for h in state.due(0)]
    assert due == [("a", "ticket", False), ("a", "page", True), ("c", "ticket", True), ("b", "page", False)]


def test_times_make_sense_whatever_the_rows_said() -> None:
    future = wire(alert(start=(NOW + 500) * 1_000_000), NOW, 180)
    assert future["endsAt"] > future["startsAt"]
    over = wire(alert(ends=(NOW + 500) * 1_000_000), NOW, 180)
    assert over["endsAt"] == "2023-11-14T22:13:20Z"
    backwards = wire(alert(ends=START - 1_000_000), NOW, 180)
    assert backwards["endsAt"] == backwards["startsAt"]


def test_hostile_names_are_bounded_and_stay_json() -> None:
    sent = wire(alert(subject='n"\n' * 5000, why="x" * 100_000, mode="../../etc"), NOW, 1, runbooks="https://r", link="https://g/?s={subject}")
    assert len(json.dumps(sent)) < 60_000
    assert sent["annotations"]["runbook_url"] == "https://r/..%2F..%2Fetc.md"
    assert "\n" not in sent["generatorURL"]
    assert '"' not in sent["generatorURL"]


@pytest.mark.parametrize("urls", [[], "", "ftp://x", 5, ["http://a", 5], "http://a:s3cret@b c/", "http://a/?x=s"])
def test_wrong_addresses_are_named_without_secrets(urls: Any) -> None:
    with pytest.raises(UsageError, match="alertmanager") as error:
        Alertmanager(urls)
    assert "s3cret" not in str(error.value)
