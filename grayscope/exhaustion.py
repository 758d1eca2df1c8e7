"""Exhaustion: when a stock that goes step by step will be used up, and how sure that is.

Steps come at an unknown rate. After n steps in h hours that rate is a gamma variable of shape a + n and rate b + h, where
(a, b) is what the cohort's parts show; the time that R more steps take is then (b + h) times a beta-prime variable of
shapes R and a + n, which carries both what we do not know and what chance will do.

A part that begins to fail leaves its cohort and its own past: if the cohort does not explain its steps, its prior counts
no more, and of its own past only the spell since the step after which the rate is likeliest to have changed. How much chance
will do then depends on how regularly steps come, which `evenness` learns from it and from all others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from grayscope.betalaw import beta, prime_quantile
from grayscope.evenness import NOTHING, Floats, believed, change, spread

#: Lower end, middle and upper end of the interval.
QUANTILES = (0.1, 0.5, 0.9)
#: The cohort does not explain what it shows by chance less often than this; a single step is not foreseen from below the second.
RARE, SELDOM = 1e-3, 0.2
#: Steps that all came lately are no steps at one rate if chance would crowd them so less often than this.
CROWDED = 0.05


class Cohort(NamedTuple):
    """What like parts show: mean steps per hour and its squared coefficient of variation."""

    rate: float
    difference: float

    @property
    def shape(self) -> float:
        """Return the shape of the gamma law of healthy rates."""
        return 1.0 / min(max(self.difference, 0.02), 10.0)


class Forecast(NamedTuple):
    """Steps per hour, and hours until the stock is used up: 80 % interval and median; infinite where nothing can be said."""

    rate: float
    low: float
    at: float
    high: float
    refuted: bool = False


def foresee(steps: Sequence[float], hours: float, left: float, cohort: Cohort | None, even: Floats = NOTHING) -> Forecast:
    """Return when `left` more steps will have happened.

    Parameters
    ----------
    steps : sequence of float
        Hours of observation at which the steps came, ascending.
    hours : float
        Hours observed in all.
    left : float
        Steps that remain.
    cohort : Cohort or None
        None where there are too few like parts.
    even : ndarray of float64
        What is believed of how regularly steps come, before these (`evenness.learned`).

    Examples
    --------
    >>> f = foresee([10, 11, 12, 13], 13.0, 100, Cohort(1e-4, 1.0))
    >>> f.refuted, round(f.rate, 2), f.low < 100 < f.high
    (True, 1.0, True)
    >>> foresee([10.0], 13.0, 100, None).at
    inf
    """
    n = len(steps)
    if left <= 0:
        return Forecast(n / hours if hours > 0 else math.inf, 0.0, 0.0, 0.0)
    chance = 0.0 if cohort is None else excess(n, hours, cohort)
    if n and cohort is not None and chance >= (SELDOM if n == 1 else RARE) and not crowded(steps, hours):
        return _interval(cohort.shape + n, cohort.shape / cohort.rate + hours, left, False)
    first = change(steps, hours, even) if n > 1 else 0
    if n - 1 - first < 1 or hours <= steps[first]:
        return Forecast(math.nan, math.inf, math.inf, math.inf, n > 1)
    regular = 1.0 / spread(believed([b - a for a, b in pairwise(steps[first:])], even))
    # A moment that was chosen because much follows it overstates the rate: it costs half a step.
    return _interval(n - 1 - first - 0.5 * (first > 0), hours - steps[first], left, True, regular)


def _interval(shape: float, hours: float, left: float, refuted: bool, even: float = 1.0) -> Forecast:
    """Return quantiles of hours times a beta-prime variable; steps `even` times as regular as chance count as so many."""
    low, at, high = (hours * prime_quantile(q, left * even, shape * even) for q in QUANTILES)
    return Forecast(shape / hours, low, at, high, refuted)


def crowded(steps: Sequence[float], hours: float) -> bool:
    """Say whether steps came too late in all hours to have come at one rate: a cohort with sick parts would explain nearly anything.

    One of them is what made us look, the others would lie anywhere.

    Examples
    --------
    >>> crowded([90, 95, 99], 100), crowded([20, 50, 99], 100), crowded([99], 100)
    (True, False, False)
    """
    return len(steps) > 1 and hours > 0 and ((hours - steps[0]) / hours) ** (len(steps) - 1) < CROWDED


def excess(n: int, hours: float, cohort: Cohort) -> float:
    """Return the probability that a part of the cohort makes n steps or more in so many hours (negative binomial).

    Examples
    --------
    >>> round(excess(1, 100.0, Cohort(1e-3, 0.02)), 3), excess(3, 1.0, Cohort(1e-3, 1.0)) < 1e-8
    (0.095, True)
    """
    if n <= 0:
        return 1.0
    shape = cohort.shape
    return beta(n, shape, hours / (hours + shape / cohort.rate))
