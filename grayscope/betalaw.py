"""Betalaw: the beta law and its quantiles, compiled: in a storm they are asked for a hundred thousand times."""

from __future__ import annotations

import math
from typing import Any

from numba import njit

from grayscope.kept import keep

keep()

#: Terms of the continued fraction, and halvings of a quantile's interval.
TERMS, HALVINGS = 300, 60


def prime_quantile(q: float, a: float, b: float) -> float:
    """Return a quantile of the ratio of two gamma variables of shapes a and b (beta-prime law).

    Examples
    --------
    >>> round(prime_quantile(0.5, 3.0, 3.0), 6), round(prime_quantile(0.9, 1.0, 1.0), 4)
    (1.0, 9.0)
    """
    return float(_quantile(q, a, b))


def beta(a: float, b: float, x: float) -> float:
    """Return the regularised incomplete beta function (continued fraction, Lentz's way).

    Examples
    --------
    >>> round(beta(2, 3, 0.5), 6), round(beta(1, 1, 0.3), 6), beta(5, 5, 1.0)
    (0.6875, 0.3, 1.0)
    """
    return float(_beta(a, b, x))


@njit("float64(float64)", cache=True)
def _apart(x: Any) -> Any:  # pragma: no cover - compiled
    return x if abs(x) > 1e-300 else 1e-300


@njit("float64(float64, float64, float64)", cache=True)
def _front(a: Any, b: Any, x: Any) -> Any:  # pragma: no cover - compiled
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)) / a
    c, d, total = 1.0, 0.0, 1.0
    for i in range(TERMS):
        m = i // 2
        if i == 0:
            term = 1.0
        elif i % 2 == 0:
            term = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        else:
            term = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d = 1.0 / _apart(1.0 + term * d)
        c = _apart(1.0 + term / c)
        total *= c * d
        if abs(c * d - 1.0) < 1e-12:
            break
    return min(max(front * (total - 1.0), 0.0), 1.0)


@njit("float64(float64, float64, float64)", cache=True)
def _beta(a: Any, b: Any, x: Any) -> Any:  # pragma: no cover - compiled
    if not 0 < x < 1:
        return 0.0 if x <= 0 else 1.0
    return 1.0 - _front(b, a, 1.0 - x) if x > (a + 1) / (a + b + 2) else _front(a, b, x)


@njit("float64(float64, float64, float64)", cache=True)
def _quantile(q: Any, a: Any, b: Any) -> Any:  # pragma: no cover - compiled
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if _beta(a, b, middle) < q:
            low = middle
        else:
            high = middle
    return high / max(1.0 - high, 1e-15)
