"""Running means and who stands out by them: the compiled loops against slow and obvious numpy."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from numpy.typing import NDArray

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
    layout, label = np.array([0, 1, 0, 1], np.int32), np.array([np.zeros(subjects), np.arange(subjects) * 7 % 13], np.int32)
    n = running.outstanding(
        mean, seen, sign, F(length), least, F(unit), np.full(metrics, cut, F), width, rows, cols, z, True, doubted, peak, np.array([2], F), tail, layout, label
    )
    got = {(int(m), int(s)): float(v) for m, s, v in zip(rows[:n], cols[:n], z[:n], strict=True)}
    want: dict[tuple[int, int], float] = {}
    for m in range(metrics):
        w = {s: float(mean[m, s]) * math.sqrt(unit * min(int(seen[m, s]), 2 * length - 1)) for s in range(subjects) if seen[m, s] >= least}
        if sign[m] == 0 or len(w) < 4:
            continue
        groups = {g: [abs(w[s]) for s in w if label[layout[m], s] == g] for g in set(label[layout[m]].tolist())}
        own = {g: 1.4826 * float(np.median(some)) if len(some) >= running.OWN else 0.0 for g, some in groups.items()}
        fleet = 1.4826 * float(np.median(np.abs(list(w.values()))))
        limit = {g: fleet * (1 + running.APART / len(some) ** 0.5) if some else 0.0 for g, some in groups.items()}
        apart = {g: wide if wide and 1.4826 * statistics.median_low(groups[g]) > limit[g] else fleet for g, wide in own.items()}
        usual = {s: max(apart[int(label[layout[m], s])], 0.7) * (1 + 14 / len(w)) for s in w}
        want |= {(m, s): v / usual[s] for s, v in w.items() if v / usual[s] > cut}
    assert got.keys() == want.keys()
    assert got[0, 17] == pytest.approx(want[0, 17], rel=1e-4)
    assert all(got[k] == pytest.approx(want[k], rel=1e-4) for k in want)


def test_a_fleet_that_rests_alike_does_not_make_those_that_work_stand_out() -> None:
    """The clocks of idle parts are all the same; by their spread every natural difference of the others would be huge."""
    rng = np.random.default_rng(3)
    mean = np.zeros((1, 128), F)
    mean[0, :56] = rng.normal(0, 1, 56)
    mean[0, 5] = 4.0  # the slowest of 56, four spreads off
    label = np.repeat(np.array([0, 1], np.int32), [56, 72])[None]
    n, _, tail = looked(mean, label, cut=5.0)
    assert (n, tail[0, 0]) == (0, 128)
    mean[0, 5] = 12.0
    n, z, _ = looked(mean, label, cut=5.0)
    assert n == 1
    assert 8 < z[0] < 14


def test_half_of_a_group_that_stands_out_is_not_what_is_usual_there() -> None:
    """One of a job's two machines gets hot: the middle of its sixteen GPUs lies between those that are and those that are not."""
    mean = np.zeros((1, 128), F)
    mean[0, :8] = 12.0
    n, z, _ = looked(mean, np.repeat(np.arange(8, dtype=np.int32), 16)[None], cut=5.0)
    assert n == 8
    assert (z > 12).all()


def looked(mean: NDArray[np.float32], label: NDArray[np.int32], cut: float) -> tuple[int, NDArray[np.float32], NDArray[np.float64]]:
    """Return how many stand out, by how much, and what was counted."""
    rows, cols, z = np.empty(mean.size, np.int32), np.empty(mean.size, np.int32), np.empty(mean.size, F)
    seen, sign, tail = np.full(mean.shape, 9, np.int16), np.ones(1, np.int8), np.zeros((1, 4))
    n = running.outstanding(
        mean, seen, sign, F(1), 1, F(1), np.full(1, cut, F), np.zeros(1, F), rows, cols, z, True, np.zeros(mean.shape[1], bool), np.zeros(mean.shape, F),
        np.array([2], F), tail, np.zeros(1, np.int32), label,
    )  # fmt: skip
    return n, z[:n], tail
