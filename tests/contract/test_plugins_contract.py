"""What every collector, broker and sink promises; each new file must say here how it is made."""

from __future__ import annotations

import inspect
import io
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from grayscope import plugins
from grayscope.alert import Alert
from grayscope.batch import Batch
from grayscope.errors import GrayscopeError
from grayscope.event import Event
from grayscope.message import Message
from grayscope.roster import RosterRow
from grayscope.tracewriter import TraceWriter
from tests.fake_nvml import FakeNvml

Fleet = Callable[..., Iterator[Message]]

BROKERS: dict[str, Callable[[Path], Any]] = {
    "memory": lambda path: plugins.broker("memory"),
    "parquet": lambda path: plugins.broker("parquet", path / "trace"),
    "rolling": lambda path: plugins.broker("rolling", path / "traces"),
}
SINKS: dict[str, Callable[[], Any]] = {
    "alertmanager": lambda: plugins.sink("alertmanager", "http://127.0.0.1:9", timeout=0.2),
    "grafana": lambda: plugins.sink("grafana", "http://127.0.0.1:9", token="none", timeout=0.2),
    "listing": lambda: plugins.sink("listing", io.StringIO()),
    # Nobody listens on the discard port: a dead receiver.
    "prometheus": lambda: plugins.sink("prometheus", "c1"),
    **{name: partial(plugins.sink, name, "-") for name in ("kubernetes", "npd", "nvsentinel", "slurm")},  # fed by `see`: tests/sinks/test_handed.py
    "webhook": lambda: plugins.sink("webhook", "http://127.0.0.1:9/", timeout=0.2),
}
#: Collectors whose source is not there.
COLLECTORS: dict[str, Callable[[Path], Any]] = {
    "dcgmi": lambda path: plugins.collector("dcgmi", [path / "none.txt"]),
    "drive": lambda path: plugins.collector("drive", path),
    "exporter": lambda path: plugins.collector("exporter", "http://127.0.0.1:9/metrics"),
    "fabric": lambda path: plugins.collector("fabric", path),
    "flightrecorder": lambda path: plugins.collector("flightrecorder", path / "none"),
    "nvidiasmi": lambda path: plugins.collector("nvidiasmi", [path / "none.xml"]),
    "nvml": lambda path: plugins.collector("nvml", nvml=_without_driver()),
    "host": lambda path: plugins.collector("host", path),
    "kernel": lambda path: plugins.collector("kernel", path),
    "kernellog": lambda path: plugins.collector("kernellog", [path / "none.log"]),
    "maintenance": lambda path: plugins.collector("maintenance", path / "none.jsonl"),
    "memory": lambda path: plugins.collector("memory", path),
    "inspector": lambda path: plugins.collector("inspector", [path / "n1-pid1.log"]),
    "kineto": lambda path: plugins.collector("kineto", [path / "rank0.json"]),
    "nccl": lambda path: plugins.collector("nccl", path / "none", ras=""),
    "nccltests": lambda path: plugins.collector("nccltests", [path / "none.log"]),
    "nvrx": lambda path: plugins.collector("nvrx", [path / "none.log"]),
    "openmetrics": lambda path: plugins.collector("openmetrics", [path / "none.txt"]),
    "pcie": lambda path: plugins.collector("pcie", path),
    "prometheus": lambda path: plugins.collector("prometheus", "http://127.0.0.1:9", start=0, end=10_000_000, step=1_000_000),
    "rocm": lambda path: plugins.collector("rocm", program="no-such-rocm-smi"),
    "kubernetes": lambda path: plugins.collector("kubernetes", path / "none.json"),
    "gpud": lambda path: plugins.collector("gpud", [path / "none.json"]),
    "ipmi": lambda path: plugins.collector("ipmi", [path / "none.txt"]),
    "nvsentinel": lambda path: plugins.collector("nvsentinel", [path / "none.json"]),
    "redfish": lambda path: plugins.collector("redfish", "http://127.0.0.1:9"),
    "rosterfile": lambda path: plugins.collector("rosterfile", path / "none.toml"),
    "slurm": lambda path: plugins.collector("slurm", [path / "none.txt"]),
    "steps": lambda path: plugins.collector("steps", path / "none" / "steps.sock"),
    "superbench": lambda path: plugins.collector("superbench", [path / "none.jsonl"]),
    "table": lambda path: plugins.collector("table", path / "none.csv", path / "none.toml"),
}


