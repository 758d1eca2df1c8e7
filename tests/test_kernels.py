"""Comparing with peers: the compiled loop against slow and obvious numpy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from grayscope import kernels, loadcurves, unloading

F, REACH = np.float32, float(unloading.REACH)


def scaled(v: float, kind: int) -> float:
    if kind == kernels.LOG:
        return math.log(v) if 1e-30 < v < math.inf else math.nan
    if kind == kernels.COUNT:
        return 2 * math.sqrt(v + 0.375) if 0 <= v < math.inf else math.nan
    return v if math.isfinite(v) else math.nan


class World:
    """Metrics of all kinds and directions in two different peer layouts, with holes, infinities and negatives."""

    def __init__(self, seed: int, subjects: int = 40, *, wild: bool = True) -> None:
        rng = np.random.default_rng(seed)
        self.kind = np.array([kernels.LINEAR, kernels.LOG, kernels.COUNT, kernels.LOG, kernels.LINEAR], np.int8)
        self.sign = np.array([1, -1, 1, 1, 0], np.int8)
        self.load = np.array([-1, -1, -1, 1, -1], np.int32)
        self.unit = np.array([[1.0, 25.0, 11.0, 0.03]], F)
        self.layout = np.array([0, 1, 0, 1, 0], np.int32)
        self.values = np.exp(rng.normal(1, 0.2, (5, subjects))).astype(F)
        self.values[2] = rng.poisson(3, subjects)
        if wild:
            self.values[rng.random(self.values.shape) < 0.1] = np.nan
            self.values[0, rng.random(subjects) < 0.05] = np.inf  # align lets none through; a linear scale refuses them itself
            self.values[rng.random(self.values.shape) < 0.02] = -1.0
        self.label = np.array([rng.integers(0, 3, subjects), np.sort(rng.integers(0, 5, subjects))], np.int32)
        self.label[0, :2] = 3  # a group of two
        self.groups = (self.label.max(axis=1) + 1).astype(np.int32)
        width = int(self.groups.max())
        self.starts = np.zeros((2, width + 1), np.int32)
        for i in range(2):
            self.starts[i, 1:] = np.cumsum(np.bincount(self.label[i], minlength=width))
        self.order = np.argsort(self.label, axis=1, kind="stable").astype(np.int32)
        self.doubted, self.scale = rng.random(subjects) < 0.1, np.zeros((5, subjects), F)
        self.residual = np.full((5, subjects), 99, F)
        self.centre, self.spread = np.zeros((5, width), F), np.zeros((5, width), F)
        self.count = np.zeros((5, width), np.int32)
        self.seat = np.array([[0, 3, 1, 3, 2]], np.int32)[:, :width]  # two groups share the last
        self.curve = rng.normal(0, 0.01, (1, 4, 3)).astype(F)
        self.sums = np.zeros((1, 4, unloading.SUMS))
        self.told = np.zeros((2, 1, subjects), F)

    def compare(self) -> None:
        self.sums[:], self.told[:] = 0, 0
        kernels.compare(
            self.values, self.values.view(np.int32), self.kind, self.sign, self.load, self.unit, self.curve, self.layout, self.order, self.starts, self.groups,
            self.seat, self.doubted, self.scale, self.residual, self.centre, self.spread, self.count, self.sums, self.told,
        )  # fmt: skip


def explained(c: NDArray[np.float32], u: float) -> float:
    """The curve over load."""
    return float(c[0] * u + c[1] * u**2 + c[2] * u**3)


def unloaded(w: World, m: int, g: int, x: dict[int, float]) -> tuple[dict[int, float], dict[int, float]]:
    """The known loads of a group in their unit, no further than its reach, and what each explains beside the median load."""
    u = {s: (scaled(float(w.values[w.load[m], s]), int(w.kind[w.load[m]])) - w.unit[0, 0]) * w.unit[0, 1] for s in x}
    u = {s: min(max(v, -REACH), REACH) for s, v in u.items() if not math.isnan(v)}
    usual = explained(w.curve[0, w.seat[0, g]], float(np.median(list(u.values())))) if u else 0.0
    return u, {s: explained(w.curve[0, w.seat[0, g]], u[s]) - usual if s in u else 0.0 for s in x}


def reference(w: World) -> dict[str, Any]:
    """What `compare` should give, cell by cell, in float64."""
    residual = np.full(w.values.shape, np.nan)
    centre, spread, count, sums, told = {}, {}, {}, np.zeros_like(w.sums), np.zeros(w.told.shape)
    for m in range(len(w.kind)):
        if w.sign[m] == 0:
            continue
        label = w.label[w.layout[m]]
        for g in range(w.groups[w.layout[m]]):
            members = [s for s in range(len(label)) if label[s] == g]
            x = {s: scaled(float(w.values[m, s]), int(w.kind[m])) for s in members}
            x = {s: v for s, v in x.items() if not math.isnan(v)}
            count[m, g] = len(x)
            if len(x) < 4:
                continue
            trusted = [s for s in x if not w.doubted[s]]
            u, f = unloaded(w, m, g, x) if w.load[m] >= 0 else ({}, dict.fromkeys(x, 0.0))
            x = {s: v - f[s] for s, v in x.items()}
            y = [v for s, v in x.items() if s in trusted or not max(4, len(x) / 4) <= len(trusted)]
            mid = float(np.median(y))
            mad = float(np.median([abs(v - mid) for v in y]))
            centre[m, g], spread[m, g] = mid, mad
            for s, v in x.items():
                residual[m, s] = w.sign[m] * (v - mid)
            if not u:
                continue
            usual, edge = np.median(list(u.values())), 3 * max(1.4826 * mad, 0.03)
            taught = [s for s in u if not w.doubted[s]]
            e = np.array([x[s] - mid for s in taught])
            weight = edge / np.maximum(np.abs(e), edge)
            one = loadcurves.moments(np.array([u[s] for s in taught]), e + [f[s] for s in taught], weight)
            away = weight * (np.array([u[s] for s in taught]) - usual) ** 2
            load = np.array([u[s] for s in taught])
            load = load - np.average(load, weights=weight)
            told[:, 0, taught] = weight * load * (e - np.average(e, weights=weight)), weight * load**2
            seen = np.array([min(max((scaled(float(w.values[w.load[m], s]), int(w.kind[w.load[m]])) - 1) * 25, -11), 11) for s in u])
            one[:6] = len(seen), seen.sum(), (seen**2).sum(), len(taught), away.sum(), (away**2).sum()
            sums[0, w.seat[0, g]] += one
    return {"residual": residual, "centre": centre, "spread": spread, "count": count, "sums": sums, "told": told}


@pytest.mark.parametrize("seed", range(8))
def test_compare_against_the_obvious(seed: int) -> None:
    w = World(seed)
    w.compare()
    want = reference(w)
    np.testing.assert_allclose(w.residual, want["residual"], atol=2e-5)
    for name in ("centre", "spread", "count"):
        got = getattr(w, name)
        for (m, g), value in want[name].items():
            assert got[m, g] == pytest.approx(value, abs=2e-5), (name, m, g)
    np.testing.assert_allclose(w.sums, want["sums"], rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(w.told, want["told"], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("seed", range(4))
def test_what_was_guessed_does_not_change_a_bit(seed: int) -> None:
    cold, warm = World(seed, 300), World(seed, 300)
    cold.compare()
    warm.centre[:], warm.spread[:] = np.random.default_rng(seed).normal(size=(2, *warm.centre.shape)).astype(F)
    warm.compare()
    assert warm.residual.tobytes() == cold.residual.tobytes()
    warm.compare()
    assert warm.residual.tobytes() == cold.residual.tobytes()


def test_three_are_no_crowd_and_nobody_judges_alone() -> None:
    w = World(1, subjects=3)
    w.compare()
    assert np.isnan(w.residual).all()
