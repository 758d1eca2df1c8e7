"""Watch: from fake exporters on the loopback to incidents, and from the recording to the same verdicts again."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

from grayscope import assembly, plugins
from grayscope.alert import Alert
from grayscope.catalogue import Catalogue
from grayscope.engine import Engine, Output
from grayscope.maintenance import Work
from grayscope.message import Message
from grayscope.replaying import Collected, replay
from grayscope.results import tables
from grayscope.settings import Settings
from grayscope.told import add_to_file
from grayscope.trace import Trace
from grayscope.tracecheck import validate

START = 1_700_000_000
SETTINGS = Settings(cluster="test")
module = sys.modules[plugins.load("pipelines", "watch").callback.__module__]


class FakeExporter:
    """A server that is no exporter: eight invented GPUs whose clocks wobble; one of them can be planted slow, or the whole thing be dead."""

    def __init__(self, node: str) -> None:
        self.node, self.round, self.slow_from, self.dead, self.restarted, self.job = node, 0, 10**9, False, 0, "42"
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = b"" if fake.dead else fake.text().encode()
                self.send_response(500 if fake.dead else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/metrics"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def text(self) -> str:
        noise = np.random.default_rng([self.round, *self.node.encode()]).normal(size=(8, 3))
        lines = []
        for g in range(8):
            labels = f'{{gpu="{g}",UUID="{self.node}-{g}",modelName="H100",hostname="{self.node}",hpc_job="{self.job}"}}'
            slow = self.round >= self.slow_from and g == 3
            lines += [
                f"DCGM_FI_DEV_SM_CLOCK{labels} {(1500 if slow else 1980) + 3 * noise[g, 0]:.0f}",
                f"DCGM_FI_DEV_GPU_TEMP{labels} {60 + noise[g, 1]:.1f}",
                f"DCGM_FI_DEV_POWER_USAGE{labels} {600 + 5 * noise[g, 2]:.2f}",
                f"DCGM_FI_DEV_PCIE_REPLAY_COUNTER{labels} {self.round - self.restarted}",
            ]
        return "\n".join(lines) + "\n"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def fakes() -> Iterator[list[FakeExporter]]:
    servers = [FakeExporter(f"n{i:03d}") for i in range(3)]
    yield servers
    for server in servers:
        server.close()


class Listening:
    """The engine, with an ear on its outputs."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.heard = engine, Collected()

    def step(self, message: Message) -> Output:
        return self._hear(self.engine.step(message))

    def flush(self) -> Output:
        return self._hear(self.engine.flush())

    def _hear(self, output: Output) -> Output:
        self.heard.add(output)
        return output

    @property
    def counts(self) -> dict[str, int]:
        return self.engine.counts


@dataclass
class ListSink:
    alerts: list[Alert] = field(default_factory=list)
    closed: int = 0

    def send(self, alerts: Sequence[Alert]) -> None:
        self.alerts += alerts

    def close(self) -> None:
        self.closed += 1


class Clock:
    """Time that passes by ten seconds per round."""

    def __init__(self, fakes: Sequence[FakeExporter], event: Callable[[int], None] = lambda _: None) -> None:
        self.fakes, self.event, self.round = fakes, event, 0

    def __call__(self) -> float:
        return float(START + 10 * self.round + 5)

    def wait(self) -> bool:
        self.round += 1
        for fake in self.fakes:
            fake.round = self.round
        self.event(self.round)
        return True


def run(
    fakes: Sequence[FakeExporter], rounds: int, out: Path | None = None, event: Callable[[int], None] = lambda _: None
) -> tuple[Any, Listening, ListSink, list[str]]:
    clock, sink, told = Clock(fakes, event), ListSink(), list[str]()
    collectors = [plugins.collector("exporter", fake.url, timeout=2.0, clock=clock) for fake in fakes]
    engine = Listening(assembly.engine(SETTINGS, periods=dict.fromkeys(Catalogue.load().tables, 10_000_000)))
    writer = module.recording(out, "test", 10.0) if out is not None else None
    seen = module.watch(collectors, engine, [sink], writer, rounds, clock.wait, clock=clock, tell=told.append)
    return seen, engine, sink, told


