"""Drifts: when a margin that shrinks will be gone: a line through its recent past, with an interval of its slope.

A margin stood still before it began to shrink, and when it began is not known: a line laid through what lay before is too
flat, one from the likeliest moment on too sure of itself. So every moment is asked for its own line, level before and
straight after, and the slopes are weighed by how well each explains the whole past (Bayesian averaging over a change
point, Barry and Hartigan 1993): a bend of yesterday makes a narrow interval, one of an hour ago a wide one, and not one that
lies elsewhere. What remembers itself counts as if there were fewer points.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Three = tuple[float, float, float]
#: Ends of an 80 % interval, and the middle.
QUANTILES = (0.1, 0.5, 0.9)
#: Points that a line needs, and those that a piece after a bend needs.
LEAST, PIECE = 6, 3
#: Moments asked between two points.
WITHIN = 3
#: Normal deviates of equal weight that stand for the slopes of one bend.
DEVIATES = np.array([NormalDist().inv_cdf((i + 0.5) / 20) for i in range(20)])
#: Most that a point may stand out of those beside it, in robust spreads: more is no margin that was lost but a moment's trouble.
FAR, SIGMA = 5.0, 1.4826


class Line(NamedTuple):
    """Margin now and its slope per hour, with an 80 % interval of the slope; `since` is the index of the likeliest bend, `lost` what went since.

    `ends` are the hours until nothing is left: earliest, likeliest, latest; infinite where it need not shrink.
    """

    now: float
    slope: float
    low: float
    high: float
    since: int
    ends: Three
    lost: float


def fit(hours: Floats, margin: Floats, covariate: Floats | None = None, resolution: float = 0.0) -> Line | None:
    """Lay lines through the latest piece of a margin's past; None where there are too few points.

    Parameters
    ----------
    hours, margin : ndarray of float64, shape [n]
        Ascending times; NaN is left out.
    covariate : ndarray of float64, shape [n], optional
        What else moves the margin (a temperature); its effect from point to point is removed.
    resolution : float
        Step in which the margin is told; what it lost is known no better.

    Examples
    --------
    >>> x = np.arange(30.0)
    >>> line = fit(x, np.where(x < 10, 5.0, 5.0 - 0.1 * (x - 10)))
    >>> round(line.now, 2), round(line.slope, 2), line.since, round(line.ends[1], 1), round(line.lost, 1)
    (3.1, -0.1, 10, 31.0, 1.9)
    """
    good = np.isfinite(margin)
    if covariate is not None:
        margin = margin - _effect(margin, covariate)
    x, y = hours[good], _held(margin[good])
    if len(x) < LEAST:
        return None
    bends = Bends.laid(x, y, resolution)
    (low, slope, high), ends = bends.quantiles()
    return Line(bends.now, slope, low, high, int(np.flatnonzero(good)[bends.since]), ends, bends.lost)


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


def _held(y: Floats) -> Floats:
    """Hold points that stand out of both neighbours within a few spreads of what such distances usually are."""
    middle = y.copy()
    if len(y) > 2:
        middle[1:-1] = np.median(np.stack([y[:-2], y[1:-1], y[2:]]), axis=0)
    step = np.abs(np.diff(y))
    room = FAR * SIGMA * float(np.median(step)) if len(step) else 0.0
    held: Floats = np.clip(y, middle - room, middle + room)
    return held


class Bends(NamedTuple):
    """One line for every moment at which the margin may have begun to shrink: how likely, how steep and how surely, shape [k].

    Its mean over the past is `level`, from which the last point lies so many hours of its slope away: `beyond` [k].
    """

    chance: Floats
    slope: Floats
    error: Floats
    level: float
    beyond: Floats
    now: float
    since: int
    lost: float

    @staticmethod
    def laid(x: Floats, y: Floats, resolution: float) -> Bends:
        """Lay a level up to each moment and a slope from there; the last pieces are too short to be told from noise."""
        n = len(x)
        first = np.repeat(np.arange(n - PIECE), WITHIN)
        starts = x[first] + np.tile(np.arange(WITHIN) / WITHIN, n - PIECE) * (x[first + 1] - x[first])
        ramp = np.maximum(x - starts[:, None], 0.0)  # [k, n]
        about = ramp - ramp.mean(axis=1, keepdims=True)
        power, level, lasted = np.square(about).sum(axis=1), y - y.mean(), ramp[:, -1]
        slope = (about * level).sum(axis=1) / power
        rest = level - slope[:, None] * about
        squares = np.maximum(np.square(rest).sum(axis=1), 1e-18)
        best = int(np.argmin(squares))
        memory = max(_memory(rest[best]), _memory(rest[best, first[best] :]))
        # What fails is less steady than it was: how far points lie from the line is asked after the bend, and of few points not surely.
        after = n - 1.0 - first
        spread = np.maximum(np.square(rest * (ramp > 0)).sum(axis=1) / (after - 1), squares / (n - 3))
        # That much was lost so far is as likely for all bends beforehand; hence the ramps' sizes as shares of their last.
        log = -0.5 * (squares - squares[best]) / (memory * spread[best]) - 0.5 * np.log(power / np.square(lasted))
        chance = np.exp(log - log.max())
        free = np.maximum(after / memory - 1.0, 1.0)
        error = np.sqrt(memory * spread / power) * (1.0 + 0.66 / free + 0.45 / free**2)  # as wide as Student's law (Cornish and Fisher)
        error = np.hypot(error, resolution / math.sqrt(6.0) / lasted)  # of both ends, each anywhere within a step
        return Bends(
            chance / chance.sum(),
            slope,
            error,
            float(y.mean()),
            about[:, -1],
            float(y[-1] - rest[best, -1]),
            int(first[best]),
            float(-slope[best] * lasted[best]),
        )

    def quantiles(self) -> tuple[Three, Three]:
        """Return the quantiles over all bends of the slope, and of the hours until nothing is left: whoever falls faster is lower already."""
        slopes = self.slope[:, None] + self.error[:, None] * DEVIATES
        now = np.maximum(self.level + slopes * self.beyond[:, None], 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            hours = np.where(slopes < 0, now / -slopes, np.inf)
        weight = np.repeat(self.chance / len(DEVIATES), len(DEVIATES))
        return _quantiles(slopes.ravel(), weight), _quantiles(hours.ravel(), weight)


def _quantiles(values: Floats, weight: Floats) -> Three:
    order = np.argsort(values, kind="stable")
    at = np.minimum(np.searchsorted(np.cumsum(weight[order]), QUANTILES), len(order) - 1)
    low, middle, high = values[order[at]].tolist()
    return low, middle, high


def _memory(rest: Floats) -> float:
    """Return how many times wider the variance is because neighbours are alike."""
    r = rest - rest.mean()
    power = float(r @ r)
    seen = float(r[1:] @ r[:-1]) / power if power > 0 else 0.0
    rho = min(max(seen + (1 + 4 * seen) / len(r), 0.0), 0.9)  # what a short series shows is too little (Kendall 1954)
    return (1 + rho) / (1 - rho)
