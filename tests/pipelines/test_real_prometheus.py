"""A real Prometheus scrapes exporters of a generated fleet; what it kept is imported and replayed, and the planted GPU is found."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

from grayscope import plugins
from grayscope.fleet.faults import Fault
from grayscope.fleet.fleet import Fleet
from grayscope.replaying import replay

pytestmark = pytest.mark.slow

TICKS, PERIOD = 240, 10
PLANTED = "n003/gpu5"


class Exporters:
    """Text exporters of all nodes behind one address: every scrape of ``/<node>/metrics`` shows the next tick, with its time."""

    def __init__(self, fleet: Fleet, begin: int) -> None:
        self.fleet, self.begin = fleet, begin
        self.shown = dict.fromkeys(fleet.topology.node_names, 0)
        self.lock = threading.Lock()

    def page(self, node: str) -> str:
        with self.lock:
            tick = self.shown[node]
            if tick >= TICKS:
                return ""
            self.shown[node] = tick + 1
            text = self.fleet.exposition(tick, node)
        stamp = (self.begin + tick * PERIOD) * 1000
        return "".join(f"{line}\n" if line.startswith("#") else f"{line} {stamp}\n" for line in text.splitlines())


@contextmanager
def serving(exporters: Exporters) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = exporters.page(self.path.split("/")[1]).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever)
    thread.start()
    try:
        yield httpd.server_address[1]
    finally:
        httpd.shutdown()
        thread.join()
        httpd.server_close()


@contextmanager
def prometheus(command: str, folder: Path, exporter: int, nodes: list[str]) -> Iterator[str]:
    jobs = [
        f"  - {{job_name: {n}, scrape_interval: 100ms, scrape_timeout: 100ms, metrics_path: /{n}/metrics, "
        f'static_configs: [{{targets: ["127.0.0.1:{exporter}"]}}]}}'
        for n in nodes
    ]
    (folder / "prometheus.yml").write_text("scrape_configs:\n" + "\n".join(jobs) + "\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [command, f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'tsdb'}", f"--web.listen-address=127.0.0.1:{port}"],
            stdout=subprocess.DEVNULL, stderr=log,
        )  # fmt: skip
    try:
        url = f"http://127.0.0.1:{port}"
        _wait(lambda: _ready(url), 30, f"{(folder / 'log').read_text()[-2000:]}")
        yield url
    finally:
        process.terminate()
        process.wait(30)


def _ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/-/ready", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _wait(done: Callable[[], bool], seconds: float, text: str) -> None:
    limit = time.monotonic() + seconds
    while not done():
        if time.monotonic() > limit:
            pytest.fail(f"not within {seconds} s: {text}")
        time.sleep(0.1)


def test_the_planted_gpu_is_found_in_what_a_real_prometheus_kept(server: Callable[[str, str], str], tmp_path: Path) -> None:
    command = server("prometheus", "prometheus")
    fleet = Fleet(nodes=4, hours=TICKS * PERIOD / 3600, seed=3, faults=[Fault(PLANTED, "thermal_throttle", "gray", began=1000.0, strength=0.18)])
    begin = int(time.time()) - TICKS * PERIOD - 60
    begin -= begin % PERIOD
    exporters = Exporters(fleet, begin)
    with serving(exporters) as port, prometheus(command, tmp_path, port, list(fleet.topology.node_names)) as url:
        _wait(lambda: min(exporters.shown.values()) >= TICKS, 180, f"scraped {exporters.shown}")
        time.sleep(1)  # the last scrape is still being stored
        end = begin + (TICKS - 1) * PERIOD
        asked = ["prometheus", "--url", url, "--start", str(begin), "--end", str(end), "--step", f"{PERIOD}s", "--out", str(tmp_path / "trace"), "--json"]
        told = CliRunner().invoke(plugins.load("pipelines", "import"), asked)
    assert told.exit_code == 0, told.output
    assert json.loads(told.stdout)["rows"] == 2 * 32 * TICKS, told.output
    run = replay(tmp_path / "trace")
    accused = {i.subject: i for i in run.found if i.severity in ("page", "ticket")}
    assert PLANTED in accused
    assert set(accused) == {PLANTED}
    found = accused[PLANTED]
    assert begin + 1000 <= found.noticed / 1e6 <= begin + 1000 + 600
    assert "thermal" in found.summary or "clock" in found.summary