def replayed(path: Path) -> Any:
    return replay(path, settings=SETTINGS)


def assert_same(live: Collected, again: Any) -> None:
    frame = pl.from_arrow(tables(live.verdicts, live.latest(), [], {})["verdicts"])
    assert isinstance(frame, pl.DataFrame)
    assert frame.equals(again.verdicts)
    assert live.latest() == again.found


def test_planned_work_from_a_file_is_named_live_and_in_the_replay(fakes: list[FakeExporter], tmp_path: Path) -> None:
    fakes[1].slow_from = 60
    clock, sink, file = Clock(fakes), ListSink(), tmp_path / "planned.jsonl"
    add_to_file(file, [Work("n001", (START + 300) * 1_000_000, None, "new fans").event(0)])
    collectors = [plugins.collector("exporter", fake.url, timeout=2.0, clock=clock) for fake in fakes]
    collectors.append(plugins.collector("maintenance", file, clock=clock))
    engine = Listening(assembly.engine(SETTINGS, periods=dict.fromkeys(Catalogue.load().tables, 10_000_000)))
    module.watch(collectors, engine, [sink], module.recording(tmp_path / "t", "test", 10.0), 110, clock.wait, clock=clock)
    assert {(i.subject, i.severity, i.mode) for i in engine.heard.latest()} == {("n001/gpu3", "notice", "maintenance")}
    assert all("new fans" in a.annotations["summary"] for a in sink.alerts if a.firing)
    assert len(sink.alerts) > 0
    assert_same(engine.heard, replayed(tmp_path / "t"))


def test_a_gpu_that_gets_slow_is_named_and_replay_says_the_same(fakes: list[FakeExporter], tmp_path: Path) -> None:
    fakes[1].slow_from = 60
    seen, engine, sink, told = run(fakes, 110, tmp_path / "t")
    incidents = engine.heard.latest()
    assert [i.subject for i in incidents] == ["n001/gpu3"]
    assert incidents[0].noticed > (START + 600) * 1_000_000
    assert {a.annotations["subject"] for a in sink.alerts} == {"n001/gpu3"}
    assert (seen.rounds, seen.incidents, sink.closed, told) == (110, 1, 1, [])
    # 24 GPUs each round; the links' counters speak from the second round on.
    assert seen.rows == 24 * 110 + 24 * 109
    assert validate(tmp_path / "t") == []
    trace = Trace.open(tmp_path / "t")
    assert (trace.counters, trace.cluster) == ({"gpu": "increments", "pcie": "increments"}, "test")
    assert_same(engine.heard, replayed(tmp_path / "t"))


def test_a_restart_of_an_exporter_alarms_nobody(fakes: list[FakeExporter], tmp_path: Path) -> None:
    def restart(n: int) -> None:
        if n == 50:
            fakes[0].restarted = n

    _, engine, sink, _ = run(fakes, 80, tmp_path / "t", restart)
    assert engine.heard.latest() == []
    assert sink.alerts == []
    assert_same(engine.heard, replayed(tmp_path / "t"))


def test_a_new_job_is_in_the_roster_at_its_time_live_and_in_replay(fakes: list[FakeExporter], tmp_path: Path) -> None:
    def next_job(n: int) -> None:
        for fake in fakes[:2]:
            fake.job = "42" if n < 30 else "43"

    fakes[1].slow_from = 60
    _, engine, _, _ = run(fakes, 110, tmp_path / "t", next_job)
    roster = Trace.open(tmp_path / "t").roster
    moments = [(START + 10 * n + 5) * 1_000_000 for n in (29, 30)]
    assert [[roster.at(t).key(f"{n}/gpu0", "job") for t in moments] for n in ("n000", "n002")] == [["42", "43"], ["42", "42"]]
    assert [i.subject for i in engine.heard.latest()] == ["n001/gpu3"]
    assert_same(engine.heard, replayed(tmp_path / "t"))


