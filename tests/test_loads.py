"""Loads: what a heavy load explains is nobody's fault, what it does not explain is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from grayscope import loadcurves
from grayscope.catalogue import Catalogue
from grayscope.stand import Stand
from tests.loaded import DRIVE, GPU, TICKS, drives, gpus, queues, stood, ticks, usual


def straight(sums: NDArray[np.float64], doubt: Any = 0.0) -> Any:
    """Forget everything about squares and cubes."""
    kept = sums.copy()
    kept[..., 7:12] = 0
    kept[..., 13:15] = 0
    return FITTED(kept, doubt)


FITTED = loadcurves.fitted


def test_a_curved_dependence_is_followed_where_a_straight_one_accuses_the_healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    values, view = queues(), drives()
    values[:, 0, 3] *= 1.15  # tired, under a low load
    curved = usual(DRIVE, values, view)
    monkeypatch.setattr(loadcurves, "fitted", straight)
    lined = usual(DRIVE, values, view)
    monkeypatch.setattr(loadcurves, "LEAST", np.inf)
    plain = usual(DRIVE, values, view)
    others = np.arange(48) != 3
    assert curved[3] > 0.1
    assert np.abs(curved[others]).max() < 0.04
    assert lined[others].max() > 0.15  # healthy members under high load are further from their peers than the tired one is ...
    assert lined[3] < 0.05
    assert plain[others].max() > 0.8  # ... and where load is left out it is lost among them
    assert plain[3] < 0


def test_a_tired_gpu_at_full_load_is_not_a_sick_one_at_half() -> None:
    rng, view = np.random.default_rng(2), gpus(32)
    power = np.repeat([350.0, 700.0], [8, 24]) + rng.normal(0, 20, (TICKS, 32))
    warmth = 25 + 0.05 * power + rng.normal(0, 0.5, power.shape)
    warmth[:, 0] += 12  # the sick one at half load is not as warm as the others are at full load
    found = usual(GPU, np.stack([warmth, power], axis=1), view)
    assert warmth[:, 0].mean() < warmth[:, 8:].mean()
    assert found[0] > 10
    assert np.abs(found[1:]).max() < 1.0


def test_the_unit_follows_a_fleet_that_begins_idle() -> None:
    rng, view = np.random.default_rng(3), gpus(32)
    power = np.where(np.arange(TICKS)[:, None] < 50, 70.0, 500.0 + 15 * np.arange(32) / 31 * 10) + rng.normal(0, 2, (TICKS, 32))
    warmth = 25 + 0.05 * power + rng.normal(0, 0.3, power.shape)
    found = usual(GPU, np.stack([warmth, power], axis=1), view)
    assert np.abs(found).max() < 0.7
    assert 0.05 * (power[-1].max() - power[-1].min()) > 6


def test_noise_teaches_no_curve() -> None:
    rng, view = np.random.default_rng(4), gpus(32)
    values = np.stack([60 + rng.normal(0, 1, (TICKS, 32)), 500 + rng.normal(0, 20, (TICKS, 32))], axis=1)
    stand = Stand(Catalogue.load())
    for tick in ticks(GPU, values, view):
        stand.step(tick)
    assert np.abs(stand.loads.tables["gpu"].curve).max() < 0.1


def test_who_alone_has_another_load_does_not_teach_its_own_slowness() -> None:
    rng, view = np.random.default_rng(5), drives(hosts=1)
    use = np.repeat([1.0, 3.0], [11, 1]) * np.exp(rng.normal(0, 0.01, (TICKS, 12)))
    latency = 1e-4 * np.exp(rng.normal(0, 0.05, use.shape))
    latency[:, 11] *= 1.3
    assert usual(DRIVE, np.stack([latency, 1e8 * use], axis=1), view)[11] > 0.2


def test_the_same_load_at_every_host_is_no_fault_and_one_slow_of_them_is() -> None:
    rng, view = np.random.default_rng(6), drives(hosts=12, each=8)
    heavy = np.arange(96) % 8 == 0
    use = np.where(heavy, 3.0, 1.0) * np.exp(rng.normal(0, 0.05, (TICKS, 96)))
    latency = 1e-4 * use**0.5 * np.exp(rng.normal(0, 0.05, use.shape))
    latency[:, 40] *= 1.3
    found = usual(DRIVE, np.stack([latency, 1e8 * use], axis=1), view)
    assert found[40] > 0.15
    assert np.abs(np.delete(found, 40)).max() < 0.1


def test_what_is_doubted_does_not_teach() -> None:
    rng, view = np.random.default_rng(7), drives(hosts=1)
    use = np.linspace(1, 3, 12) * np.exp(rng.normal(0, 0.02, (TICKS, 12)))
    latency = 1e-4 * np.exp(rng.normal(0, 0.05, use.shape))
    latency[:, 8:] *= 1.5  # four at once, all heavily loaded: taken for the load's doing unless they are doubted
    values, names = np.stack([latency, 1e8 * use], axis=1), view.tables["drive"]
    taught, doubted = usual(DRIVE, values, view), usual(DRIVE, values, view, frozenset(names[8:]))
    assert doubted[8:].min() > 0.35
    assert taught[8:].min() < doubted[8:].min() - 0.1


def test_a_large_group_has_its_own_curve_and_a_small_one_the_fleets() -> None:
    rng = np.random.default_rng(8)
    view = gpus(128, skus=2)
    power = 500 + 100 * rng.uniform(-1, 1, (TICKS, 128))
    sku = np.arange(128) % 2
    warmth = 25 + np.where(sku == 0, 0.03, 0.09) * power + rng.normal(0, 0.5, power.shape)
    residual, _ = stood(GPU, np.stack([warmth, power], axis=1), view)
    assert residual[200:].std() < 0.6
    few = gpus(24, skus=2)
    residual, _ = stood(GPU, np.stack([warmth, power], axis=1)[:, :, :24], few)
    assert residual[200:].std() > 1.0


def test_one_mad_reading_of_a_load_neither_accuses_nor_teaches() -> None:
    values, view = queues(), drives()
    values[0, 1, 7] = 1e30
    values[300, 1, 7] = 1e30
    found = usual(DRIVE, values, view)
    assert np.abs(found).max() < 0.04
    rng, view = np.random.default_rng(10), gpus(32)
    power = 500 + 50 * rng.uniform(-1, 1, (TICKS, 32))
    warmth = 25 + 0.05 * power + rng.normal(0, 0.3, power.shape)
    power[0, 3] = power[300, 3] = 1e30
    residual, _ = stood(GPU, np.stack([warmth, power], axis=1), view)
    assert np.abs(np.delete(residual[200:], 100, axis=0)).max() < 3
    assert np.abs(residual[300]).max() < 100


def test_an_unknown_load_explains_nothing() -> None:
    values, view = queues()[:200], drives()
    values[150:, 1, 5] = np.nan
    residual, _ = stood(DRIVE, values, view)
    assert np.isfinite(residual).all()
    values[:, 1] = np.nan
    none, _ = stood(DRIVE, values, view)
    assert np.isfinite(none).all()
