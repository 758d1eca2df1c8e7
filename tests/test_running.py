"""Running means and who stands out by them: the compiled loops against slow and obvious numpy."""

from __future__ import annotations

import math

import numpy as np
import pytest

from grayscope import running
from grayscope.horizons import BLOCK, HORIZONS

F = np.float32


def test_accumulate_against_the_obvious() -> None:
    rng = np.random.default_rng(6)
    length = np.array([4, 16, 2, 8], F)  # two that move every tick, two that move by blocks of five
    sign, clip = np.array([1, 0], np.int8), np.array([7, 12], F)
    shape = (2, 3)
    mean, seen = np.zeros((4, *shape), F), np.zeros((4, *shape), np.int16)
    block, filled = np.zeros(shape, F), np.zeros(shape, np.int32)
    ticks: list[list[float]] = [[] for _ in range(3)]
    blocks: list[list[float]] = [[] for _ in range(3)]
    open_block: list[list[float]] = [[] for _ in range(3)]
    for t in range(1, 101):
        residual = rng.normal(0, 4, shape).astype(F)
        residual[rng.random(shape) < 0.2] = np.nan
        scale, restless = np.full(shape, 1.0, F), np.full(shape, 0.5, F)
        running.accumulate(residual, scale, restless, sign, mean, seen, block, filled, 2, t % 5 == 0, length, clip)
        for s in range(3):
            if np.isfinite(residual[0, s]):
                v = min(max(float(residual[0, s]) / 1.5, -7), 7)
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


def test_steps_are_counted_up_to_more_than_any_horizon_needs() -> None:
    mean, seen, none = np.zeros((1, 1, 1), F), np.full((1, 1, 1), running.MANY - 1, np.int16), np.zeros((1, 1), F)
    filled, one = np.zeros((1, 1), np.int32), np.ones((1, 1), F)
    for _ in range(3):
        running.accumulate(one, one, none, np.ones(1, np.int8), mean, seen, np.zeros((1, 1), F), filled, 1, False, np.array([256.0], F), np.array([9.0], F))
    assert seen.item() == running.MANY > 2 * max(HORIZONS) // BLOCK
    assert mean.item() == pytest.approx(3 / 256, abs=1e-4)


@pytest.mark.parametrize("guess", [0.0, 1.0, 50.0])
def test_outstanding_against_the_obvious(guess: float) -> None:
    rng = np.random.default_rng(7)
    metrics, subjects, length, least, unit, cut = 4, 200, 16.0, 5, 3.0, 2.5
    mean = rng.normal(0, 0.2, (metrics, subjects)).astype(F)
    mean[0, 17] = 3.0
    seen = rng.integers(0, 60, (metrics, subjects)).astype(np.int16)
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
