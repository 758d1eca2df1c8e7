"""Kernels: the compiled loops against slow and obvious numpy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from grayscope import kernels, loads, medians, running, unloading

F = np.float32
FINITE = st.floats(width=32, allow_nan=False, allow_infinity=False, min_value=-(2.0**99), max_value=2.0**99).map(lambda v: v + 0.0)


def median(x: NDArray[np.float32]) -> np.float32:
    """The midpoint median in float32, from a full sort."""
    s = np.sort(x)
    low, high = s[(len(s) - 1) // 2], s[len(s) // 2]
    return low if low is high or len(s) % 2 else F(F(low + high) * F(0.5))


def near(x: NDArray[np.float32], guess: float = 0.0, width: float = 0.0) -> np.float32:
    kept = x.copy()
    found = medians.median_near(kept, len(x), F(guess), F(width), np.empty(len(x) + 1, F))
    assert kept.tobytes() == x.tobytes()
    return F(found)


# -- median -------------------------------------------------------------------------------------------------------------


@given(
    st.lists(st.one_of(FINITE, st.sampled_from([0.0, 1.0, 2.0])), min_size=1, max_size=120), FINITE, st.one_of(st.just(0.0), st.floats(0, 2.0**99, width=32))
)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_the_median_is_exact_for_any_guess(values: list[float], guess: float, width: float) -> None:
    x = np.array(values, F)
    assert near(x, guess, width).tobytes() == median(x).tobytes()


@pytest.mark.parametrize("n", [1, 2, 3, 4, 24, 25, 26, 101, 1000, 4097])
def test_the_median_is_numpys_bit_for_bit(n: int) -> None:
    rng = np.random.default_rng(n)
    for x in (rng.normal(50, 3, n), rng.integers(0, 5, n), np.full(n, 7.0), np.arange(n), np.arange(n)[::-1], rng.exponential(size=n)):
        single = x.astype(F)
        truth = np.median(single)
        for guess, width in ((0, 0), (float(truth), 1), (float(truth), 1e-7), (float(truth) + 5, 2), (1e30, 1.0), (-1e30, 1e31)):
            assert near(single, guess, width) == truth


# -- logarithm ----------------------------------------------------------------------------------------------------------


def test_the_logarithm_over_the_whole_range_of_float32() -> None:
    rng = np.random.default_rng(0)
    x = np.concatenate([np.exp(rng.uniform(-69, 88, 20_000)), 1 + rng.normal(0, 1e-3, 5000), 2.0 ** np.arange(-99, 127), [1.4142135, 1.4142137]]).astype(F)
    ours = np.array([medians.logarithm(b) for b in x.view(np.int32)], F)
    theirs = np.log(x.astype(np.float64))
    assert np.max(np.abs(ours - theirs) / np.maximum(1.0, np.abs(theirs))) < 2e-6
    # Near one, where ratios between peers live, the error is small beside half a percent.
    assert np.max(np.abs(ours - theirs)[np.abs(theirs) < 1]) < 1e-6


def test_the_logarithm_never_falls() -> None:
    x = np.sort(np.exp(np.random.default_rng(1).uniform(-3, 3, 50_000)).astype(F))
    ours = np.array([medians.logarithm(b) for b in x.view(np.int32)], F)
    assert np.diff(ours).min() >= -3e-7


# -- compare ------------------------------------------------------------------------------------------------------------


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
        self.unit = np.array([[1.0, 5.0, 10.0, 0.03]], F)
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
        self.doubted = rng.random(subjects) < 0.1
        self.residual = np.full((5, subjects), 99, F)
        self.centre, self.spread = np.zeros((5, width), F), np.zeros((5, width), F)
        self.count = np.zeros((5, width), np.int32)
        self.curve = rng.normal(0, 0.1, (1, width, 3)).astype(F)
        self.sums = np.zeros((1, width, unloading.SUMS))

    def compare(self) -> None:
        self.sums[:] = 0
        kernels.compare(
            self.values, self.values.view(np.int32), self.kind, self.sign, self.load, self.unit, self.curve, self.layout, self.order, self.starts, self.groups,
            self.doubted, self.residual, self.centre, self.spread, self.count, self.sums,
        )  # fmt: skip


def explained(c: NDArray[np.float32], u: float) -> float:
    """The curve over load, straight on beyond the reach."""
    k = min(max(u, -3.0), 3.0)
    return float(c[0] * k + c[1] * k**2 + c[2] * k**3 + (c[0] + 2 * c[1] * k + 3 * c[2] * k**2) * (u - k))


def unloaded(w: World, m: int, g: int, x: dict[int, float]) -> tuple[dict[int, float], dict[int, float]]:
    """The known loads of a group in their unit, and what each explains beside the median load."""
    u = {s: (scaled(float(w.values[w.load[m], s]), int(w.kind[w.load[m]])) - w.unit[0, 0]) * w.unit[0, 1] for s in x}
    u = {s: v for s, v in u.items() if not math.isnan(v)}
    usual = explained(w.curve[0, g], float(np.median(list(u.values())))) if u else 0.0
    return u, {s: explained(w.curve[0, g], u[s]) - usual if s in u else 0.0 for s in x}


def reference(w: World) -> dict[str, Any]:
    """What `compare` should give, cell by cell, in float64."""
    residual = np.full(w.values.shape, np.nan)
    centre, spread, count, sums = {}, {}, {}, np.zeros_like(w.sums)
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
            u, f = unloaded(w, m, g, x) if w.load[m] >= 0 else ({}, dict.fromkeys(x, 0.0))
            x = {s: v - f[s] for s, v in x.items()}
            mid = float(np.median(list(x.values())))
            mad = float(np.median([abs(v - mid) for v in x.values()]))
            centre[m, g], spread[m, g] = mid, mad
            for s, v in x.items():
                residual[m, s] = w.sign[m] * (v - mid)
            if not u:
                continue
            seen, edge = np.array(list(u.values())), 3 * max(1.4826 * mad, 0.03)
            taught = [s for s in u if not w.doubted[s] and abs(u[s]) <= 3]
            e = np.array([x[s] - mid for s in taught])
            weight = edge / np.maximum(np.abs(e), edge)
            sums[0, g] = loads.moments(np.array([u[s] for s in taught]), e + [f[s] for s in taught], weight)
            away = weight * (np.array([u[s] for s in taught]) - np.median(seen)) ** 2
            sums[0, g, :6] = len(seen), seen.sum(), (seen**2).sum(), len(taught), away.sum(), (away**2).sum()
    return {"residual": residual, "centre": centre, "spread": spread, "count": count, "sums": sums}


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


# -- remember -----------------------------------------------------------------------------------------------------------


def test_remember_against_the_obvious() -> None:
    rng = np.random.default_rng(5)
    metrics, subjects, horizon = 3, 12, 100
    label = np.array([rng.integers(0, 2, subjects)], np.int32)
    layout, sign = np.zeros(metrics, np.int32), np.array([1, -1, 0], np.int8)
    floor, pooled = np.full((metrics, 2), 0.05, F), np.full(metrics, 0.2, F)
    order, starts, groups = np.argsort(label, axis=1, kind="stable").astype(np.int32), np.array([[0, 0, 0]], np.int32), np.array([2], np.int32)
    starts[0, 1:] = np.cumsum(np.bincount(label[0], minlength=2))
    scale, noise, base, age, past = (
        np.zeros((metrics, subjects), F),
        np.zeros((metrics, subjects), F),
        np.zeros((metrics, subjects), F),
        np.zeros((metrics, subjects), np.int32),
        np.empty((metrics, subjects), F),
    )
    want_scale, want_noise, want_base = (np.zeros((metrics, subjects)) for _ in range(3))
    want_age, guess = np.zeros((metrics, subjects), int), np.zeros((metrics, 2), F)
    for t in range(300):
        residual = rng.normal(0.3, 0.2, (metrics, subjects)).astype(F)
        residual[rng.random(residual.shape) < 0.1] = np.nan
        spread = np.abs(rng.normal(0.1, 0.1, (metrics, 2))).astype(F)
        doubted = np.array([t > 200 and s == 0 for s in range(subjects)])
        kernels.remember(residual, spread, layout, order, starts, groups, sign, floor, pooled, doubted, scale, noise, base, age, past, horizon, guess)
        settled = (want_age >= 64) & np.isfinite(residual) & ~doubted
        peers = {(m, g): int(np.isfinite(residual[m])[label[0] == g].sum()) for m in range(metrics) for g in (0, 1)}
        away_of = {(m, g): (residual[m] - want_base[m])[settled[m] & (label[0] == g)] for m in range(metrics) for g in (0, 1)}
        common = {k: float(np.median(d)) if len(d) >= 4 else 0.0 for k, d in away_of.items()}
        own = {k: max(1.4826 * float(np.median(np.abs(d - common[k]))), 0.05) if len(d) >= 4 else 0.0 for k, d in away_of.items()}
        for m, s in np.ndindex(metrics, subjects):
            g = int(label[0, s])
            r = float(residual[m, s])
            if sign[m] == 0 or math.isnan(r):
                assert math.isnan(past[m, s])
                continue
            now = max(1.4826 * float(spread[m, g]), 0.2 * max(0.3, 8 / (8 + peers[m, g])), 0.05)
            n = float(want_age[m, s])
            want_scale[m, s] = now if n == 0 else want_scale[m, s] + (now - want_scale[m, s]) * max(1.0 / (n + 1.0), 1.0 / 32)
            away = r - common[m, g] - want_base[m, s]
            assert (math.isnan(past[m, s]) and n < 64) or past[m, s] == pytest.approx(away / math.sqrt(1 + 128 / n), abs=1e-4)
            quiet = own[m, g] if own[m, g] > 0 else now
            want_noise[m, s] = quiet if n <= 64 else want_noise[m, s] + (quiet - want_noise[m, s]) / 32
            edge = 3 * want_scale[m, s]
            if not doubted[s]:
                want_base[m, s] += (away if n < 16 else min(max(away, -edge), edge)) / min(n + 1, horizon)
                want_age[m, s] += 1
    np.testing.assert_allclose(scale, want_scale, rtol=1e-4)
    np.testing.assert_allclose(noise, want_noise, rtol=1e-3)
    np.testing.assert_allclose(base, want_base, atol=1e-4)
    assert age.tolist() == want_age.tolist()
    assert base[2].tolist() == [0.0] * subjects


# -- accumulate and outstanding -----------------------------------------------------------------------------------------


def test_accumulate_against_the_obvious() -> None:
    rng = np.random.default_rng(6)
    length = np.array([4, 16, 2, 8], F)  # two that move every tick, two that move by blocks of five
    sign = np.array([1, 0], np.int8)
    shape = (2, 3)
    mean, seen = np.zeros((4, *shape), F), np.zeros((4, *shape), np.int32)
    block, filled = np.zeros(shape, F), np.zeros(shape, np.int32)
    ticks: list[list[float]] = [[] for _ in range(3)]
    blocks: list[list[float]] = [[] for _ in range(3)]
    open_block: list[list[float]] = [[] for _ in range(3)]
    for t in range(1, 101):
        residual = rng.normal(0, 4, shape).astype(F)
        residual[rng.random(shape) < 0.2] = np.nan
        scale, restless = np.full(shape, 1.0, F), np.full(shape, 0.5, F)
        running.accumulate(residual, scale, restless, sign, mean, seen, block, filled, 2, t % 5 == 0, length)
        for s in range(3):
            if np.isfinite(residual[0, s]):
                v = min(max(float(residual[0, s]) / 1.5, -12), 12)
                ticks[s].append(v)
                open_block[s].append(v)
            if t % 5 == 0 and open_block[s]:
                blocks[s].append(float(np.mean(open_block[s])))
                open_block[s].clear()
    for h in range(4):
        for s in range(3):
            want, n = 0.0, 0
            for v in ticks[s] if h < 2 else blocks[s]:
                n += 1
                want += (v - want) / min(n, float(length[h]))
            assert mean[h, 0, s] == pytest.approx(want, abs=1e-4)
            assert seen[h, 0, s] == n
    assert not mean[:, 1].any()
    assert not seen[:, 1].any()


@pytest.mark.parametrize("guess", [0.0, 1.0, 50.0])
def test_outstanding_against_the_obvious(guess: float) -> None:
    rng = np.random.default_rng(7)
    metrics, subjects, length, least, unit, cut = 4, 200, 16.0, 5, 3.0, 2.5
    mean = rng.normal(0, 0.2, (metrics, subjects)).astype(F)
    mean[0, 17] = 3.0
    seen = rng.integers(0, 60, (metrics, subjects)).astype(np.int32)
    seen[0, 17] = 40
    seen[3, 2:] = 0  # two are no crowd
    sign = np.array([1, -1, 0, 1], np.int8)
    width = np.full(metrics, guess, F)
    rows, cols, z = np.empty(mean.size, np.int32), np.empty(mean.size, np.int32), np.empty(mean.size, F)
    doubted, peak, tail = seen[0] < 0, np.zeros(mean.shape, F), np.zeros((metrics, 4))
    n = running.outstanding(
        mean, seen, sign, F(length), least, F(unit), np.full(metrics, cut, F), width, rows, cols, z, True, doubted, peak, np.array([2], F), tail
    )
    got = {(int(m), int(s)): float(v) for m, s, v in zip(rows[:n], cols[:n], z[:n], strict=True)}
    want: dict[tuple[int, int], float] = {}
    for m in range(metrics):
        w = {s: float(mean[m, s]) * math.sqrt(unit * min(int(seen[m, s]), 2 * length - 1)) for s in range(subjects) if seen[m, s] >= least}
        if sign[m] == 0 or len(w) < 4:
            continue
        usual = max(1.4826 * float(np.median(np.abs(list(w.values())))), 0.7) * (1 + 14 / len(w))
        want |= {(m, s): v / usual for s, v in w.items() if v / usual > cut}
    assert got.keys() == want.keys()
    assert got[0, 17] == pytest.approx(want[0, 17], rel=1e-4)
    assert all(got[k] == pytest.approx(want[k], rel=1e-4) for k in want)
