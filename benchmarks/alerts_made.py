"""Alerts made by hand: what the generated scenarios do not bring out, from faults planted in a fleet, else from a few rows that the whole line judges."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from grayscope import assembly
from grayscope.batch import Batch
from grayscope.engine import Engine
from grayscope.event import Event
from grayscope.explaining import spoken
from grayscope.fleet.faults import Fault
from grayscope.fleet.scenario import load
from grayscope.fleet.simulation import Simulation
from grayscope.incident import Incident
from grayscope.ledger import Entry
from grayscope.message import Message
from grayscope.replaying import replay
from grayscope.roster import RosterRow
from grayscope.settings import Settings

SECOND, HOUR = 1_000_000, 3600.0
START, STEP = 1_767_571_200 * SECOND, 10 * SECOND
NAN = float("nan")
Told = list[tuple[Incident, str]]


def told(incidents: Iterable[Incident], ledger: Iterable[Entry]) -> Told:
    """Return incidents as they read: the line, and below it the description."""
    return [(incident, f"{line}\n\n{detail}") for incident, line, detail in spoken(incidents, ledger)]


def planted() -> Told:
    """Return what a fleet of 16 nodes shows of faults that the scenarios draw too seldom."""
    faults = (
        Fault("n003/gpu2", "nvlink_degrade", "gray", 1.0 * HOUR, None, 6.0), Fault("n005", "power_cap", "gray", 1.0 * HOUR, 2.5 * HOUR, 0.4),
        Fault("n007/nic1", "fec_margin", "masked", 0.2 * HOUR, None, 1.2), Fault("n009/nic2", "link_flap", "masked", 0.8 * HOUR, 2.8 * HOUR, 4.0),
        Fault("n011/nic3", "nic_rate", "gray", 1.2 * HOUR, None, 0.25), Fault("n015/gpu5", "hang", "gray", 1.5 * HOUR, 1.95 * HOUR, 1.0),
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as home:
        Simulation(load("null").but(nodes=16, hours=3.0, seed=101), faults=faults).write(Path(home) / "trace")
        run = replay(Path(home) / "trace")
    return told(run.found, run.entries)


def made() -> Iterator[tuple[str, Told]]:
    """Yield (name, incidents) of each small stream."""
    for name, make in MADE.items():
        yield name, _judged(make())


def _judged(messages: Iterable[Message]) -> Told:
    """Return the incidents of a stream, each in its last form."""
    engine: Engine = assembly.engine(Settings(), periods=dict.fromkeys(("gpu", "node", "nic", "port", "rank"), STEP))
    found: dict[str, Incident] = {}
    entries: list[Entry] = []
    for output in (*(engine.step(m) for m in messages), engine.flush()):
        found |= {i.id: i for i in output.incidents}
        entries += output.ledger
    return told(found.values(), entries)


def _stream(
    table: str, subjects: Sequence[str], metrics: Sequence[str], fill: Callable[[int, np.ndarray[Any, Any]], None],
    *, ticks: int = 90, events: Sequence[Event] = (), keys: Callable[[str], dict[str, str]] | None = None,
) -> Iterator[Message]:  # fmt: skip
    """Yield a roster and a row a tick for everybody; `fill` gets the tick and its values [M, S], 1 with 2 % of noise, to change."""
    rng, waiting = np.random.default_rng(7), sorted(events)
    yield tuple(RosterRow(s, table, keys=keys(s) if keys else {"sku": "H100", "job": "job:1"}) for s in subjects)
    for t in range(ticks):
        now = START + (t + 1) * STEP
        values = (1 + 0.02 * rng.normal(size=(len(metrics), len(subjects)))).astype(np.float32)
        fill(t, values)
        while waiting and waiting[0].time <= now:
            yield waiting.pop(0)
        kept = np.isfinite(values).any(axis=0)
        yield Batch(table, np.array([now]), tuple(np.array(subjects, object)[kept]), tuple(metrics), values[None][:, :, kept])


GPUS = tuple(f"n{n:03}/gpu{g}" for n in range(1, 5) for g in range(8))


def _said(subject: str, source: str, code: str, text: str = "", count: int = 1, more: Sequence[str] = ()) -> Iterator[Message]:
    events = [Event(START + 20 * STEP + k * SECOND, s, source, code, text, count) for k, s in enumerate((subject, *more))]
    return _stream("gpu", GPUS, ("gpu_power_watts",), lambda _t, _v: None, events=events)


def _pending(t: int, values: np.ndarray[Any, Any]) -> None:
    values[1] = 0
    values[1, 11] = t >= 20


def _hole(t: int, values: np.ndarray[Any, Any]) -> None:
    values[1, 5] = values[1, 5] if t < 60 else NAN


def _seldom(t: int, values: np.ndarray[Any, Any]) -> None:
    values[:, 9] = values[:, 9] if t % 3 == 0 else NAN


def _weak(_t: int, values: np.ndarray[Any, Any]) -> None:
    values *= 3.6e11
    values[0, 7] *= 0.8


def _retries(t: int, values: np.ndarray[Any, Any]) -> None:
    values[:] = 0
    values[0, 6] = 12 if t > 40 and t % 2 else 0


def _lot(t: int, values: np.ndarray[Any, Any]) -> None:
    values[:] = 0
    values[0, 3:99:16] = t >= 20


def _leaf(t: int, values: np.ndarray[Any, Any]) -> None:
    values *= 3.6e11
    values[0, 16:22] *= 0.7 if t > 60 else 1.0


def _changed(t: int, values: np.ndarray[Any, Any]) -> None:
    values *= 0.2 * np.linspace(0.7, 1.3, values.shape[1])  # they differ for ever, so that only its own past shows it
    values[0, 5] *= 1.15 if t > 300 else 1.0


def _born(_t: int, values: np.ndarray[Any, Any]) -> None:
    values *= 2.6
    values[0, 9] *= 1.2


def _warmer(t: int, values: np.ndarray[Any, Any]) -> None:
    values[:] = 22 + 10 * (values - 1) + 6 * (t > 200)


def _away(t: int, values: np.ndarray[Any, Any]) -> None:
    values[:, 8:16] = NAN if t > 30 else values[:, 8:16]


def _pressed(t: int, values: np.ndarray[Any, Any]) -> None:
    values *= 0.2
    values[0, 3] = 6.0 if t > 200 else values[0, 3]


def _again() -> Iterator[Message]:
    """One GPU leaves the same code in two jobs, a day apart."""
    day = 86_400 * SECOND
    for n, job in enumerate(("job:1", "job:2")):
        begin = START + n * day
        yield tuple(RosterRow(s, "gpu", begin, begin + day, {"sku": "H100", "job": job}) for s in GPUS)
        yield Event(begin + 2 * STEP, "n003/gpu5", "xid", "13", "Graphics SM Warp Exception")
        for t in range(60):
            yield Batch("gpu", np.array([begin + (t + 1) * STEP]), GPUS, ("gpu_power_watts",), np.full((1, 1, len(GPUS)), 400 + t % 3, np.float32))


MADE: dict[str, Callable[[], Iterator[Message]]] = {
    "gpu_lost": lambda: _said("n002/gpu3", "xid", "79", "GPU has fallen off the bus."),
    "gpu_unresponsive": lambda: _said("n002/gpu3", "xid", "119", "Timeout after 6s of waiting for RPC response from GSP"),
    "silent_corruption": lambda: _said("n002/gpu3", "nccl", "wrong_results", "512 elements are not what they must be"),
    "user_bug": lambda: _said("n002/gpu3", "xid", "13", "Graphics SM Warp Exception"),
    "xid_storm": lambda: _said(GPUS[0], "xid", "45", "Preemptive Removal", more=GPUS[1:]),
    "lemon_node": _again,
    "remap_pending": lambda: _stream("gpu", GPUS, ("gpu_power_watts", "gpu_row_remap_pending"), _pending),
    "coverage_hole": lambda: _stream("gpu", GPUS, ("gpu_power_watts", "gpu_temperature_celsius"), _hole, ticks=180),
    "wrong_rate": lambda: _stream("gpu", GPUS, ("gpu_power_watts",), _seldom, ticks=300),
    "slow_component": lambda: _stream("node", [f"n{n:03}" for n in range(1, 25)], ("node_collective_bandwidth_bytes_per_second",), _weak, ticks=200),
    "became_slower": lambda: _stream(
        "comm", [f"comm:{n:02}" for n in range(1, 17)], ("collective_transfer_seconds",), _changed, ticks=500,
        keys=lambda _: {"job": "job:1", "role": "data"}),
    "link_corruption": lambda: _stream("port", [f"leaf01/p{n:02}" for n in range(1, 33)], ("port_llr_retries_total",), _retries, ticks=300),
    "batch_defect": lambda: _stream(
        "gpu", [f"n{n:03}/gpu0" for n in range(1, 129)], ("gpu_row_remap_pending",), _lot,
        keys=lambda s: {"sku": "H100", "job": "job:1", "lot": f"lot{(int(s[1:4]) - 1) % 16:02}"}),
    "switch_fault": lambda: _stream(
        "node", [f"n{n:03}" for n in range(1, 65)], ("node_collective_bandwidth_bytes_per_second",), _leaf, ticks=200,
        keys=lambda s: {"sku": "H100", "leaf": f"leaf{(int(s[1:]) - 1) // 8 + 1:02}"}),
    "slow_silicon": lambda: _stream(
        "rank", [f"job:1/r{n:02}" for n in range(32)], ("compute_seconds",), _born, ticks=120,
        keys=lambda s: {"job": "job:1", "role": "data", "node": f"n{int(s[-2:]) // 8 + 1:03}", "gpu": f"n{int(s[-2:]) // 8 + 1:03}/gpu{int(s[-2:]) % 8}"}),
    "site_change": lambda: _stream(
        "node", [f"n{n:03}" for n in range(1, 65)], ("inlet_temperature_celsius",), _warmer, ticks=300,
        keys=lambda s: {"rack": f"rack{(int(s[1:]) - 1) // 16}"}),
    "maintenance": lambda: _stream(
        "gpu", GPUS, ("gpu_power_watts",), _away, events=[Event(START + 20 * STEP, "n002", "maintenance", "begin", "a new fan")]),
    "cpu_contention": lambda: _stream("node", [f"n{n:03}" for n in range(1, 17)], ("host_pressure_seconds_total",), _pressed, ticks=400),
}  # fmt: skip
