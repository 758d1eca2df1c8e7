"""A real Prometheus scrapes `grayscope watch --listen`, evaluates the rules of ``paths = "rules"``, and finds grayscope alive."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import urllib.parse
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from grayscope import plugins
from grayscope.alertrules import rules
from tests.promserver import free_port, get, until

pytestmark = pytest.mark.slow


class Exporter(BaseHTTPRequestHandler):
    """Eight invented GPUs."""

    def do_GET(self) -> None:
        body = "".join(f'DCGM_FI_DEV_SM_CLOCK{{gpu="{g}",UUID="u{g}",modelName="H100",hostname="n1"}} {1980 + g}\n' for g in range(8)).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def test_prometheus_scrapes_a_watch_and_evaluates_the_rules(server: Callable[[str, str], str], tmp_path: Path) -> None:
    command, promtool = server("prometheus", "prometheus"), server("promtool", "prometheus")
    told = CliRunner().invoke(plugins.load("pipelines", "rules"), ["--out", str(tmp_path), "--paths", "rules"])
    assert told.exit_code == 0, told.output
    watched, asked = free_port(), free_port()
    (tmp_path / "prometheus.yml").write_text(
        "global: {scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 200ms}\nrule_files: [grayscope.rules.yml]\n"
        f"scrape_configs:\n- {{job_name: grayscope, static_configs: [{{targets: ['127.0.0.1:{watched}']}}]}}\n"
    )
    text = (tmp_path / "grayscope.rules.yml").read_text()
    (tmp_path / "grayscope.rules.yml").write_text(text.replace("interval: 30s", "interval: 1s"))
    exporter = ThreadingHTTPServer(("127.0.0.1", 0), Exporter)
    threading.Thread(target=exporter.serve_forever, args=(0.02,), daemon=True).start()
    page = f"http://127.0.0.1:{watched}"
    with ExitStack() as stack:
        stack.callback(exporter.server_close)
        stack.callback(exporter.shutdown)
        env = {k: v for k, v in os.environ.items() if not k.startswith("GRAYSCOPE_")} | {"GRAYSCOPE_LATENESS": "0.1", "GRAYSCOPE_CLUSTER": "c7"}
        watch = subprocess.Popen(
            [sys.executable, "-m", "grayscope", "watch", "--url", f"http://127.0.0.1:{exporter.server_port}", "--interval", "200ms",
             "--listen", f"127.0.0.1:{watched}"], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        stack.callback(watch.kill)
        until(lambda: "grayscope_last_tick_timestamp_seconds" in get(f"{page}/metrics"), lambda: "a tick on the page")
        clean = subprocess.run([promtool, "check", "metrics"], input=get(f"{page}/metrics"), capture_output=True, text=True, timeout=60)
        assert (clean.returncode, clean.stdout + clean.stderr) == (0, "")
        assert json.loads(get(f"{page}/readyz"))["ok"]
        with (tmp_path / "log").open("w") as log:
            prometheus = subprocess.Popen(
                [command, f"--config.file={tmp_path / 'prometheus.yml'}", f"--storage.tsdb.path={tmp_path / 'tsdb'}",
                 f"--web.listen-address=127.0.0.1:{asked}"], stdout=subprocess.DEVNULL, stderr=log,
            )  # fmt: skip
        stack.callback(prometheus.wait, 30)
        stack.callback(prometheus.terminate)

        def query(expr: str) -> list[Any]:
            answer = get(f"http://127.0.0.1:{asked}/api/v1/query?{urllib.parse.urlencode({'query': expr})}")
            return list(json.loads(answer)["data"]["result"])

        until(lambda: bool(query("rate(grayscope_ticks_total[5s]) > 0")), lambda: "ticks that go on")
        (found,) = query("grayscope_subjects")
        assert (found["metric"]["cluster"], found["metric"]["table"], found["value"][1]) == ("c7", "gpu", "8")
        assert query("absent(grayscope_build_info)") == []
        groups = json.loads(get(f"http://127.0.0.1:{asked}/api/v1/rules"))["data"]["groups"]
        until(
            lambda: all(r["health"] == "ok" for g in json.loads(get(f"http://127.0.0.1:{asked}/api/v1/rules"))["data"]["groups"] for r in g["rules"]),
            lambda: "rules",
        )
        assert sum(len(g["rules"]) for g in groups) == len(rules("rules"))
        watch.send_signal(signal.SIGINT)
        assert "stopped:" in watch.communicate(timeout=30)[1]
        assert watch.returncode == 0
