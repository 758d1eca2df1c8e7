"""Grouped: the same as numpy would say, group by group."""

from __future__ import annotations

import numpy as np
import pytest

from grayscope.grouped import cells, highest, medians, middles, quantiles, sums

GROUPS = 5


@pytest.fixture
def labelled() -> tuple[np.ndarray[tuple[int, int], np.dtype[np.float32]], np.ndarray[tuple[int, int], np.dtype[np.int32]]]:
    rng = np.random.default_rng(2)
    values = rng.normal(0, 100, (6, 83)).astype(np.float32)
    values[rng.random(values.shape) < 0.2] = np.nan
    values[0, :3] = np.inf, -np.inf, np.nan
    return values, rng.integers(0, GROUPS - 1, values.shape).astype(np.int32)  # the last group is empty


def test_against_numpy(labelled: tuple[np.ndarray[tuple[int, int], np.dtype[np.float32]], np.ndarray[tuple[int, int], np.dtype[np.int32]]]) -> None:
    values, label = labelled
    median, count = medians(values, label, GROUPS)
    total, best = sums(values, label, GROUPS), highest(values, label, GROUPS)
    for k in range(len(values)):
        for g in range(GROUPS):
            members = values[k, (label[k] == g) & np.isfinite(values[k])]
            assert count[k, g] == len(members)
            assert total[k, g] == pytest.approx(members.sum(dtype=float))
            if len(members):
                assert median[k, g] == np.median(members)
                assert best[k, g] == members.max()
            else:
                assert np.isnan(median[k, g])
                assert np.isnan(best[k, g])
    assert np.array_equal(cells(count, label)[2], count[2][label[2]])


@pytest.mark.parametrize("seed", range(6))
def test_the_middle_of_some_is_that_of_the_same_sorted(seed: int) -> None:
    """Bit for bit: half of the sum of the two in the middle, of doubles that no float32 holds, of as many as there are, of few or of nobody."""
    draw = np.random.default_rng(seed)
    n, groups = int(draw.integers(0, 300)), int(draw.integers(1, 40))
    values, label = draw.choice([1.0, 2.0, np.inf, 1e9 + 1 / 3], n) * draw.choice([1.0, 1.0, 1 / 3, 7.1], n), draw.integers(0, groups, n).astype(np.int32)
    among = draw.random(n) < 0.8
    values[~among] = np.nan
    found = middles(values, among, label, groups)
    for g in range(groups):
        x = np.sort(values[among & (label == g)])
        usual = (x[(len(x) - 1) // 2] + x[len(x) // 2]) / 2 if len(x) else np.nan
        assert found[g].tobytes() == np.float64(usual).tobytes()


def test_nothing_at_all() -> None:
    empty, none = np.empty((0, 4), np.float32), np.empty((0, 4), np.int32)
    assert medians(empty, none, 3)[0].shape == sums(empty, none, 3).shape == highest(empty, none, 3).shape == (0, 3)
    assert medians(np.empty((2, 0), np.float32), np.empty((2, 0), np.int32), 1)[1].tolist() == [[0], [0]]


def test_quantiles_leave_out_what_is_missing() -> None:
    window = np.array([[5, np.nan], [1, np.nan], [np.nan, np.nan], [3, np.nan], [2, np.nan]], np.float32)
    low, middle, high = quantiles(window, (0.0, 0.5, 1.0))
    assert [low[0], middle[0], high[0]] == [1, 3, 5]
    assert np.isnan([low[1], middle[1], high[1]]).all()
