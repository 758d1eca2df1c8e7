"""Agent: sources are found, hang, fail and come back on their own; what they see arrives once, in order, with the roster merged."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from grayscope import plugins
from grayscope.batch import Batch
from grayscope.brokers.parquet import Parquet
from grayscope.event import Event
from grayscope.message import Message

from .agent_sources import sources

__all__ = ["sources"]
module = sys.modules[plugins.load("pipelines", "agent").callback.__module__]
loop: Any = __import__("grayscope.pipelines._agentloop", fromlist=["Agent"])
config: Any = __import__("grayscope.pipelines._agentconfig", fromlist=["load_agent"])
glances: Any = __import__("grayscope.pipelines._oneglance", fromlist=["glance"])


class Kept:
    """A publisher that keeps what it is given."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.up, self.said = True, ""
        self.published = self.rejected = self.outages = 0
        self.closed = False
        self.spool: Any = type("none", (), {"__len__": lambda self: 0, "bytes": 0, "dropped": 0})()

    def publish(self, messages: list[Message]) -> None:
        self.messages += messages

    def close(self) -> None:
        self.closed = True

    def of(self, kind: type) -> list[Any]:
        return [m for m in self.messages if isinstance(m, kind)]


def made(publisher: Any = None, told: list[str] | None = None, **flags: Any) -> Any:
    settings = config.load_agent(None, {}, {"node": "n1", "period": "50ms", "listen": "", **flags})
    agent = loop.Agent(settings, publisher, tell=(told if told is not None else []).append)
    agent.configure(settings)
    return agent


def until(agent: Any, wanted: Callable[[], bool], turns: int = 400) -> bool:
    """Turn until something holds; says whether it came to hold."""
    return any(wanted() or agent.turn(0.02) < 0 for _ in range(turns))


def test_once_says_of_every_source_what_it_gave_or_why_not(sources: Path) -> None:
    told = CliRunner().invoke(module.command, ["--once", "--json", "--node", "n1", "--disable", "hanging"])
    assert told.exit_code == 0, told.output
    found = json.loads(told.stdout)
    state = {s["source"]: (s["state"], s["rows"], s["roster"]) for s in found["sources"]}
    assert state == {"steady": ("running", 1, 1), "refusing": ("unsupported", 0, 0), "failing": ("failed", 0, 0)}
    assert found["off"] == {"hanging": "switched off", "wanting": "not configured: needs url"}
    assert next(s["denied"] for s in found["sources"] if s["source"] == "steady") == 2
    text = CliRunner().invoke(module.command, ["--once", "--node", "n1", "--disable", "hanging"]).output
    assert "2 reads were not permitted; needs root for the second counter" in text
    assert "ZeroDivisionError: in somebody's driver" in text


