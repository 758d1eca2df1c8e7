"""Unnamed: blocks stand out of noise, and rows, columns and what is bad by chance are none."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from grayscope.unnamed import Paths, found

ENDS = 16
PAIRS = np.array([(a, b) for a in range(ENDS) for b in range(ENDS) if a != b])
PATHS = Paths(np.arange(len(PAIRS)), PAIRS[:, 0], PAIRS[:, 1], ENDS)


def blocks(bad: Callable[[int, int], bool], noise: float = 0.3, paths: Paths = PATHS) -> list[list[tuple[int, int]]]:
    """Return the pairs of each block that is found around any of the paths that are bad."""
    hit = np.array([bad(int(a), int(b)) for a, b in PAIRS])
    excess = np.random.default_rng(5).normal(0, noise, len(PAIRS)) + 3.0 * hit
    return [[(int(a), int(b)) for a, b in PAIRS[some]] for some in found(excess, paths, np.flatnonzero(hit).tolist())]


def test_a_block_is_found_whole_and_once_in_noise() -> None:
    (one,) = blocks(lambda a, b: a in (1, 5, 9) and b in (2, 3, 12, 14))
    assert one == [(a, b) for a in (1, 5, 9) for b in (2, 3, 12, 14)]


def test_two_blocks_are_two() -> None:
    assert [len(some) for some in blocks(lambda a, b: (a < 3 and 4 <= b < 8) or (a > 12 and 8 <= b < 12))] == [12, 12]


def test_a_row_a_column_a_whole_end_and_single_paths_are_no_block() -> None:
    assert blocks(lambda a, _b: a == 3) == blocks(lambda _a, b: b in (3, 4)) == blocks(lambda a, b: 3 in (a, b)) == []
    assert blocks(lambda a, b: (a, b) in ((1, 2), (5, 9), (5, 10))) == []


def test_two_by_two_paths_and_whatever_chance_brings_are_no_block() -> None:
    assert blocks(lambda a, b: a in (1, 2) and b in (7, 8)) == []
    rng = np.random.default_rng(9)
    odd = rng.random((ENDS, ENDS)) < 0.15
    assert blocks(lambda a, b: bool(odd[a, b])) == []


def test_pairs_measured_once_count_once() -> None:
    once = np.flatnonzero(PAIRS[:, 0] < PAIRS[:, 1])
    source, target = PAIRS[once].T
    both = Paths(np.concatenate([once, once]), np.concatenate([source, target]), np.concatenate([target, source]), ENDS)
    (one,) = blocks(lambda a, b: a in (1, 2) and b in (7, 8, 9), paths=both)
    assert len(one) == 6
    nowhere = np.zeros(0, np.intp)
    assert found(np.zeros(len(PAIRS)), Paths(nowhere, nowhere, nowhere, 0), [0]) == []
