"""Shifts: a group's median against its own past; who comes, goes or is renumbered keeps what is known."""

from __future__ import annotations

import numpy as np

from grayscope.shifts import YOUNG, Names, Shifts

GROUPS: tuple[Names, ...] = ((("a",), ("b",)),)
LAYOUT = np.zeros(1, np.int32)
SIGN = np.ones(1, np.int8)


def laid_out(groups: tuple[Names, ...] = GROUPS) -> Shifts:
    shifts = Shifts()
    shifts.lay_out("gpu", ("m",), groups, LAYOUT, 2)
    return shifts


def run(shifts: Shifts, a: float, b: float, ticks: int, noise: float = 0.1, seed: int = 0) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    rng = np.random.default_rng(seed)
    shift = np.zeros((1, 2), np.float32)
    floor = np.full((1, 2), 0.05, np.float32)
    for _ in range(ticks):
        centre = (np.array([[a, b]]) + rng.normal(0, noise, (1, 2))).astype(np.float32)
        shift, _ = shifts.step("gpu", centre, floor, np.full((1, 2), 4, np.int32), SIGN, np.full(1, 2, np.int32))
    return shift


def test_nothing_is_said_before_the_past_is_known() -> None:
    assert run(laid_out(), 1.0, 2.0, YOUNG).tolist() == [[0.0, 0.0]]


def test_a_group_that_moves_stands_out_and_its_neighbour_does_not() -> None:
    shifts = laid_out()
    run(shifts, 1.0, 2.0, 200)
    shift = run(shifts, 3.0, 2.0, 40, seed=1)
    assert shift[0, 0] > 8
    assert abs(shift[0, 1]) < 3


def test_better_is_negative() -> None:
    shifts = laid_out()
    run(shifts, 1.0, 2.0, 200)
    assert run(shifts, 0.0, 2.0, 40)[0, 0] < -5


def test_what_is_known_moves_along_with_its_group() -> None:
    shifts = laid_out()
    run(shifts, 1.0, 2.0, 200)
    before = shifts.tables["gpu"].arrays["base"].copy()
    shifts.lay_out("gpu", ("m",), ((("0",), ("b",), ("a",)),), LAYOUT, 3)
    after = shifts.tables["gpu"].arrays["base"]
    assert after[0].tolist() == [0.0, before[0, 1], before[0, 0]]


def test_a_pause_changes_nothing() -> None:
    one, two = laid_out(), Shifts()
    run(one, 1.0, 2.0, 100)
    two.restore({k: v.copy() for k, v in one.snapshot().items()})
    assert np.array_equal(run(one, 3.0, 2.0, 50, seed=2), run(two, 3.0, 2.0, 50, seed=2))
