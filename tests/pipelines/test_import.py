"""Import: the command line from files and servers to a trace that replays."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from click.testing import CliRunner, Result

from grayscope import plugins
from grayscope.errors import GrayscopeError, InputError, UsageError
from grayscope.replaying import replay
from grayscope.settings import Settings
from grayscope.trace import Trace

command = plugins.load("pipelines", "import")
module = sys.modules[command.callback.__module__]


def call(*arguments: object) -> Result:
    return CliRunner().invoke(command, [str(a) for a in arguments])


class FakePrometheus:
    """A server that is no Prometheus: one gauge of four GPUs, or nothing but waiting."""

    def __init__(self) -> None:
        self.hang = threading.Event()
        self.asked = threading.Event()
        self.forms: list[dict[str, str]] = []
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.answer(["DCGM_FI_DEV_GPU_TEMP", "up"])

            def do_POST(self) -> None:
                form = {k: v[0] for k, v in parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode()).items()}
                fake.forms.append(form)
                if fake.hang.is_set():
                    fake.asked.set()
                    threading.Event().wait(30)
                start, end, step = (float(form[k]) for k in ("start", "end", "step"))
                times = [start + i * step for i in range(int((end - start) / step + 1e-6) + 1)]
                label = {"__name__": "DCGM_FI_DEV_GPU_TEMP", "hostname": "n017"}
                series: list[dict[str, Any]] = [{"metric": {**label, "gpu": str(g)}, "values": [[t, "60"] for t in times]} for g in range(4)]
                count: list[dict[str, Any]] = [{"metric": {}, "values": [[times[0], "4"]]}]
                self.answer({"resultType": "matrix", "result": count if form["query"].startswith("count") else series})

            def answer(self, data: object) -> None:
                body = json.dumps({"status": "success", "data": data}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()


@pytest.fixture
def fake() -> Iterator[FakePrometheus]:
    server = FakePrometheus()
    yield server
    server.server.shutdown()
    server.server.socket.close()


@pytest.fixture
def look(tmp_path: Path) -> Path:
    file = tmp_path / "look.prom"
    file.write_text("".join(f'DCGM_FI_DEV_GPU_TEMP{{gpu="{g}",hostname="n017"}} 6{g}\n' for g in range(4)) + "stranger 1\n")
    return file


def test_files_become_a_trace_that_replays(look: Path, tmp_path: Path) -> None:
    out = tmp_path / "t"
    result = call("openmetrics", look, look, look, "--start", "2023-11-14T22:13:20Z", "--step", "30s", "--out", out, "--cluster", "c1", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == {"files": 3, "samples": 12, "rows": 12, "roster": 4, "rejected: unknown": 1}
    trace = Trace.open(out)
    assert (trace.cluster, trace.periods) == ("c1", {"gpu": 30_000_000})
    assert replay(out, settings=Settings()).counts["rows"] == 12


def test_counts_are_readable_too(look: Path, tmp_path: Path) -> None:
    result = call("openmetrics", look, "--out", tmp_path / "t")
    assert [line.split() for line in result.stdout.splitlines()][:2] == [["files", "1"], ["samples", "4"]]


def test_a_range_of_a_server(fake: FakePrometheus, tmp_path: Path) -> None:
    span = ["--start", "1700000000", "--end", "2023-11-14T22:14:20Z", "--step", "10s"]
    result = call("prometheus", "--url", fake.url, *span, "--match", 'a="b"', "--out", tmp_path / "t", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["rows"] == 28
    assert {f["query"] for f in fake.forms} == {'count({__name__="DCGM_FI_DEV_GPU_TEMP",a="b"})', '{__name__="DCGM_FI_DEV_GPU_TEMP",a="b"}'}


def test_a_table(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("time,host,ms\n" + "".join(f"{1_700_000_000 + 10 * t},h{h},{t}\n" for t in range(3) for h in range(2)))
    (tmp_path / "m.toml").write_text(
        '[table]\nname = "drive"\n[time]\ncolumn = "time"\n[subject]\nname = "{host}/d"\n[metrics.drive_latency_seconds]\ncolumn = "ms"\nfactor = 1e-3\n'
    )
    result = call("table", tmp_path / "d.csv", "--map", tmp_path / "m.toml", "--out", tmp_path / "t", "--cluster", "c2", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["written"] == 6
    assert (Trace.open(tmp_path / "t").tables, Trace.open(tmp_path / "t").cluster) == (("drive",), "c2")


def test_a_missing_table_collector_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "names", lambda _: ["exporter"])
    error = call("table", "x.csv", "--map", "y.toml", "--out", tmp_path / "t").exception
    assert isinstance(error, UsageError)
    assert "'table' is not installed" in str(error)


def test_nothing_known_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("stranger 1\n")
    error = call("openmetrics", tmp_path / "x", "--out", tmp_path / "t").exception
    assert isinstance(error, GrayscopeError)
    assert "unknown: stranger" in str(error)
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_an_existing_place_is_not_touched(look: Path, tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "mine").write_text("keep")
    assert isinstance(call("openmetrics", look, "--out", tmp_path / "t").exception, UsageError)
    assert (tmp_path / "t" / "mine").read_text() == "keep"


@pytest.mark.parametrize(
    ("arguments", "kind", "text"),
    [
        (["openmetrics", "missing"], InputError, "missing: cannot be read"),
        (["openmetrics", "a", "b", "--start", "now"], UsageError, "a step as well"),
        (["openmetrics", "a", "--start", "yesterday"], UsageError, "expected a time"),
        (["openmetrics", "a", "--start", "2026-03-01T12:00:00"], UsageError, "expected a time"),
        (["openmetrics", "a", "--start", "-1.2.3s"], UsageError, "expected a duration"),
        (["openmetrics", "a", "--step", "0s"], UsageError, "expected a duration"),
        (["prometheus", "--url", "file:///etc/passwd", "--start", "-1h"], UsageError, "http or https"),
        (["prometheus", "--url", "http://x", "--start", "now", "--end", "-1h"], UsageError, "end after the start"),
        (["prometheus", "--url", "http://127.0.0.1:1", "--start", "-1h"], GrayscopeError, "no answer"),
    ],
)
def test_errors_are_clear_and_leave_nothing(tmp_path: Path, arguments: list[str], kind: type[Exception], text: str) -> None:
    error = call(*arguments, "--out", tmp_path / "t").exception
    assert isinstance(error, kind)
    assert text in str(error)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["openmetrics", "prometheus", "table"])
def test_every_help_has_an_example(name: str) -> None:
    assert f"grayscope import {name}" in call(name, "--help").output
    assert f"grayscope import {name}" in call("--help").output


def test_times_and_spans() -> None:
    assert module.moment("2023-11-14T23:13:20+01:00", 0) == 1_700_000_000_000_000
    assert module.moment("1700000000123", 0) == module.moment("1700000000.123", 0) == 1_700_000_000_123_000
    assert module.moment("-6h", 30_000.0) == 8_400_000_000


@pytest.mark.slow
def test_ctrl_c_leaves_nothing_half_written(fake: FakePrometheus, tmp_path: Path) -> None:
    fake.hang.set()
    line = [sys.executable, "-m", "grayscope", "import", "prometheus", "--url", fake.url, "--start", "-1h", "--out", str(tmp_path / "t")]
    with subprocess.Popen(line, stderr=subprocess.PIPE, text=True) as process:
        assert fake.asked.wait(60)
        assert [p.name for p in tmp_path.iterdir()] == [".t.partial"]
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
    assert (process.returncode, error.lstrip()) == (130, "grayscope: stopped\n")
    assert list(tmp_path.iterdir()) == []
