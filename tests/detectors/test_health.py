"""Health: what the system itself says is broken is repeated as it says it, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from grayscope import assembly
from grayscope.catalogue import Catalogue
from grayscope.incident import Incident
from grayscope.roster import Roster, RosterRow
from grayscope.settings import Settings
from grayscope.tick import Tick

Run = Callable[..., Any]
Accused = Callable[[Any], set[str]]
NAN, STEP = float("nan"), 10_000_000
UNCORRECTED = 'gpu_ecc_uncorrected_errors_total{location="total",retention="volatile"}'


def cells(healthy: float, bad: float, at: slice = slice(20, 40), ticks: int = 60) -> NDArray[np.float64]:
    """Return values [T, 16], of which the fourth part has a bad one for a while."""
    values = np.full((ticks, 16), float(healthy))
    values[at, 3] = bad
    return values


@pytest.mark.parametrize(
    ("table", "metric", "healthy", "bad", "mode"),
    [
        ("nvlink", "nvlink_up", 1, 0, "nvlink_degrade"),
        ("gpu", "gpu_present", 1, 0, "gpu_lost"),
        ("gpu", "gpu_fabric_healthy", 1, 0, ""),
        ("gpu", "gpu_row_remap_failed", 0, 1, "uncorrectable_memory"),
        ("gpu", "gpu_recovery_action", 0, 2, ""),
        ("gpu", UNCORRECTED, 0, 3, "uncorrectable_memory"),
        ("node", "raid_array_running", 1, 0, "disk_redundancy"),
    ],
)
def test_what_is_not_healthy_is_said_as_long_as_it_is_so(run: Run, table: str, metric: str, healthy: float, bad: float, mode: str) -> None:
    said = run("health", table, {metric: cells(healthy, bad)})
    assert [t for t, findings in enumerate(said) if findings] == list(range(20, 40))
    assert {(f.subject, f.side, f.mode, f.value, f.expected) for findings in said for f in findings} == {("n0/gpu3", "health", mode, bad, healthy)}
    assert said[20][0].why == f"{metric} is {bad:g}, healthy is {healthy:g}"
    assert said[20][0].since == said[20][0].time


def test_what_is_not_reported_is_not_broken(run: Run, accused: Accused) -> None:
    values = {"gpu_present": cells(1, NAN), UNCORRECTED: cells(0, NAN)}
    assert accused(run("health", "gpu", values)) == set()
    values["gpu_present"][:], values[UNCORRECTED][:] = NAN, NAN
    assert accused(run("health", "gpu", values)) == set()


@pytest.mark.parametrize(
    ("table", "metric", "healthy", "bad"),
    [
        ("gpu", "gpu_temperature_celsius", 60, 99),  # a symptom
        ("gpu", "gpu_row_remap_pending", 0, 1),  # a reserve
        ("nic", "nic_port_up", 1, 0),  # a rail is spare
        ("gpu", "gpu_xid_events_total", 0, 4),  # of any kind: a program's fault is no verdict on the part
        ("gpu", "gpu_xid_last", 0, 79),  # kept for ever
        ("gpu", "no_such_metric", 1, 0),
    ],
)
def test_what_is_no_verdict_is_left_to_others(run: Run, accused: Accused, table: str, metric: str, healthy: float, bad: float) -> None:
    assert accused(run("health", table, {metric: cells(healthy, bad)})) == set()


def test_a_number_on_a_scale_is_no_state(run: Run, accused: Accused) -> None:
    text = '[gpu]\ngpu_mood_ratio = {worse = "lower", side = "health"}\ngpu_mood = {type = "state", worse = "lower", side = "health"}\n'
    book = Catalogue.parse(text)
    assert accused(run("health", "gpu", {"gpu_mood_ratio": cells(1, 0.4)}, catalogue=book)) == set()
    assert accused(run("health", "gpu", {"gpu_mood": cells(1, 0.4)}, catalogue=book)) == {"n0/gpu3"}


def test_it_is_failed_while_it_lasts_and_recovers() -> None:
    names = tuple(f"n0/gpu{g}" for g in range(8))
    view = Roster([RosterRow(s, "gpu", keys={"sku": "A", "job": "job:1"}) for s in names]).at(0)
    engine, states, incidents = assembly.engine(Settings(), periods={"gpu": STEP}), list[tuple[str, str, str]](), dict[str, Incident]()
    for t in range(1, 500):
        values = np.ones((1, 8), np.float32)
        values[0, 3] = not 20 <= t < 60
        tick = Tick("gpu", t * STEP, STEP, view, names, ("gpu_present",), values, np.zeros(8, bool))
        out = engine.judged(tick, engine.compared(tick))
        states += [(v.subject, v.previous, v.state) for v in out.verdicts]
        incidents |= {i.id: i for i in out.incidents}
    assert states == [("n0/gpu3", "normal", "failed"), ("n0/gpu3", "failed", "normal")]
    (incident,) = incidents.values()
    assert (incident.severity, incident.mode, incident.ended is not None) == ("ticket", "gpu_lost", True)  # everybody can see it
