"""The law of a tail, from how many excursions went beyond some marks and how far."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
#: Robust sigmas beyond which excursions are counted.
MARKS = np.array([2.0, 2.5, 3.0, 3.5], np.float32)
#: Excursions beyond a mark that make it trustworthy, and pseudo-excursions that stand for what was known before.
ENOUGH, PRIOR = 40.0, 15.0
#: Fastest fall of a tail (nats per sigma) that is believed, however light it looks.
STEEPEST = 4.0
#: Sigmas beyond a mark from which on excursions are counted together: how many went so far is known too, and makes it a mark.
CAPPED = 2.0
#: Excursions beyond such a far mark that are many, and standard errors by which they must be more than the law before allows.
MANY, SURE = 10.0, 2.0
#: Slowest fall of a tail that is believed, in nats per sigma, and fastest growth of the mean excess with the mark (the shape of a
#: generalised Pareto law; from a half on not even its variance would be known).
FLATTEST, WILDEST = 0.1, 0.5


@dataclass(frozen=True, slots=True)
class Law:
    """-ln P(more than z) = `log` + ln(1 + `shape` x) / `shape` from `mark` on, with x = `rate` (z - `mark`); `log` + x where the shape is 0."""

    mark: float
    log: float
    rate: float
    shape: float = 0.0

    def surprise(self, z: float) -> float:
        """Return -ln of the probability of more than z robust sigmas.

        Examples
        --------
        >>> huber(2.0).surprise(5.0)
        8.0
        >>> round(Law(2.0, 2.0, 2.0, 0.25).surprise(5.0), 2)
        5.67
        """
        x = self.rate * (z - self.mark)
        return self.log + (math.log1p(self.shape * x) / self.shape if self.shape and x > 0 else x)

    def needed(self, surprise: float) -> float:
        """Return the z of a surprise, at least the mark.

        Examples
        --------
        >>> round(Law(2.0, 2.0, 2.0, 0.25).needed(Law(2.0, 2.0, 2.0, 0.25).surprise(5.0)), 6)
        5.0
        """
        more = max(surprise - self.log, 0.0)
        return self.mark + (math.expm1(self.shape * more) / self.shape if self.shape else more) / self.rate


def huber(knee: float) -> Law:
    """Return the law whose tail leaves the normal curve at a knee: z**2 / 2 up to there and its tangent beyond."""
    return Law(knee, knee * knee / 2, knee)


def law(row: Floats, knee: float) -> Law:
    """Return the law of one metric at one horizon from its counts, the prior one while they are few.

    Examples
    --------
    >>> law(np.zeros(13), 2.0) == huber(2.0)
    True
    >>> normal = np.array([1e5, 2275, 848, 2272, 621, 200, 621, 135, 38, 135, 23, 6.2, 23])
    >>> 3.0 < law(normal, 2.0).rate < 3.6
    True
    """
    looks, beyond, excess, short = row[0], row[1::3], row[2::3], row[3::3]
    noisy = _noisier(row, huber(knee))
    if noisy is not None:
        return noisy
    full = np.flatnonzero(beyond >= ENOUGH)
    if not len(full):
        return huber(knee)
    k = int(full[-1])
    rate = (float(short[k]) + PRIOR) / (float(excess[k]) + PRIOR / knee)
    rate *= 1.0 - 1.0 / math.sqrt(float(short[k]) + PRIOR)  # one standard error to the safe side
    share = (float(beyond[k]) + math.sqrt(float(beyond[k]))) / float(looks)
    if rate <= knee:  # more troubles than noise, most likely: Huber's law is meant for that
        return huber(knee)
    return Law(float(MARKS[k]), -math.log(min(share, 1.0)), min(rate, STEEPEST))


def _noisier(row: Floats, allowed: Law) -> Law | None:
    """Return the law of noise that goes far more often than is `allowed`, None where it does not.

    The tail begins at the farthest mark where that is beyond doubt. Its fall is what it was over the last two sigmas before.
    """
    beyond, far = row[1::3], row[1::3] - row[3::3]
    for k in reversed(range(len(MARKS))):
        mark, n = float(MARKS[k]) + CAPPED, float(far[k])
        if n >= MANY and n - SURE * math.sqrt(n) > float(row[0]) * math.exp(-allowed.surprise(mark)):
            rate = math.log(float(beyond[k]) / n) / CAPPED
            return Law(mark, -math.log(min(n / float(row[0]), 1.0)), min(max(rate, FLATTEST), allowed.rate), _shape(row))
    return None


def _shape(row: Floats) -> float:
    """Return the shape of a tail from how much its mean excess grows from the first mark to the last; 0 where it shrinks.

    The mean excess of a generalised Pareto law is a straight line with the slope shape / (1 - shape).
    """
    excess, short = row[2::3], row[3::3]
    if not short.all():
        return 0.0
    slope = float(excess[-1] / short[-1] - excess[0] / short[0]) / float(MARKS[-1] - MARKS[0])
    return min(max(slope, 0.0) / (1.0 + max(slope, 0.0)), WILDEST)
