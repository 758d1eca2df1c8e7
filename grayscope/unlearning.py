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

#: Ticks of the mean that shows it, how many usual noises better it must be, and the share of the way that a usual value comes down in a tick.
LATELY, BETTER, FALL = np.float32(32), np.float32(1), np.float32(1 / 16)


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
    >>> memory = {"base": np.float32([[4, 4, 4]]), "noise": np.ones((1, 3), np.float32), "lately": np.zeros((1, 3), np.float32)}
    >>> for _ in range(99):
    ...     unlearn(memory, np.float32([[0.5, 3.5, 9]]) - memory["base"], np.zeros(3, bool), np.array([0]))
    >>> memory["base"].round().tolist()
    [[2.0, 4.0, 4.0]]
    """
    if not len(rows):
        return
    now, lately, base = past[rows], memory["lately"][rows], memory["base"][rows]
    there = np.isfinite(now) & ~doubted
    lately = np.where(there, lately + (now - lately) / LATELY, lately)
    falls = there & (base > 0) & (lately < -BETTER * memory["noise"][rows])
    lower = np.where(falls, np.maximum(base + FALL * lately, np.float32(0)), base)
    memory["base"][rows], memory["lately"][rows] = lower, lately + (base - lower)
