"""`grayscope live` and a real Alertmanager: one fault is one notification that grows to a page and resolves, pushed or by the rules of a real Prometheus."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from grayscope import plugins
from grayscope.fleet.faults import Fault
from grayscope.fleet.scenario import Scenario
from grayscope.fleet.simulation import Simulation
from tests.promserver import Prometheus, free_port, until
from tests.sinks.test_real_alertmanager import Instance, Phone

pytestmark = pytest.mark.slow
SPEED = "80x"
#: A GPU that is hot for a while, and a switch that is bad to the end, as is an adapter below it.
HOT, LEAF, CHILD = "n003/gpu2", "leaf02", "n001/nic1"
FAULTS = (
    Fault(HOT, "thermal_throttle", "gray", 600.0, 1800.0, strength=0.2),
    Fault(LEAF, "switch_fault", "gray", 1500.0, strength=0.4),
    Fault(CHILD, "nic_errors", "masked", 2100.0),
)


class Live:
    """`grayscope live` on a trace, and what its listing has said so far."""

    def __init__(self, trace: Path, config: Path, port: int) -> None:
        argv = [sys.executable, "-m", "grayscope", "live", "--trace", trace, "--speed", SPEED, "--config", config, "--listen", f"127.0.0.1:{port}", "--json"]
        env = {k: v for k, v in os.environ.items() if not k.startswith("GRAYSCOPE_")}
        self.process = subprocess.Popen([str(x) for x in argv], env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.said: list[dict[str, Any]] = []
        self.reading = threading.Thread(target=self._read, daemon=True)
        self.reading.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.said.extend(json.loads(line) for line in self.process.stdout)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait(30)
        self.reading.join(30)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def incident(self, subject: str, severity: str = "", *, over: bool = False) -> str:
        """Return the incident of which this was said, or nothing."""
        for alert in self.said:
            if alert["annotations"]["subject"] == subject and severity in ("", alert["labels"]["severity"]) and (alert["ends"] is not None) == over:
                return str(alert["labels"]["incident"])
        return ""


def calls(phone: Phone, incident: str) -> list[tuple[str, ...]]:
    """Return what was firing in each notification of an incident; nothing where it was resolved."""
    mine = [c["alerts"] for c in phone.calls if c["commonLabels"].get("incident") == incident]
    return [tuple(sorted(a["labels"]["severity"] for a in alerts if a["status"] == "firing")) for alerts in mine]


def alerts(instance: Instance) -> dict[str, dict[str, Any]]:
    """Return the pages that an Alertmanager holds, by incident."""
    with urllib.request.urlopen(f"{instance.url}/api/v2/alerts", timeout=5) as answer:
        return {a["labels"]["incident"]: a for a in json.load(answer) if a["labels"].get("severity") == "page" and "incident" in a["labels"]}


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("two") / "trace"
    Simulation(Scenario("two", nodes=4, hours=1.25, seed=150, busy=1.0), faults=FAULTS).write(path)
    return path


@contextmanager
def place(server: Callable[[str, str], str], folder: Path) -> Iterator[tuple[ExitStack, Phone, Instance]]:
    """Yield whom Alertmanager notifies, and Alertmanager; all is stopped at the end."""
    command = server("prometheus-alertmanager", "prometheus-alertmanager")
    with ExitStack() as stack:
        phone = Phone()
        stack.callback(phone.close)
        instance = Instance(command, folder / "alertmanager", phone, "--cluster.listen-address=")
        stack.callback(instance.stop)
        yield stack, phone, instance


def test_one_fault_is_one_notification_through_a_restart_and_a_leaf_speaks_for_what_is_below(
    server: Callable[[str, str], str], trace: Path, tmp_path: Path
) -> None:
    config = tmp_path / "live.toml"
    with place(server, tmp_path) as (stack, phone, instance):
        config.write_text(f'cluster = "c1"\n[sinks.alertmanager]\nurls = ["{instance.url}"]\nresend = "1s"\n')
        live = Live(trace, config, free_port())
        stack.callback(live.stop)

        def wait(done: Callable[[], object]) -> None:
            until(lambda: bool(done()) or live.process.poll() is not None, lambda: (phone.calls, live.said), 300)
            assert done(), (phone.calls, live.said)

        wait(lambda: ("page",) in calls(phone, live.incident(HOT)))
        time.sleep(0.5)  # it notes down what it has told after it has told it
        instance.stop()  # the switch begins meanwhile
        wait(lambda: live.incident(LEAF, "page"))
        instance.start()
        wait(lambda: calls(phone, live.incident(LEAF)))
        wait(lambda: live.incident(CHILD, "page"))
        wait(lambda: alerts(instance).get(live.incident(CHILD)))
        wait(lambda: live.incident(HOT, "page", over=True))
        wait(lambda: calls(phone, live.incident(HOT))[-1] == ())
        time.sleep(1)  # what would be doubled would have been told by then
        hot, leaf, child = (live.incident(s) for s in (HOT, LEAF, CHILD))
        assert [c for c in calls(phone, hot) if c != ("ticket",)] == [("page",), ()]
        assert calls(phone, hot).count(("ticket",)) <= 1
        assert [c for c in calls(phone, leaf) if c != ("ticket",)] == [("page",)]
        assert calls(phone, child) == []
        held = alerts(instance)
        assert (held[child]["status"]["state"], held[leaf]["status"]["state"]) == ("suppressed", "active")
        assert len({i for i in (hot, leaf, child) if i}) == 3
        assert live.process.poll() is None, "all this was seen while it ran"


def test_with_rules_nothing_is_pushed_and_prometheus_tells_it_once(server: Callable[[str, str], str], trace: Path, tmp_path: Path) -> None:
    command = server("prometheus", "prometheus")
    told = CliRunner().invoke(plugins.load("pipelines", "rules"), ["--out", str(tmp_path), "--paths", "rules"])
    assert told.exit_code == 0, told.output
    rules = tmp_path / "grayscope.rules.yml"
    rules.write_text(rules.read_text().replace("interval: 30s", "interval: 1s"))
    config = tmp_path / "live.toml"
    config.write_text('cluster = "c1"\npaths = "rules"\n')
    port = free_port()
    with place(server, tmp_path) as (stack, phone, instance):
        prometheus = stack.enter_context(Prometheus(command, tmp_path / "prometheus", {"grayscope": port}, rules=(rules,), alertmanager=instance.port))
        live = Live(trace, config, port)
        stack.callback(live.stop)

        def wait(done: Callable[[], object]) -> None:
            until(lambda: bool(done()) or live.process.poll() is not None, lambda: (phone.calls, live.said), 300)
            assert done(), (phone.calls, live.said)

        wait(lambda: live.incident(HOT, "page", over=True))
        wait(lambda: calls(phone, live.incident(HOT)) and calls(phone, live.incident(HOT))[-1] == ())
        time.sleep(1)
        hot, leaf = live.incident(HOT), live.incident(LEAF)
        assert [c for c in calls(phone, hot) if c != ("ticket",)] == [("page",), ()]
        assert calls(phone, hot).count(("ticket",)) <= 1
        assert [c for c in calls(phone, leaf) if c != ("ticket",)] == [("page",)]
        held = alerts(instance)
        assert leaf in held
        assert all(a["generatorURL"].startswith("http") and f":{prometheus.port}/" in a["generatorURL"] for a in held.values()), held
        assert LEAF in held[leaf]["annotations"]["summary"]
        assert live.process.poll() is None, "all this was seen while it ran"
