"""Binomial: the tail of a negative binomial law, in logarithms, far beyond where it is too small for a number."""

from __future__ import annotations

import math
from typing import Any

from numba import njit

from grayscope.kept import keep

keep()

#: Terms of a tail that are added one by one.
TERMS = 200


def log_tail(n: int, mean: float, variance: float) -> float:
    """Return ln P(X >= n) of a negative binomial X; Poisson where the variance is no larger than the mean.

    Examples
    --------
    >>> round(log_tail(1, 0.01, 0.0), 3), round(log_tail(3, 2.0, 2.0), 3), log_tail(9, 2.0, 8.0) > log_tail(9, 2.0, 2.0)
    (-4.61, -1.129, True)
    """
    if n <= mean:
        return 0.0
    size = mean * mean / (variance - mean) if variance > mean * 1.001 else math.inf
    total, term, ratio = _added(n, mean, size)
    rest = term / (1 - ratio) if ratio < 1 else 0.0  # from here on nearly geometric
    return min(_log_pmf(n, mean, size) + math.log(total + rest), 0.0)


def _log_pmf(n: int, mean: float, size: float) -> float:
    if math.isinf(size):
        return n * math.log(mean) - mean - math.lgamma(n + 1)
    part = math.lgamma(n + size) - math.lgamma(size) - math.lgamma(n + 1)
    return part + size * math.log(size / (size + mean)) + n * math.log(mean / (size + mean))


@njit("Tuple((float64, float64, float64))(int64, float64, float64)", cache=True)
def _added(n: Any, mean: Any, size: Any) -> Any:  # pragma: no cover - compiled
    """Return the sum of the terms from n on as long as they matter, the next one and its ratio to the last; the first is 1."""
    total, term, ratio = 0.0, 1.0, 0.0
    for x in range(n, n + TERMS):
        total += term
        ratio = mean / (x + 1) if math.isinf(size) else (x + size) / (x + 1) * mean / (mean + size)
        term *= ratio
        if term < 1e-6 * total:
            break
    return total, term, ratio
