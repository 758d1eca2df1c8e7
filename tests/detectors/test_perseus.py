"""Perseus: latency under its load, events of five minutes, and the risk of days."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

Run = Callable[..., Any]
Accused = Callable[[Any], set[str]]
PERIOD = 60.0
HOUR = 60
DRIVES = [f"n0/nvme{i}" for i in range(8)]


def host(hours: int, seed: int = 6) -> dict[str, np.ndarray[Any, Any]]:
    rng = np.random.default_rng(seed)
    load = rng.uniform(1e8, 1e9, (hours * HOUR, 8))
    latency = (1e-4 + 2e-12 * load + 1e-21 * load**2) * rng.lognormal(0, 0.05, load.shape)
    return {"drive_throughput_bytes_per_second": load, "drive_latency_seconds": latency}


def drives(run: Run, values: dict[str, np.ndarray[Any, Any]], **settings: Any) -> Any:
    return run("perseus", "drive", values, subjects=DRIVES, keys=lambda s: {"node": "n0"}, period=PERIOD, **settings)


def test_five_times_the_bound_for_hours_is_one_hundred(run: Run, accused: Accused) -> None:
    values = host(8)
    values["drive_latency_seconds"][4 * HOUR :, 1] *= 30
    said = drives(run, values)
    assert accused(said) == {"n0/nvme1"}
    # The fit must not follow the sick one: 24 events of five minutes are two hours; 100 >= 50.
    assert 4 * HOUR + 23 * 5 <= next(t for t, f in enumerate(said) if f) <= 4 * HOUR + 26 * 5
    assert "risk 100 of 50" in said[-1][0].why


def test_load_explains_latency(run: Run) -> None:
    values = host(6)
    values["drive_throughput_bytes_per_second"][:, 2] = np.random.default_rng(1).uniform(7e8, 1e9, 6 * HOUR)
    load = values["drive_throughput_bytes_per_second"][:, 2]
    values["drive_latency_seconds"][:, 2] = (1e-4 + 2e-12 * load + 1e-21 * load**2) * np.random.default_rng(2).lognormal(0, 0.05, load.shape)
    assert not any(drives(run, values, cut=1.0))


@pytest.mark.parametrize(("cut", "found"), [(50.0, False), (10.0, True)])
def test_a_slight_slowness_needs_days_or_a_lower_cut(run: Run, accused: Accused, cut: float, found: bool) -> None:
    values = host(8)
    values["drive_latency_seconds"][3 * HOUR :, 1] *= 1.5
    assert accused(drives(run, values, cut=cut)) == ({"n0/nvme1"} if found else set())


def test_risk_is_summed_over_days_and_forgotten_after_fifteen(run: Run) -> None:
    from grayscope import plugins
    from grayscope.detector import Detector

    detector: Detector = plugins.detector("perseus")
    day = host(7)
    day["drive_latency_seconds"][3 * HOUR :, 1] *= 1.5
    found = [bool(drives(run, day, detector=detector, start=86400.0 * d)[-1]) for d in range(6)]
    assert found == [False, False, False, False, True, True]  # 10 a day
    assert not any(drives(run, host(3), detector=detector, start=86400.0 * 25))


def test_nothing_without_a_load_or_a_crowd(run: Run) -> None:
    values = host(3)
    values["drive_latency_seconds"][:, 0] *= 10
    assert not any(run("perseus", "drive", {"drive_latency_seconds": values["drive_latency_seconds"]}, subjects=DRIVES, period=PERIOD, cut=1.0))
    few = {name: v[:, :3] for name, v in values.items()}
    assert not any(run("perseus", "drive", few, subjects=DRIVES[:3], keys=lambda s: {"node": "n0"}, period=PERIOD, cut=1.0))


def test_hosts_with_few_drives_are_fitted_together_by_their_kind(run: Run, accused: Accused) -> None:
    values = host(8)
    values["drive_latency_seconds"][4 * HOUR :, 1] *= 30
    names = [f"n{i // 2}/nvme{i % 2}" for i in range(8)]
    of = {n: {"node": n[:2], "sku": "A"} for n in names}
    assert accused(run("perseus", "drive", values, subjects=names, keys=of.__getitem__, period=PERIOD)) == {"n0/nvme1"}


def test_temperature_is_no_latency(run: Run) -> None:
    power = np.random.default_rng(3).uniform(300, 700, (8 * HOUR, 8))
    heat = power / 10
    heat[:, 1] *= 9
    values = {"gpu_power_watts": power, 'gpu_temperature_celsius{sensor="gpu"}': heat}
    assert not any(run("perseus", "gpu", values, period=PERIOD, cut=1.0))
