"""Parts under loads, for the tests of curves over load; no tests."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from grayscope.catalogue import Catalogue
from grayscope.roster import Roster, RosterRow, View
from grayscope.stand import Stand
from grayscope.tick import Tick

Floats = NDArray[np.floating[Any]]
DRIVE = ("drive_latency_seconds", "drive_throughput_bytes_per_second")
GPU = ("gpu_temperature_celsius", "gpu_power_watts")
TICKS = 400


def ticks(metrics: tuple[str, str], values: Floats, view: View) -> list[Tick]:
    """Ticks of values [T, 2, S]; subjects are those of the view, sorted."""
    table = next(iter(view.tables))
    fresh = np.zeros(values.shape[2], bool)
    return [Tick(table, (t + 1) * 10_000_000, 10_000_000, view, view.tables[table], metrics, v.astype(np.float32), fresh, ()) for t, v in enumerate(values)]


def drives(hosts: int = 4, each: int = 12) -> View:
    return Roster([RosterRow(f"h{h}/disk{d:02d}", "drive") for h in range(hosts) for d in range(each)]).at(0)


def gpus(count: int, skus: int = 1) -> View:
    return Roster([RosterRow(f"n{i:03d}/gpu0", "gpu", keys={"job": "j", "sku": f"S{i % skus}", "slot": "0"}) for i in range(count)]).at(0)


def stood(metrics: tuple[str, str], values: Floats, view: View, doubted: frozenset[str] = frozenset()) -> tuple[Floats, Floats]:
    """Return residual and scale of the first metric [T, S]."""
    stand, out = Stand(Catalogue.load()), []
    for tick in ticks(metrics, values, view):
        standing = stand.step(tick, doubted)
        out.append((standing.residual[0].copy(), standing.scale[0].copy()))
    residual, scale = (np.array(x) for x in zip(*out, strict=True))
    return residual, scale


def usual(metrics: tuple[str, str], values: Floats, view: View, doubted: frozenset[str] = frozenset()) -> Floats:
    """Return what each member usually departs from its peers by [S], once the load is known."""
    mean: Floats = np.median(stood(metrics, values, view, doubted)[0][TICKS // 2 :], axis=0)
    return mean


def queues(seed: int = 1) -> Floats:
    """Drives whose latency grows with the square of their throughput; loads differ fivefold and stay, noise is 5 %."""
    rng = np.random.default_rng(seed)
    use = np.exp(rng.uniform(np.log(0.2), 0, 48)) * np.exp(rng.normal(0, 0.1, (TICKS, 48)))
    use[:, :12] = np.linspace(0.2, 1.0, 12) * np.exp(rng.normal(0, 0.1, (TICKS, 12)))
    latency = 1e-4 * (1 + 6 * use**2) * np.exp(rng.normal(0, 0.05, use.shape))
    return np.stack([latency, 1e8 * use], axis=1)
