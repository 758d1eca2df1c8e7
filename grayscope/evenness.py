"""Evenness: how regularly steps come, as a clock, by chance or in bursts, learned from one part and from all others of its fleet.

Gaps are taken to be gamma variables of shape k around a mean that differs from part to part: k is 1 by chance, above it like
a clock, below it in bursts. As shares of their sum gaps follow a Dirichlet law of k alone, so that parts of any rate tell of
the same k. Each part's k lies about its fleet's, within half an octave, but for a few, which are unlike all others. A new part
begins with what the others show (empirical Bayes), and a fleet of which nothing is known with chance, which is worth a few gaps.
What is believed is a weight for each k of a grid, and depends on the gaps alone: not on the order in which parts or reports came.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
#: Octaves of k that are asked, and k: from bursts as rare as one in sixteen steps to a clock that errs by a quarter.
OCTAVES = np.arange(-4.0, 4.25, 0.5)
SHAPES = np.exp2(OCTAVES)
#: Octaves by which a fleet may differ from chance (about as much as four gaps tell), and a part from its fleet.
FLEET, PART = 1.0, 0.5
#: Share of parts that are as unlike their fleet as fleets are unlike each other.
UNLIKE = 0.03
#: Gain in log likelihood for which a change of rate is believed: two parameters more, and a choice among many moments.
GAIN = 4.0
#: Least share of all gaps that one may have: what comes within a tick of another has no gap.
LEAST = 1e-9
_SHAPES = np.array([math.lgamma(k) for k in SHAPES])


def _bell(distance: Floats, width: float) -> Floats:
    weight: Floats = np.exp(-0.5 * np.square(distance / width))
    return np.asarray(weight / weight.sum(axis=-1, keepdims=True))


#: How likely a fleet is of each k, so that the variance that is to be expected of a new part is that of chance; and a part's k [K, k] in a fleet of each K.
CHANCE = _bell(OCTAVES - math.log(2) / 2 * (FLEET**2 + PART**2), FLEET)
ABOUT = (1 - UNLIKE) * _bell(OCTAVES - OCTAVES[:, None], PART) + UNLIKE * CHANCE
#: What is believed of a part of which nothing is known.
NOTHING = CHANCE @ ABOUT


def told(gaps: Sequence[float]) -> Floats:
    """Return what gaps of one part tell: the log likelihood of each k.

    Examples
    --------
    >>> float(SHAPES[told([1.0, 1.1, 0.9, 1.0]).argmax()]), float(SHAPES[told([1, 1, 0.01, 9, 0.01]).argmax()]), float(told([5.0]).max())
    (16.0, 0.25, 0.0)
    """
    n, total = len(gaps), sum(gaps)
    if n < 2 or total <= 0:
        return np.zeros(len(SHAPES))
    shares = sum(math.log(max(g / total, LEAST)) for g in gaps)
    whole = np.array([math.lgamma(n * k) for k in SHAPES])
    return np.asarray(whole - n * _SHAPES + (SHAPES - 1.0) * shares)


def message(own: Floats) -> Floats:
    """Return what one part's gaps tell of its fleet: the log likelihood of each K."""
    return np.asarray(np.log(ABOUT @ np.exp(own - own.max())))


def spell(steps: Sequence[float]) -> Floats:
    """Return what one part's present spell tells of its fleet, seen by one who knows nothing of it: no part's word leans on another's."""
    first = change(steps, steps[-1])
    return message(told([b - a for a, b in pairwise(steps[first:])]))


def learned(messages: Iterable[Floats]) -> Floats:
    """Return what is believed of a part's k before it showed anything, given what others of its fleet tell.

    Examples
    --------
    >>> clocks = [message(told([1.0, 1.1, 0.9, 1.0]))] * 9
    >>> round(spread(learned([])), 1), spread(learned(clocks)) < 0.3, bool(np.allclose(learned([]), NOTHING))
    (1.0, True, True)
    """
    log = np.log(CHANCE) + sum(messages)
    weight = np.exp(log - log.max())
    return np.asarray(weight / weight.sum() @ ABOUT)


def believed(gaps: Sequence[float], before: Floats) -> Floats:
    """Return what is believed of a part's k after its gaps."""
    own = told(gaps)
    weight = before * np.exp(own - own.max())
    return np.asarray(weight / weight.sum())


def spread(belief: Floats) -> float:
    """Return the variance of a gap over its mean squared, as is to be expected: 1 by chance.

    Examples
    --------
    >>> spread(np.eye(len(SHAPES))[8]), round(spread(NOTHING), 1)
    (1.0, 1.0)
    """
    return float(belief @ (1.0 / SHAPES))


def change(steps: Sequence[float], hours: float, belief: Floats = NOTHING) -> int:
    """Return the step with which the present spell began, 0 for the first: the likeliest rise of the rate, if likely enough.

    Steps that come in bursts always seem to have begun to come faster: both stories are asked with all k that are believed. That
    steps come like a clock is not believed here: one burst would be a new rate, and a rate that is too high calls for nothing.

    Examples
    --------
    >>> change([10, 90, 200, 201, 202, 203, 204], 204.5), change([10, 20, 31, 39, 50], 55)
    (2, 0)
    """
    at, n = np.asarray(steps, np.float64), len(steps)
    if n < 3:
        return 0
    gaps = np.maximum(np.diff(at), LEAST * max(hours - at[0], LEAST))
    doubt = np.where(SHAPES < 1, belief, np.where(SHAPES == 1, belief[SHAPES >= 1].sum(), 0.0))
    logs = np.concatenate([[0.0], np.cumsum(np.log(gaps))])
    j = np.arange(1, n - 1)
    early, late = at[j] - at[0], hours - at[j]
    whole = _mean(_fit(np.array([n - 1.0]), np.array([hours - at[0]]), logs[-1:]), doubt)
    gain = _mean(_fit(j, early, logs[j]) + _fit(n - 1 - j, late, logs[-1] - logs[j]), doubt) - whole
    gain = np.where((n - 1 - j) * early > j * late, gain, -np.inf)
    return int(j[gain.argmax()]) if gain.max() > GAIN else 0


def _fit(n: NDArray[Any], hours: Floats, logs: Floats) -> Floats:
    """Return the largest log likelihood [m, k] of n gaps in so many hours, whose logarithms add up to `logs`, at any rate."""
    n, hours, logs = n[:, None], np.maximum(hours, LEAST)[:, None], logs[:, None]
    shape = n * SHAPES
    return np.asarray(shape * np.log(shape / hours) - shape - n * _SHAPES + (SHAPES - 1.0) * logs)


def _mean(log: Floats, belief: Floats) -> Floats:
    """Return the log of the mean likelihood [m] over what is believed of k."""
    most = log.max(axis=1)
    return np.asarray(most + np.log(np.exp(log - most[:, None]) @ belief))
