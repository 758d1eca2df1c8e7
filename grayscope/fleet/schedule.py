"""Schedule: which jobs run where and when: blocks of nodes, on each one job after the other, some nodes without work."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from grayscope.fleet.noise import stream
from grayscope.fleet.seats import ALWAYS, Seat

#: Nodes of a job; many are small (assumed).
SIZES = (2, 2, 4, 4, 8, 16, 32, 64)
#: Median hours and sigma of a job's life, and the longest pause between two in seconds: assumed.
LIFE, PAUSE = (10.0, 1.0), 900.0


def schedule(nodes: int, second: int, busy: float, hours: float, seed: int) -> tuple[Seat, ...]:
    """Return the seats of all jobs; no job has GPUs of both kinds.

    Parameters
    ----------
    nodes, second : int
        All nodes, and how many of the last ones are of the second kind.
    busy : float
        Share of nodes with work.
    hours : float

    Examples
    --------
    >>> seats = schedule(16, 0, 0.9, 2.0, 1)
    >>> len({s.node for s in seats}), min(s.since for s in seats)
    (14, -inf)
    """
    rng = stream(seed, "schedule")
    out: list[Seat] = []
    number = 0
    for first, last in ((0, nodes - second), (nodes - second, nodes)):
        for block in _blocks(first, first + round((last - first) * busy), rng):
            for since, until in _lives(hours * 3600.0, rng):
                number += 1
                stages = int(rng.choice([1, 2])) if len(block) >= 2 else 1
                out += [Seat(f"job:{number}", k, node, since, until, k * stages // len(block)) for k, node in enumerate(block)]
    return tuple(out)


def _blocks(first: int, last: int, rng: np.random.Generator) -> Iterator[range]:
    """Yield ranges of nodes; the first takes about half of them."""
    size = max((last - first) // 2, 1)
    while first < last:
        size = min(size, last - first)
        yield range(first, first + size)
        first, size = first + size, int(rng.choice(SIZES))


def _lives(seconds: float, rng: np.random.Generator) -> Iterator[tuple[float, float]]:
    """Yield (since, until) of one job after the other; the first was there before and the last goes on."""
    since = -ALWAYS
    while True:
        life = 3600.0 * LIFE[0] * float(np.exp(LIFE[1] * rng.standard_normal()))
        until = max(since, 0.0) + max(life, 1800.0)
        if until > seconds - 1800.0:
            yield since, ALWAYS
            return
        yield since, round(until)
        since = round(until + rng.uniform(120.0, PAUSE))
