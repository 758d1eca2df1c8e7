"""Unlearning: what was learned from a bad time comes down when a part shows that it can do better.

No fault makes a part faster than it is. So a part that was usually slower than its peers and is not any more, by more than it
wanders, was not well while its past was learned: a fault that nobody had found taught it. What it does now is what it can do, and
the next time that it slows down it is not measured by the last.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grayscope.medians import SIGMA

#: Ticks of the mean that shows it; how many usual noises better it must be, and how many of the spreads that such means have; and the share of the way
#: that a usual value comes down in a tick.
LATELY, BETTER, SURE, FALL = np.float32(32), np.float32(1), np.float32(3), np.float32(1 / 16)
#: Least of a noise that is divided by.
TINY = np.float32(1e-12)


def _sway(means: NDArray[np.float32], there: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return how far such means [R, S] stray, a robust sigma for each row [R, 1]: noise that lasts carries them far."""
    return np.float32(SIGMA) * np.array([[np.median(np.abs(row[here])) if here.any() else 0] for row, here in zip(means, there, strict=True)], np.float32)


def unlearn(memory: Mapping[str, NDArray[Any]], past: NDArray[np.float32], doubted: NDArray[np.bool_], rows: NDArray[np.intp]) -> None:
    """Bring down the usual distance from peers, `base`, of those that have lately been much better, to that of their peers at the lowest.

    Parameters
    ----------
    memory : mapping of arrays [M, S]
        `base`, `noise` and `lately`, the running mean of `past`; the first and the last are changed.
    past : [M, S]
        Distances from the usual one at this tick, larger is worse, NaN where unknown.
    doubted : [S]
        Subjects that nothing is learned from.
    rows : [R]
        Metrics that are looked at.

    Examples
    --------
    >>> memory = {"base": np.full((1, 5), 4, np.float32), "noise": np.ones((1, 5), np.float32), "lately": np.zeros((1, 5), np.float32)}
    >>> for _ in range(99):
    ...     unlearn(memory, np.float32([[0, 3.5, 9, 4, 4]]) - memory["base"], np.zeros(5, bool), np.array([0]))
    >>> memory["base"].round().tolist()
    [[2.0, 4.0, 4.0, 4.0, 4.0]]
    """
    if not len(rows):
        return
    now, lately, base = past[rows], memory["lately"][rows], memory["base"][rows]
    there = np.isfinite(now) & ~doubted
    lately = np.where(there, lately + (now - lately) / LATELY, lately)
    noise = memory["noise"][rows]
    falls = there & (base > 0) & (lately < -np.maximum(BETTER, SURE * _sway(lately / np.maximum(noise, TINY), there)) * noise)
    lower = np.where(falls, np.maximum(base + FALL * lately, np.float32(0)), base)
    memory["base"][rows], memory["lately"][rows] = lower, lately + (base - lower)
