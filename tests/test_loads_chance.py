"""Loads: what a curve is not drawn from, and not drawn to."""

from __future__ import annotations

import numpy as np
import pytest

from grayscope import loadcurves
from grayscope.catalogue import Catalogue
from grayscope.stand import Stand
from tests.loaded import DRIVE, GPU, TICKS, drives, gpus, stood, ticks


def drawn(seed: int, monkeypatch: pytest.MonkeyPatch, chance: float = loadcurves.CHANCE) -> bool:
    """Say whether 12 GPUs get a curve that differ for ever in warmth and in load, the one having nothing to do with the other."""
    rng, stand = np.random.default_rng(seed), Stand(Catalogue.load())
    power = 500 + 20 * rng.normal(0, 1, 12) + 2 * rng.normal(0, 1, (TICKS, 12))
    warmth = 60 + 3 * rng.normal(0, 1, 12) + rng.normal(0, 0.3, power.shape)
    monkeypatch.setattr(loadcurves, "CHANCE", chance)
    for tick in ticks(GPU, np.stack([warmth, power], axis=1), gpus(12)):
        stand.step(tick)
    return bool(stand.loads.tables["gpu"].curve.any())


def test_many_samples_of_few_parts_that_differ_for_ever_teach_no_curve(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds = range(8)
    assert sum(drawn(seed, monkeypatch) for seed in seeds) == 0
    assert sum(drawn(seed, monkeypatch, 0.0) for seed in seeds) >= 3


def test_loads_that_wander_teach_though_parts_differ_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    rng, view = np.random.default_rng(12), gpus(12)
    power = 500 + 20 * rng.normal(0, 1, (TICKS, 12))
    values = np.stack([30 + 0.05 * power + rng.normal(0, 3, 12) + rng.normal(0, 0.3, power.shape), power], axis=1)
    known, _ = stood(GPU, values, view)
    monkeypatch.setattr(loadcurves, "LEAST", np.inf)
    unknown, _ = stood(GPU, values, view)
    assert (known[TICKS // 2 :].std(axis=0) < 0.7 * unknown[TICKS // 2 :].std(axis=0)).all()


def test_an_idle_drive_is_neither_slow_nor_restless_because_its_load_is_far_from_all_others() -> None:
    """Most read all the time and write now and then; a few idle, and what little they read varies."""
    rng, view = np.random.default_rng(13), drives(hosts=4, each=16)
    idle = np.arange(64) % 16 == 0
    writing = (np.arange(TICKS)[:, None] % 180 < 6) & ~idle
    use = np.where(idle, 2e6, 1.5e8) * np.exp(rng.normal(0, 0.1, (TICKS, 64))) + 2.2e9 * writing
    latency = 9e-5 * (1 + use / 1.5e9) * np.exp(rng.normal(0, 0.04, use.shape))
    residual = stood(DRIVE, np.stack([latency, use], axis=1), view)[0][TICKS // 2 :]
    middle = np.median(residual, axis=0)
    noise = np.median(np.abs(residual - middle), axis=0)
    assert np.abs(middle[idle]).max() < 0.05
    assert noise[idle].max() < 1.3 * np.median(noise[~idle])
