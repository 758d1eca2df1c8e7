"""Unlearning: what was learned from a bad time is not the measure of the next one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

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


#: One part among eight that keep what is usual for them.
NOBODY = np.zeros(8, bool)


def down(base: float, past: Callable[[int], float], doubted: NDArray[np.bool_] = NOBODY, rows: tuple[int, ...] = (0,), others: float = 0.0) -> float:
    """Return what is left of the usual distance of one part that `past` tells, after 500 ticks beside seven that are `others` of their noises away."""
    memory = {"base": np.full((1, 8), base, np.float32), "noise": np.ones((1, 8), np.float32), "lately": np.zeros((1, 8), np.float32)}
    for t in range(500):
        now = np.full((1, 8), others, np.float32)
        now[0, 0] = past(t) + base - memory["base"][0, 0]
        unlearn(memory, now, doubted, np.array(rows, np.intp))
    return float(memory["base"][0, 0])


def test_nobody_s_usual_time_comes_down_below_that_of_its_peers() -> None:
    assert (down(2.0, lambda t: -3.5), down(0.0, lambda t: -3.5)) == (0.0, 0.0)


def test_what_wanders_as_most_do_or_by_less_than_its_noise_unlearns_nothing() -> None:
    assert down(4.0, lambda t: -0.9 if t % 100 < 50 else 0.9) == 4.0
    assert down(4.0, lambda t: -2.0, others=0.7) == 4.0  # such means are as far as seven tenths of a noise with most of them
    assert down(4.0, lambda t: -2.0) < 3.1


def test_who_is_doubted_and_what_no_job_takes_unlearn_nothing() -> None:
    assert (down(4.0, lambda t: -4.0, doubted=~NOBODY), down(4.0, lambda t: -4.0, rows=())) == (4.0, 4.0)
