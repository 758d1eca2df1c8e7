"""Counts of rare things: exact Poisson intervals of a rate, and what they say about a promise."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

#: Probability on each side that the interval leaves out.
TAIL = 0.025
#: Words for what an interval says of a configured rate.
KEPT, NOT_SHOWN, BROKEN = "kept", "not shown", "broken"


def below(count: int, mean: float) -> float:
    """Return P(X <= count) of a Poisson variable.

    Examples
    --------
    >>> round(below(0, 1.0), 4), round(below(3, 2.0), 4)
    (0.3679, 0.8571)
    """
    if mean <= 0:
        return 1.0
    logs = np.arange(count + 1) * math.log(mean) - mean - _factorials(count)
    top = float(logs.max())
    return min(math.exp(top) * float(np.exp(logs - top).sum()), 1.0)


@lru_cache(maxsize=4)
def _factorials(count: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return the logarithms of the factorials up to a count's."""
    return np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, count + 1)))])


@lru_cache(maxsize=1024)
def interval(count: int) -> tuple[float, float]:
    """Return the exact (Garwood) 95 % interval of the mean of a Poisson count.

    Examples
    --------
    >>> [round(x, 3) for x in (*interval(0), *interval(10))]
    [0.0, 3.689, 4.795, 18.39]
    """
    high = 2 * count + 20.0
    low = _root(lambda mean: 1 - below(count - 1, mean) - TAIL, high) if count else 0.0
    return low, _root(lambda mean: TAIL - below(count, mean), high)


def _root(rising: Callable[[float], float], high: float) -> float:
    low = 0.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if rising(middle) > 0 else (middle, high)
    return (low + high) / 2


def rates(count: int, weeks: float) -> tuple[float, float, float]:
    """Return events per 1,000 weeks and the ends of their 95 % interval."""
    low, high = interval(count)
    return 1000 * count / weeks, 1000 * low / weeks, 1000 * high / weeks


def verdict(count: int, weeks: float, configured: float) -> str:
    """Say whether a configured rate per 1,000 weeks is kept: the interval below it, around it or above it.

    Examples
    --------
    >>> verdict(0, 400.0, 10.0), verdict(0, 300.0, 10.0), verdict(30, 1000.0, 10.0)
    ('kept', 'not shown', 'broken')
    """
    _, low, high = rates(count, weeks)
    return KEPT if high <= configured else BROKEN if low > configured else NOT_SHOWN


def needed(count: int, configured: float) -> float:
    """Return the weeks after which the rate would be shown as kept, if nothing more were counted.

    Examples
    --------
    >>> round(needed(0, 10.0))
    369
    """
    return 1000 * interval(count)[1] / configured


def spread(delays: Sequence[int], faults: int) -> tuple[float | None, float | None]:
    """Return the median and the 90th percentile of a delay; None where so many were not found at all.

    Examples
    --------
    >>> spread([3, 5, 9], 3), spread([4, 6, 8], 5)
    ((5.0, 9.0), (8.0, None))
    """
    waited = [*sorted(map(float, delays)), *[math.inf] * (faults - len(delays))]
    if not waited:
        return None, None
    found = (waited[math.ceil(share * len(waited)) - 1] for share in (0.5, 0.9))
    median, ninth = (x if math.isfinite(x) else None for x in found)
    return median, ninth
