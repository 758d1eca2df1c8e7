"""A real Alertmanager: one fault is one notification; it resolves, outlives a restart, is told once by two instances, and children are inhibited."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from grayscope.alert import Alert
from grayscope.alertrules import ROUTING
from grayscope.sinks.alertmanager import Alertmanager
from tests.sinks.test_posting_tls import folder  # noqa: F401 - a fixture

pytestmark = pytest.mark.slow


def free_port() -> int:
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class Phone:
    """Whom Alertmanager notifies."""

    def __init__(self) -> None:
        phone = self
        self.calls: list[dict[str, Any]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                phone.calls.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def told(self) -> list[tuple[str, str]]:
        return [(call["status"], call["commonLabels"]["incident"]) for call in self.calls]


class Instance:
    """One process of Alertmanager; it can be killed and started again."""

    def __init__(self, command: str, at: Path, phone: Phone, *more: str) -> None:
        at.mkdir()
        self.folder, self.port = at, free_port()
        hook = f"  - name: default\n    webhook_configs: [{{url: 'http://127.0.0.1:{phone.server.server_port}/'}}]\n"
        text = ROUTING.replace("  - name: default\n", hook).replace(
            "route:\n", "route:\n  group_wait: 500ms\n  group_interval: 500ms\n  repeat_interval: 1h\n", 1
        )
        (at / "config.yml").write_text(text)
        self.argv = [
            command, f"--config.file={at / 'config.yml'}", f"--storage.path={at / 'data'}", f"--web.listen-address=127.0.0.1:{self.port}", *more,
        ]  # fmt: skip
        self.secure: ssl.SSLContext | None = None
        if any(x.startswith("--web.config.file=") for x in more):
            self.secure = ssl.create_default_context()
            self.secure.check_hostname, self.secure.verify_mode = False, ssl.CERT_NONE
        self.start()

    @property
    def url(self) -> str:
        return f"{'https' if self.secure else 'http'}://127.0.0.1:{self.port}"

    def start(self) -> None:
        with (self.folder / "log").open("a") as log:
            self.process = subprocess.Popen(self.argv, stdout=subprocess.DEVNULL, stderr=log)
        until(self.ready, lambda: (self.folder / "log").read_text()[-2000:])

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)

    def ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=2, context=self.secure) as answer:
                return bool(answer.status == 200)
        except urllib.error.HTTPError as error:
            return error.code == 401
        except OSError:
            return False

    def alerts(self) -> dict[str, str]:
        with urllib.request.urlopen(f"{self.url}/api/v2/alerts", timeout=5) as answer:
            return {a["labels"]["incident"]: a["status"]["state"] for a in json.load(answer)}


def until(done: Callable[[], bool], says: Callable[[], object] = lambda: "") -> None:
    limit = time.monotonic() + 60
    while not done():
        if time.monotonic() > limit:
            pytest.fail(f"not within a minute: {says()}")
        time.sleep(0.05)


def alert(incident: str, table: str, leaf: str = "leaf04", node: str = "", severity: str = "page", *, over: bool = False, **words: str) -> Alert:
    labels = {"alertname": "GrayFailure", "cluster": "c", "incident": incident, "severity": severity}
    now = int(time.time() * 1e6)
    start = now // 3_600_000_000 * 3_600_000_000  # the same for an alert's whole life
    return Alert(labels, {"table": table, "leaf": leaf, "node": node, "summary": "x", **words}, start, now if over else None)


@pytest.fixture
def place(server: Callable[[str, str], str], tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Start instances; all is stopped at the end."""
    command = server("prometheus-alertmanager", "prometheus-alertmanager")
    with ExitStack() as stack:

        def make(cls: Any, *args: Any, **kwargs: Any) -> Any:
            if cls is Instance:
                found = Instance(command, tmp_path / str(args[0]), *args[1:])
                stack.callback(found.stop)
            else:
                found = cls(*args, **kwargs)
                stack.callback(found.close)
            return found

        yield make


def test_one_fault_is_one_notification_that_resolves_and_outlives_a_restart(place: Callable[..., Any]) -> None:
    phone = place(Phone)
    instance = place(Instance, "a", phone, "--cluster.listen-address=")
    sink = place(Alertmanager, instance.url, resend=0.5, pauses=(0.2,))
    sink.send([alert("ab", "gpu", node="n1")])
    until(lambda: bool(phone.calls), lambda: sink.said)
    sink.send([alert("ab", "gpu", node="n1", mode="new", why="other words"), alert("ab", "gpu", "leaf09", node="n2")])
    instance.stop()
    instance.start()
    until(lambda: instance.alerts() == {"ab": "active"}, lambda: sink.said)
    time.sleep(2)
    assert phone.told() == [("firing", "ab")]
    sink.send([alert("ab", "gpu", node="n1", over=True)])
    until(lambda: len(phone.calls) == 2)
    assert phone.told() == [("firing", "ab"), ("resolved", "ab")]
    assert instance.alerts() == {}
    assert sink.lost == 0


