"""Medians: exact order statistics of float32 and a logarithm, compiled once with fixed signatures.

No fastmath and no reordering of sums, so the same rows give the same bits on every machine. All scalars that touch
float32 data are float32 themselves: a silent widening would compare rounded numbers with unrounded ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from grayscope.kept import keep

keep()

F = np.float32
#: Robust sigma from the median absolute deviation of normal data.
SIGMA = F(1.4826)
#: Members that a peer group has at least: three are no crowd.
CROWD = 4
#: Usual spreads between the middle two of a group from which on it is two halves, not one crowd.
APART = F(6.0)


@njit("float32(int32)", cache=True)
def logarithm(bits: Any) -> Any:  # pragma: no cover - compiled
    """Natural logarithm of a positive float32 given as its bits; own series, so that no libm decides the last bit."""
    exponent = (bits >> np.int32(23)) - np.int32(127)
    m = F(1.0) + F(bits & np.int32(0x7FFFFF)) * F(1.1920929e-07)
    if m > F(1.4142135):
        m = m * F(0.5)
        exponent = exponent + np.int32(1)
    s = (m - F(1.0)) / (m + F(1.0))
    q = s * s
    series = F(1.0) + q * (F(0.33333334) + q * (F(0.2) + q * (F(0.14285715) + q * F(0.11111111))))
    return F(exponent) * F(0.6931472) + F(2.0) * s * series


@njit(["float32(float32[::1], int64, int64)", "float64(float64[::1], int64, int64)"], cache=True)
def select(x: Any, n: Any, k: Any) -> Any:  # pragma: no cover - compiled
    """Return the k-th smallest of x[:n] (from 0); afterwards everything right of k is at least as large."""
    left, right = 0, n - 1
    while left < right:
        middle = (left + right) >> 1
        a, b, c = x[left], x[middle], x[right]
        pivot = max(min(a, b), min(max(a, b), c))
        i, j = left, right
        while i <= j:
            while x[i] < pivot:
                i += 1
            while x[j] > pivot:
                j -= 1
            if i <= j:
                x[i], x[j] = x[j], x[i]
                i += 1
                j -= 1
        if k <= j:
            right = j
        elif k >= i:
            left = i
        else:
            break
    return x[k]


@njit("UniTuple(float32, 2)(float32[::1], int64, float32, float32, float32[::1])", cache=True)
def middles(x: Any, n: Any, guess: Any, width: Any, scratch: Any) -> Any:  # pragma: no cover - compiled
    """Return the two middle values of x[:n], twice the same where n is odd; a good guess (last tick's) makes it cheap, a bad one only slower.

    One branch-free pass keeps what lies within ``guess +- width``; the order statistic is searched among those.
    `scratch` holds at least n + 1 values.
    """
    low, high = (n - 1) // 2, n // 2
    skipped, kept = 0, 0
    if n > 24 and width > F(0.0):
        bottom, top = guess - width, guess + width
        for i in range(n):
            v = x[i]
            skipped += v < bottom
            scratch[kept] = v
            kept += (v >= bottom) & (v <= top)
    if not (skipped <= low and high < skipped + kept):
        skipped, kept = 0, n
        for i in range(n):
            scratch[i] = x[i]
    a = select(scratch, kept, low - skipped)
    if high == low:
        return a, a
    b = scratch[high - skipped]
    for i in range(high - skipped + 1, kept):
        b = min(b, scratch[i])
    return a, b


@njit("float32(float32[::1], int64, float32, float32, float32[::1])", cache=True)
def median_near(x: Any, n: Any, guess: Any, width: Any, scratch: Any) -> Any:  # pragma: no cover - compiled
    """Return the exact midpoint median of x[:n]; `guess`, `width` and `scratch` as of `middles`."""
    a, b = middles(x, n, guess, width, scratch)
    return a if a == b else (a + b) * F(0.5)


@njit("float32(int64)", cache=True)
def nearby(n: Any) -> Any:  # pragma: no cover - compiled
    """Return how far the median of `n` values may be expected to stray from tick to tick, as a share of their spread; a first guess."""
    return min(F(0.5), F(6.0) / np.sqrt(F(n)))


@njit(
    "UniTuple(float32, 2)(float32[::1], int64, float32, float32, float32, float32[::1], int32[::1], float32[::1], float32[::1])",
    cache=True,
    error_model="numpy",
)
def middle(x: Any, n: Any, centre: Any, spread: Any, direction: Any, usual: Any, who: Any, d: Any, scratch: Any) -> Any:  # pragma: no cover - compiled
    """Return the middle of x[:n] and the median distance from it.

    Of a group of which just one half has moved (one of a job's two machines) neither is any use: between both halves everybody is as far from the
    middle as that is wide. Where the gap in the middle is far wider than the group's own usual spread, the better half is the measure. A group that
    was divided when it came together has no such past, and its middle stays between its halves.
    """
    near = nearby(n) * spread
    a, b = middles(x, n, centre, near, scratch)
    mid = a if a == b else (a + b) * F(0.5)
    for i in range(n):
        d[i] = abs(x[i] - mid)
    mad = median_near(d, n, spread, near, scratch)
    if b - a <= mad:
        return mid, mad
    most = F(0.0)
    for i in range(n):
        most = max(most, usual[who[i]] if usual[who[i]] > F(0.0) else F(np.inf))
    if b - a <= APART * most:
        return mid, mad
    mid = a if direction > F(0.0) else b
    for i in range(n):
        d[i] = abs(x[i] - mid)
    return mid, middles(d, n, spread, near, scratch)[0]
