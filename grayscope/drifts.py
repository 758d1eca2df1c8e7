"""Drifts: when a margin that shrinks will be gone: a robust line through its recent past, with an interval of its slope.

The line is Theil and Sen's: the median of all pairwise slopes, and as interval the slopes at those ranks that Kendall's
statistic gives (Sen 1968). A margin stood still before it began to shrink, so the line is laid only through what follows
the likeliest bend; and a residual that remembers itself makes the interval wider, as if there were fewer points.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
#: Normal quantile of an 80 % interval.
WIDE = 1.2816
#: Points that a line needs, and those that a piece after a bend needs: noise with a memory bends over short times.
LEAST, PIECE = 6, 12
#: Gain in twice the log likelihood, per log of the number of points, for which a bend is believed.
BEND = 4.0


class Line(NamedTuple):
    """Margin now and its slope per hour, with an 80 % interval of the slope; `since` is the index of the bend."""

    now: float
    slope: float
    low: float
    high: float
    since: int


def fit(hours: Floats, margin: Floats, covariate: Floats | None = None) -> Line | None:
    """Lay a line through the latest piece of a margin's past; None where there are too few points.

    Parameters
    ----------
    hours, margin : ndarray of float64, shape [n]
        Ascending times; NaN is left out.
    covariate : ndarray of float64, shape [n], optional
        What else moves the margin (a temperature); its effect from point to point is removed.

    Examples
    --------
    >>> x = np.arange(30.0)
    >>> line = fit(x, np.where(x < 10, 5.0, 5.0 - 0.1 * (x - 10)))
    >>> round(line.now, 2), round(line.slope, 2), line.since
    (3.1, -0.1, 11)
    """
    good = np.isfinite(margin)
    if covariate is not None:
        margin = margin - _effect(margin, covariate)
    x, y = hours[good], margin[good]
    if len(x) < LEAST:
        return None
    start = bend(x, y)
    start += 0 < start < len(x) - LEAST  # the bend lies before the point it was found at, or after
    slope, low, high = theil_sen(x[start:], y[start:])
    now = float(np.median(y[start:] - slope * x[start:]) + slope * x[-1])
    return Line(now, slope, low, high, int(np.flatnonzero(good)[start]))


def _effect(margin: Floats, covariate: Floats) -> Floats:
    """Return what the covariate explains: learned from changes between neighbours, which a common drift hardly touches."""
    dy, dx = np.diff(margin), np.diff(covariate)
    both = np.isfinite(dy) & np.isfinite(dx)
    power = float(np.square(dx[both]).sum())
    if both.sum() < LEAST or power <= 0:
        return np.zeros_like(margin)
    shift = covariate - np.nanmedian(covariate)
    effect: Floats = float((dx[both] * dy[both]).sum()) / power * np.where(np.isfinite(shift), shift, 0.0)
    return effect


def bend(x: Floats, y: Floats) -> int:
    """Return where the last straight piece begins: level before, a slope after; 0 where one line does as well."""
    rests = [_rest(x, y, k) for k in range(max(len(x) - PIECE, 0) + 1)]
    squares = [float(r @ r) for r in rests]
    best = int(np.argmin(squares))
    gain = len(x) * math.log(max(squares[0], 1e-18) / max(squares[best], 1e-18)) if best else 0.0
    return best if gain > BEND * math.log(len(x)) else 0


def _rest(x: Floats, y: Floats, k: int) -> Floats:
    """Return what a level up to point k and a slope from there leave."""
    ramp = np.maximum(x - x[k], 0.0)
    ramp, level = ramp - ramp.mean(), y - y.mean()
    rest: Floats = level - float(ramp @ level) / float(ramp @ ramp) * ramp
    return rest


def theil_sen(x: Floats, y: Floats) -> tuple[float, float, float]:
    """Return the median of all pairwise slopes, and an 80 % interval by their ranks.

    Examples
    --------
    >>> theil_sen(np.arange(5.0), 2 * np.arange(5.0))
    (2.0, 2.0, 2.0)
    """
    n = len(x)
    i, j = np.triu_indices(n, 1)
    slopes = np.sort((y[j] - y[i]) / (x[j] - x[i]))
    slope = float(np.median(slopes))
    half = WIDE * math.sqrt(n * (n - 1) * (2 * n + 5) / 18.0 * _memory(y - slope * x)) / 2
    middle = (len(slopes) - 1) / 2
    low, high = max(math.floor(middle - half), 0), min(math.ceil(middle + half), len(slopes) - 1)
    return slope, float(slopes[low]), float(slopes[high])


def _memory(rest: Floats) -> float:
    """Return how many times wider the variance is because neighbours are alike."""
    r = rest - rest.mean()
    power = float(r @ r)
    seen = float(r[1:] @ r[:-1]) / power if power > 0 else 0.0
    rho = min(max(seen + (1 + 4 * seen) / len(r), 0.0), 0.9)  # what a short series shows is too little (Kendall 1954)
    return (1 + rho) / (1 - rho)


def ends(line: Line, left: float) -> tuple[float, float, float]:
    """Return in how many hours `left` will be gone: earliest, likeliest, latest; infinite where it need not shrink.

    Examples
    --------
    >>> ends(Line(4.0, -2.0, -4.0, 0.5, 0), 4.0)
    (1.0, 2.0, inf)
    """
    low, at, high = (left / -s if s < 0 else math.inf for s in (line.low, line.slope, line.high))
    return low, at, high