def test_a_dead_target_is_unknown_and_everything_goes_on(fakes: list[FakeExporter], tmp_path: Path) -> None:
    def die(n: int) -> None:
        fakes[2].dead = n >= 40

    seen, engine, _, told = run(fakes, 120, tmp_path / "t", die)
    assert seen.rounds == 120
    assert [t.endswith("500 Internal Server Error") for t in told] == [True], "an outage is told once"
    assert [(v.subject, v.state) for v in engine.heard.verdicts] == [("n002", "unknown")]
    assert engine.counts["ticks"] >= 2 * 110, "ticks close although one of three is silent"
    assert_same(engine.heard, replayed(tmp_path / "t"))


def test_ticks_close_even_if_all_targets_die(fakes: list[FakeExporter]) -> None:
    def die(n: int) -> None:
        for fake in fakes:
            fake.dead = n >= 10

    _, engine, _, _ = run(fakes, 20, None, die)
    closed = engine.counts["ticks"]
    _, engine, _, _ = run(fakes, 10, None, die)
    assert closed > engine.counts["ticks"]


def test_ctrl_c_keeps_what_was_recorded(fakes: list[FakeExporter], tmp_path: Path) -> None:
    def interrupt(n: int) -> None:
        if n == 30:
            raise KeyboardInterrupt

    seen, engine, sink, _ = run(fakes, 1000, tmp_path / "t", interrupt)
    assert (seen.rounds, sink.closed) == (29, 1)
    assert Trace.open(tmp_path / "t").tables == ("gpu", "pcie")
    assert_same(engine.heard, replayed(tmp_path / "t"))


def test_the_watch_ends_when_the_wait_says_so(fakes: list[FakeExporter]) -> None:
    engine = assembly.engine(SETTINGS)
    seen = module.watch([], engine, [], None, None, iter([True, True, False]).__next__)
    assert str(seen) == "2 rounds, 0 rows, 0 incidents"


def test_command_prints_alerts_as_json_and_counts(fakes: list[FakeExporter], tmp_path: Path) -> None:
    record = tmp_path / "t"
    arguments = ["--url", fakes[0].url, "--url", fakes[1].url, "--interval", "50ms", "--once", "4", "--record", str(record), "--json"]
    result = CliRunner().invoke(plugins.load("pipelines", "watch"), arguments)
    assert result.exit_code == 0, result.output
    assert "stopped: 4 rounds, 112 rows, 0 incidents" in result.stderr
    assert all(json.loads(line) for line in result.stdout.splitlines())
    assert Trace.open(record).periods == {"gpu": 50_000, "pcie": 50_000}


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--url", "file:///etc/passwd"],
        ["--url", "http://x", "--interval", "soon"],
        ["--url", "http://x", "--interval", "1ms"],
        ["--url", "http://x", "--timeout", "1.2.3"],
        ["--url", "http://x", "--once", "0"],
    ],
)
def test_wrong_arguments_are_said_at_once(arguments: list[str]) -> None:
    result = CliRunner().invoke(plugins.load("pipelines", "watch"), arguments)
    assert result.exit_code != 0
    assert "expected" in str(result.exception) + result.output or "Missing option" in result.output or "not in the range" in result.output


@pytest.mark.slow
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly(fakes: list[FakeExporter], tmp_path: Path, sign: signal.Signals) -> None:
    command = [sys.executable, "-m", "grayscope", "watch", "--url", fakes[0].url, "--interval", "100ms", "--record", str(tmp_path / "t")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=dict(os.environ)) as process:
        assert isinstance(process.stderr, io.TextIOBase)
        assert "Ctrl-C stops" in process.stderr.readline()
        work = tmp_path / ".t.partial"
        while not (work.exists() and process.poll() is None):
            pass
        threading.Event().wait(1.0)
        process.send_signal(sign)
        _, error = process.communicate(timeout=60)
    assert process.returncode == 0, error
    assert "stopped: " in error
    assert "Traceback" not in error
    assert (tmp_path / "t" / "trace.json").exists()
    assert not work.exists()
