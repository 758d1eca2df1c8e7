"""A real H100 as it was read once a second (driver 580.159, one GPU of a virtual machine) while a load came and went.

``recorded/h100.csv``: `at` and `lasted` are seconds since the first look and since the look before, counters are increments since that
look; stretches were left out. ``recorded/h100_support.json``: what the driver answers to each field and function.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from grayscope import assembly, plugins
from grayscope.alert import Alert
from grayscope.batch import Batch
from grayscope.catalogue import Catalogue
from grayscope.event import heartbeat
from grayscope.roster import RosterRow
from grayscope.settings import Settings
from grayscope.verdict import Verdict
from tests.fake_nvml import FakeNvml, h100

HERE = Path(__file__).parent / "recorded"
Columns = dict[str, np.ndarray[tuple[int], np.dtype[np.float64]]]


@pytest.fixture(scope="module")
def gpu() -> Columns:
    with (HERE / "h100.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: np.array([float(row[name] or "nan") for row in rows]) for name in rows[0]}


def test_what_a_real_driver_supports_is_what_the_fake_one_does() -> None:
    now = [0.0]
    source = plugins.collector("nvml", "n1", nvml=FakeNvml([h100(0)]), clock=lambda: now[0])
    for _ in range(2):
        now[0] += 70
        source.collect()
    made, real = next(iter(source.support.values())), json.loads((HERE / "h100_support.json").read_text())
    alike = {name for name in made.keys() | real.keys() if made.get(name) == real.get(name)}
    # A virtual machine passes no NVLink, so that nothing of it is asked; the fake stands for an agent without root, to which this one is denied.
    odd = {name for name in (made.keys() | real.keys()) - alike if not name.startswith("NVML_FI_DEV_NVLINK_")}
    assert odd == {"nvmlDeviceGetSramEccErrorStatus"}
    assert not any(name.startswith("NVML_FI_DEV_NVLINK_") for name in real)
    assert len(alike) > 80


def test_every_column_is_a_metric_of_the_catalogue(gpu: Columns) -> None:
    catalogue = Catalogue.load()
    assert [name for name in gpu if name not in ("at", "lasted") and catalogue.get(name) is None] == []


def test_average_power_over_time_is_what_the_energy_counter_counted(gpu: Columns) -> None:
    expected, counted = gpu["gpu_power_watts"] * gpu["lasted"], gpu["gpu_energy_joules_total"]
    steady = np.isfinite(expected) & (np.abs(gpu["gpu_power_watts"] - gpu['gpu_power_watts{window="instant"}']) < 0.15 * gpu["gpu_power_watts"])
    assert steady.sum() > 15
    # The driver moves the counter ten times a second: a look may miss one of ten moves.
    assert np.abs(counted / expected - 1)[steady].max() < 0.11
    assert counted[np.isfinite(expected)].sum() == pytest.approx(np.nansum(expected), rel=0.1)


def test_at_full_load_the_power_limit_is_what_holds_the_clock_down(gpu: Columns) -> None:
    loaded = gpu["gpu_tensor_active_ratio"] > 0.9
    clock, reason = gpu['gpu_clock_hertz{domain="sm"}'], gpu['gpu_clock_event_active{reason="power"}']
    assert loaded.sum() > 5
    assert (gpu["gpu_active_ratio"][loaded] > 0.98).all()
    assert (reason[loaded] == 1).all()
    assert clock[loaded].max() < 0.75 * clock.max()
    copying = (gpu["gpu_dram_active_ratio"] > 0.8) & ~loaded
    assert copying.sum() > 2
    assert (clock[copying] == clock.max()).all()
    assert (reason[copying] == 0).all()
    limited = gpu['gpu_clock_limit_seconds_total{reason="power"}']
    assert limited[copying].max() == 0
    assert np.median(limited[loaded]) == pytest.approx(1, abs=0.05)


def test_a_healthy_gpu_at_its_power_limit_is_nobodys_business(gpu: Columns) -> None:
    names = tuple(name for name in gpu if name not in ("at", "lasted"))
    engine = assembly.engine(Settings(), periods={"gpu": 1_000_000}, eager=True)
    engine.step((RosterRow("n1", "node", 0, None, {"node": "n1"}), RosterRow("n1/gpu0", "gpu", 0, None, {"node": "n1", "sku": "H100"})))
    alerts: list[Alert] = []
    verdicts: list[Verdict] = []
    for second, row in enumerate(np.stack([gpu[name] for name in names], axis=1).astype(np.float32)):
        time = second * 1_000_000
        for message in (Batch("gpu", np.array([time]), ("n1/gpu0",), names, row[None, :, None]), heartbeat(time)):
            output = engine.step(message)
            alerts += output.alerts
            verdicts += output.verdicts
    assert alerts == []
    assert [v for v in verdicts if v.state not in ("normal", "unknown")] == []
