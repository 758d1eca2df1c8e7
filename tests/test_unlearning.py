"""Unlearning: what was learned from a bad time is not the measure of the next one."""

from __future__ import annotations

import numpy as np
import pytest

from grayscope.catalogue import Catalogue
from grayscope.roster import Roster, RosterRow
from grayscope.stand import Stand
from grayscope.tick import Tick
from grayscope.unlearning import unlearn

S = 1_000_000
#: Ranks, and how much their times stray.
RANKS, STRAY = 16, 0.01
NAMES = tuple(f"job:1/r{k}" for k in range(RANKS))


def seen(ways: tuple[tuple[int, float], ...], doubted: frozenset[str] = frozenset()) -> float:
    """Return by how many noises r3 is slower than its own past, in the mean over the last 16 ticks, after ticks that each took so much longer."""
    rows = [RosterRow(n, "rank", keys={"job": "job:1", "role": "", "gpu": f"n1/gpu{k}"}) for k, n in enumerate(NAMES)]
    stand, view, rng, far = Stand(Catalogue.load()), Roster(rows).at(0), np.random.default_rng(1), []
    for t, slow in enumerate(slow for ticks, slow in ways for _ in range(ticks)):
        values = (2.0 * np.exp(STRAY * rng.standard_normal((1, RANKS)))).astype(np.float32)
        values[0, 3] *= np.float32(1 + slow)
        standing = stand.step(Tick("rank", (t + 1) * 10 * S, 10 * S, view, NAMES, ("compute_seconds",), values, np.zeros(RANKS, bool)), doubted)
        far.append(float(standing.past[0, 3] / standing.noise[0, 3]))
    return float(np.mean(far[-16:]))


def test_who_was_slow_from_the_first_minute_on_is_measured_by_what_it_can_do() -> None:
    assert seen(((400, 0.05), (400, 0.0), (32, 0.05))) > 3.5  # half of the time slow: its mean is in the middle, two and a half from both


def test_nobody_s_usual_time_comes_down_below_that_of_its_peers() -> None:
    memory = {"base": np.float32([[2.0]]), "noise": np.float32([[1.0]]), "lately": np.float32([[0.0]])}
    for _ in range(200):
        unlearn(memory, np.float32([[-3.0]]) - memory["base"], np.zeros(1, bool), np.array([0]))
    assert memory["base"][0, 0] == 0.0


def test_what_wanders_by_less_than_its_noise_unlearns_nothing() -> None:
    memory = {"base": np.float32([[4.0]]), "noise": np.float32([[1.0]]), "lately": np.float32([[0.0]])}
    for t in range(500):
        unlearn(memory, np.float32([[-0.9 if t % 100 < 50 else 0.9]]), np.zeros(1, bool), np.array([0]))
    assert memory["base"][0, 0] == 4.0


@pytest.mark.parametrize(("doubted", "rows"), [(True, [0]), (False, [])])
def test_who_is_doubted_and_what_no_job_takes_unlearn_nothing(doubted: bool, rows: list[int]) -> None:
    memory = {"base": np.float32([[4.0]]), "noise": np.float32([[1.0]]), "lately": np.float32([[0.0]])}
    for _ in range(100):
        unlearn(memory, np.float32([[-4.0]]), np.full(1, doubted), np.array(rows, np.intp))
    assert memory["base"][0, 0] == 4.0