def test_what_is_told_no_more_ends_by_itself(place: Callable[..., Any]) -> None:
    phone = place(Phone)
    instance = place(Instance, "a", phone, "--cluster.listen-address=")
    sink = place(Alertmanager, instance.url, resend=1.0)
    sink.send([alert("ab", "gpu", node="n1")])
    until(lambda: phone.told() == [("firing", "ab")], lambda: sink.said)
    sink.close()
    until(lambda: len(phone.calls) == 2)
    assert phone.told() == [("firing", "ab"), ("resolved", "ab")]


def test_two_instances_tell_it_once(place: Callable[..., Any]) -> None:
    phone, gossip = place(Phone), [free_port(), free_port()]
    quick = ("--cluster.peer-timeout=3s", "--cluster.gossip-interval=50ms", "--cluster.settle-timeout=1s", "--cluster.advertise-address=")
    instances = []
    for n in range(2):
        own, peer = f"--cluster.listen-address=127.0.0.1:{gossip[n]}", f"--cluster.peer=127.0.0.1:{gossip[1 - n]}"
        instances.append(place(Instance, f"i{n}", phone, own, peer, *quick[:3], quick[3] + f"127.0.0.1:{gossip[n]}"))
    sink = place(Alertmanager, [i.url for i in instances], resend=0.5)
    sink.send([alert("ab", "gpu", node="n1")])
    until(lambda: all(i.alerts() == {"ab": "active"} for i in instances), lambda: sink.said)
    until(lambda: bool(phone.calls))
    time.sleep(5)  # the second one waits for the first's word
    assert phone.told() == [("firing", "ab")]


def test_a_guilty_leaf_and_a_guilty_node_speak_for_what_is_below(place: Callable[..., Any]) -> None:
    phone = place(Phone)
    instance = place(Instance, "a", phone, "--cluster.listen-address=")
    sink = place(Alertmanager, instance.url, resend=5.0)
    sink.send([alert("leaf", "leaf"), alert("node7", "node", "leaf07", "n7")])
    until(lambda: len(instance.alerts()) == 2, lambda: sink.said)
    sink.send([
        alert("gpu", "gpu", "leaf04", "n1"), alert("port", "port", "leaf04"), alert("gpu7", "gpu", "leaf07", "n7", "ticket"),
        alert("gpu8", "gpu", "leaf07", "n8"), alert("bare", "path", ""),
    ])  # fmt: skip
    until(lambda: len(phone.calls) >= 4, lambda: phone.told())
    time.sleep(1)  # whoever is not inhibited has been told by then
    assert sorted(phone.told()) == [("firing", x) for x in ("bare", "gpu8", "leaf", "node7")]
    states = instance.alerts()
    assert [states[x] for x in ("gpu", "port", "gpu7", "gpu8")] == ["suppressed", "suppressed", "suppressed", "active"]


def test_tls_and_a_password(place: Callable[..., Any], folder: Path) -> None:  # noqa: F811
    #: Of s3cret, with the fewest rounds.
    hashed = "$2b$04$abcdefghijklmnopqrstuuLZYjhNQAOdpbzt4WxWlUHjv1wsyH5DG"
    config = folder / "web.yml"
    config.write_text(f"tls_server_config: {{cert_file: server.pem, key_file: server.key}}\nbasic_auth_users: {{ann: '{hashed}'}}\n")
    phone = place(Phone)
    instance = place(Instance, "a", phone, "--cluster.listen-address=", f"--web.config.file={config}")
    wrong = place(Alertmanager, instance.url, ca=str(folder / "ca.pem"), user="ann", password="wrong")
    wrong.send([alert("cd", "gpu")])
    until(lambda: "401" in wrong.said, lambda: wrong.said)
    sink = place(Alertmanager, instance.url, ca=str(folder / "ca.pem"), user="ann", password="s3cret")
    sink.send([alert("ab", "gpu")])
    until(lambda: bool(phone.calls), lambda: sink.said)
    assert phone.told() == [("firing", "ab")]