def test_what_root_would_add_is_said_to_everybody_else(sources: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for uid, count in ((1000, 1), (0, 0)):  # and steady, whose reads were refused
        monkeypatch.setattr("os.geteuid", lambda uid=uid: uid)
        output = CliRunner().invoke(module.command, ["--once", "--node", "n1", "--disable", "hanging"]).output
        assert output.count("root would add: refusing: no such device") == count
        assert output.count("root would add: steady: 2 reads were not permitted; needs root for the second counter") == count


def test_a_source_that_hangs_is_reported_and_the_others_go_on(sources: Path) -> None:
    kept, told = Kept(), list[str]()
    agent = made(kept, told, deadline="50ms", disabled=("failing", "refusing"))
    hanging = plugins.load("collectors", "hanging")
    agent.start()
    assert hanging.entered.wait(10)

    def codes() -> list[str]:
        return [e.code for e in kept.of(Event) if e.source == "collector"]

    assert until(agent, lambda: "stalled" in codes())
    before = sum(b.table == "gpu" for b in kept.of(Batch))
    assert until(agent, lambda: sum(b.table == "gpu" for b in kept.of(Batch)) > before + 2)
    assert agent.page("/metrics", "")[2].count('grayscope_agent_source_up{source="hanging"} 0.0') == 1
    hanging.gate.set()
    assert until(agent, lambda: "back" in codes())
    assert agent.lookers["hanging"].missed > 0
    agent.stop()
    assert kept.closed
    assert any("hanging does not return" in line for line in told)


def test_ticks_lie_on_multiples_of_the_period_and_the_roster_knows_its_cell(sources: Path) -> None:
    kept = Kept()
    agent = made(kept, cell="pod7", disabled=("failing", "refusing", "hanging"))
    agent.start()
    assert until(agent, lambda: sum(b.table == "gpu" for b in kept.of(Batch)) >= 4)
    agent.stop()
    times = [int(b.times[0]) for b in kept.of(Batch) if b.table == "gpu"]
    assert all(t % 50_000 == 0 for t in times)
    assert len(set(times)) == len(times)
    rows = {r.subject: r for m in kept.of(tuple) for r in m}
    assert rows["n1/gpu0"].keys["sku"] == "H100"
    assert rows["n1/gpu0"].keys["cell"] == rows["n1"].keys["cell"] == "pod7"
    beats = [e.time for e in kept.of(Event) if e.source == "clock"]
    assert beats == sorted(set(beats))
    assert [e.subject for e in kept.of(Event)] == ["n1"] * len(kept.of(Event))


def test_settings_are_read_again_without_disturbing_what_stays(sources: Path) -> None:
    agent = made(Kept(), disabled=("failing", "refusing", "hanging"))
    agent.start()
    first = agent.lookers["steady"]
    agent.configure(config.load_agent(None, {}, {"node": "n1", "period": "50ms", "disabled": ("hanging", "refusing")}))
    assert agent.lookers["steady"] is first
    assert sorted(agent.lookers) == ["failing", "steady"]
    agent.configure(config.load_agent(None, {}, {"node": "n1", "period": "20ms", "disabled": ("hanging",)}))
    assert agent.lookers["steady"] is not first
    agent.stop()


def test_the_command_runs_serves_reloads_and_records(sources: Path, tmp_path: Path) -> None:
    stop, reload, told = threading.Event(), threading.Event(), list[str]()
    settings = config.load_agent(None, {"XDG_STATE_HOME": str(tmp_path)}, {"node": "n1", "period": "50ms", "listen": "127.0.0.1:0", "disabled": ("hanging",)})
    settings = config.AgentSettings(**{**vars(settings), "spool": str(tmp_path / "spool")})
    agent = loop.Agent(settings, module.publishing(settings, tmp_path / "traces", None), tell=told.append)
    agent.configure(settings)

    def wrong() -> Any:
        return config.load_agent(None, {}, {"perod": "1s"})

    thread = threading.Thread(target=module.run, args=(agent, wrong, stop, reload))
    thread.start()
    try:
        assert waited(lambda: any(line.startswith("listening on") for line in told))
        url = next(line for line in told if line.startswith("listening on")).removeprefix("listening on ")
        assert waited(lambda: b"gpu_power_watts" in get(f"{url}/metrics")[1])
        assert get(f"{url}/healthz")[0] == get(f"{url}/readyz")[0] == 200
        assert get(f"{url}/secret")[0] == 404
        reload.set()
        assert waited(lambda: any("settings not taken" in line and "did you mean 'period'" in line for line in told))
    finally:
        stop.set()
        thread.join(20)
    assert not thread.is_alive()
    (trace,) = (tmp_path / "traces").glob("[0-9]*Z")
    received = list(Parquet(trace).receive())
    power = [float(np.nanmax(m.values[:, m.metrics.index("gpu_power_watts")])) for m in received if isinstance(m, Batch) and m.table == "gpu"]
    assert set(power) == {300.0}
    assert any(isinstance(m, Batch) and m.table == "node" for m in received)


def get(url: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, b""


def waited(wanted: Callable[[], bool]) -> bool:
    gate = threading.Event()
    return any(wanted() or gate.wait(0.02) for _ in range(500))


def test_a_glance_leaves_a_hanging_source_behind(sources: Path) -> None:
    agent = made(None, deadline="50ms", disabled=("failing", "refusing"))
    states = {s.name: s.state for s in glances.glance(agent)}
    assert states == {"steady": "running", "hanging": "stalled"}


def test_the_process_on_the_nodes_holds_neither_analysis_nor_files() -> None:
    """What an agent imports is what every node pays for in memory."""
    program = (
        "import sys, grayscope.cli as c\n"
        "try: c.app.main(['agent', '--once'], standalone_mode=False)\n"
        "finally: print([m for m in ('polars', 'pyarrow', 'numba', 'sklearn', 'grayscope.engine', 'grayscope.sinks') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


@pytest.mark.slow
def test_the_real_process_obeys_its_signals(tmp_path: Path) -> None:
    """Started as on a node: ready once a source answers, settings read again on SIGHUP, a trace in place after SIGTERM."""
    file = tmp_path / "g.toml"
    text = f'[agent]\nnode = "n1"\nperiod = "100ms"\nlisten = "127.0.0.1:0"\nspool = "{tmp_path}/spool"\n[collectors.far]\nuse = "exporter"\n'
    text += 'url = "http://127.0.0.1:9"\n[broker]\nname = "rolling"\npath = "' + f'{tmp_path}/traces"\n'
    file.write_text(text)
    command = [sys.executable, "-m", "grayscope", "agent", "--config", str(file)]
    with (tmp_path / "log").open("w") as log, subprocess.Popen(command, stderr=log, stdout=log) as process:
        try:
            said = (tmp_path / "log").read_text
            assert waited(lambda: "listening on" in said())
            url = next(line for line in said().splitlines() if "listening on" in line).rpartition(" ")[2]
            assert waited(lambda: get(f"{url}/readyz")[0] == 200)
            file.write_text(text.replace("[collectors.far]", "[collectors.other]"))
            process.send_signal(signal.SIGHUP)
            assert waited(lambda: "settings read again" in said())
            assert waited(lambda: b'source="other"' in get(f"{url}/metrics")[1])
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
        finally:
            process.kill()
    (trace,) = (tmp_path / "traces").glob("[0-9]*Z")
    assert {m.subject for m in Parquet(trace).receive() if isinstance(m, Event)} == {"n1"}