def _without_driver() -> FakeNvml:
    nvml = FakeNvml([])
    nvml.down = 9
    return nvml


def test_every_plugin_is_held_to_its_contract() -> None:
    # Kafka needs a server: it is held to the same in tests/brokers/test_kafka.py.
    assert {*plugins.names("brokers")} == {*BROKERS, "confluent", "kafka"}
    assert {*plugins.names("sinks")} == {*SINKS}
    assert {*plugins.names("collectors")} == {*COLLECTORS}


@pytest.mark.parametrize("wing", plugins.WINGS)
def test_every_plugin_says_what_it_is(wing: str) -> None:
    for name in plugins.names(wing):
        line = plugins.summary(wing, name)
        assert 10 < len(line) < 130, (wing, name, line)
        assert plugins.load(wing, name) is not None


@pytest.mark.parametrize("name", sorted(BROKERS))
def test_a_broker_carries_everything_in_order(name: str, tmp_path: Path) -> None:
    values = np.array([[[1.0, np.nan]]], np.float32)
    sent: list[Message] = [
        (RosterRow("a", "gpu", keys={"sku": "X"}), RosterRow("b", "gpu")),
        Batch("gpu", np.array([20_000_000]), ("a", "b"), ("gpu_power_watts",), values),
        Event(15_000_000, "a", "xid", "94", "one\ntwo"),
        Batch("gpu", np.array([10_000_000]), ("a", "b"), ("gpu_power_watts",), values + 1),
    ]
    broker = BROKERS[name](tmp_path)
    for message in sent:
        broker.send(message)
    if name != "memory":
        broker.close()
    received = list((broker if name == "memory" else BROKERS[name](tmp_path)).receive())
    rows = [r for m in received if isinstance(m, tuple) for r in m]
    assert {(r.subject, r.keys.get("sku")) for r in rows} == {("a", "X"), ("b", None)}
    rest = [m for m in received if not isinstance(m, tuple)]
    assert [int(m.times[0]) if isinstance(m, Batch) else m.time for m in rest] == [20_000_000, 15_000_000, 10_000_000]
    told = [float(m.values[0, 0, m.subjects.index("a")]) for m in rest if isinstance(m, Batch)]
    assert told == [1.0, 2.0]
    assert sent[2] in rest
    broker.close()
    broker.close()


@pytest.mark.parametrize("name", sorted(SINKS))
def test_a_sink_never_raises_and_never_blocks(name: str) -> None:
    sink = SINKS[name]()
    labels = {"alertname": "GrayFailure", "cluster": "c\n", "incident": "ab", "severity": "page"}
    alerts = [Alert(labels, {"summary": "x" * 100_000 + "\x1b[2J\n"}, 0), Alert(labels, {}, 0, 5)]
    sink.send([])
    for _ in range(3):
        sink.send(alerts)
    sink.close()
    sink.close()
    if name == "listing":
        text = sink.stream.getvalue()
        assert text.count("\n") == 6
        assert "\x1b" not in text
    elif name != "prometheus":  # which reads the engine
        # Each batch is posted anew to a webhook; the others are told what holds in the end.
        assert sink.lost == {"webhook": 6, "grafana": 3, "alertmanager": 1}.get(name, 0)


@pytest.mark.parametrize("name", sorted(COLLECTORS))
def test_a_collector_without_its_source_says_so_in_one_line(name: str, tmp_path: Path) -> None:
    """One look at what is not there is either counted or one clear error, at once."""
    said = ""
    try:
        counted = _look(COLLECTORS[name](tmp_path), tmp_path)
    except GrayscopeError as error:
        counted, said = 0, str(error)
    assert counted > 0 or 10 < len(said) < 500
    assert "\n" not in said


def _look(collector: Any, path: Path) -> int:
    """Look once; return how much was rejected."""
    if hasattr(collector, "collect"):
        assert list(collector.collect()) == []
        return int(sum(collector.rejected.values()))
    with TraceWriter(path / "out") as writer:
        collector.write(writer)
    return 0


@pytest.mark.parametrize("wing", ["collectors", "brokers", "sinks", "detectors"])
def test_constructors_are_documented_and_typed(wing: str) -> None:
    for name in plugins.names(wing):
        made = plugins.load(wing, name)
        assert inspect.getdoc(made), (wing, name)
        for parameter in list(inspect.signature(made.__init__).parameters.values())[1:]:
            assert parameter.annotation is not inspect.Parameter.empty, (wing, name, parameter.name)
