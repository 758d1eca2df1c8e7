"""What a subject's own past teaches: the compiled loop against slow and obvious Python."""

from __future__ import annotations

import math

import numpy as np
import pytest

from grayscope import kernels

F = np.float32


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
