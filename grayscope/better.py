"""The better side: how far healthy parts stray where no fault takes them.

Noise strays to both sides, faults to the worse one only. What is counted on the worse side may be noise or troubles nobody spoke of, so
its law must not give in to a few of them. An excursion to the better side is noise: it counts from its first moment on, while it lasts,
and a law that allows far fewer of them is wrong. Where it is, the tail is taken as a power of the distance, which sums of heavy-tailed terms
keep over all horizons; so the power is learned from all of them together, and each adds how often it has been passed itself. Less steep than an
exponential tail beyond what was seen, it is an honest guess in the first hours, and no guess for fleets that do not contradict the law.

What recovers leaves its own past for the better too, but only to be where its peers are: it counts as little as they do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from grayscope.taillaw import Law

Floats = NDArray[np.float64]
#: Robust sigmas beyond which excursions to the better side are counted, and how much the logarithm grows from one to the next.
LADDER = np.array([3.0, 4.25, 6.0, 8.5, 12.0], np.float32)
RUNG = math.log(2.0) / 2
#: Share of an excursion from the own past that must be seen beside the peers too.
SEEN = np.float32(0.5)
#: Excursions that are enough to know how often a rung is passed; standard errors by which they contradict a law: many metrics and horizons are asked.
FEW, SURE = 5.0, 3.0
#: Smallest power: of a smaller one not even the variance would be known.
WILDEST = 2.0


@dataclass(frozen=True, slots=True)
class Either:
    """Two laws of which the one that is surprised less counts."""

    one: Law
    other: Law

    def surprise(self, z: float) -> float:
        """Return -ln of the probability of more than z robust sigmas.

        Examples
        --------
        >>> Either(Law(2.0, 2.0, 2.0), Law(2.0, 3.0, 1.0)).surprise(5.0)
        6.0
        """
        return min(self.one.surprise(z), self.other.surprise(z))

    def needed(self, surprise: float) -> float:
        """Return the z of a surprise.

        Examples
        --------
        >>> Either(Law(2.0, 2.0, 2.0), Law(2.0, 3.0, 1.0)).needed(6.0)
        5.0
        """
        return max(self.one.needed(surprise), self.other.needed(surprise))


@njit(
    "void(float32[::1], float32[::1], int16[::1], int64, boolean[::1], float32[::1], float32[::1], float32[::1], float64[::1], float32[::1])",
    cache=True,
)
def strayed(
    w: Any, own: Any, seen: Any, least: Any, doubted: Any, past: Any, residual: Any, peak: Any, counts: Any, ladder: Any
) -> None:  # pragma: no cover - compiled
    """Count the excursions of one metric to the better side beyond each rung of the `ladder`, each once; `peak` [S] becomes their farthest point, below 0.

    Distances `w` [S] are in units of `own` [S]; `past` and `residual` [S] are those of this moment, from the own past and from the peers.
    """
    for s in range(len(w)):
        far = -w[s] / own[s]
        if far <= ladder[0] or far <= -peak[s] or seen[s] < least or doubted[s] or not residual[s] < SEEN * past[s]:
            continue
        k = 0
        while k < len(ladder) and far > ladder[k]:
            counts[k] += -peak[s] <= ladder[k]
            k += 1
        peak[s] = -far


def contradicts(counts: Floats, looks: float, worse: Law) -> tuple[float, float]:
    """Return of how many passed rungs how many were passed by one more, (0, 0) where no count is far beyond what the law allows.

    Examples
    --------
    >>> contradicts(np.array([100.0, 35.0, 12.0, 4.0, 1.0]), 1e4, Law(2.0, 2.0, 2.0))
    (17.0, 5.0)
    >>> contradicts(np.array([100.0, 5.0, 0.0, 0.0, 0.0]), 1e4, Law(2.0, 2.0, 2.0))
    (0.0, 0.0)
    """
    n = counts.tolist()
    allowed = [looks * math.exp(-worse.surprise(z)) if z >= worse.mark else math.inf for z in LADDER.tolist()]  # before its mark a law says nothing
    if n[0] < FEW or not any(_least(c) > a for c, a in zip(n, allowed, strict=True)):
        return 0.0, 0.0
    k = _last(n)
    return sum(n[k:]), sum(n[k + 1 :])


def fair(counts: Floats, looks: float, worse: Law, passed: float, further: float) -> Either:
    """Return the law of a metric at a horizon, of which `further` of `passed` rungs were passed by one more; one standard error to the safe side.

    Examples
    --------
    >>> heavy = fair(np.array([100.0, 35.0, 12.0, 4.0, 1.0]), 1e4, Law(2.0, 2.0, 2.0), 170.0, 60.0)
    >>> heavy.surprise(3.0), round(heavy.surprise(12.0), 1)
    (4.0, 8.4)
    """
    n = counts.tolist()
    k = _last(n)
    share = (further + 0.5) / (passed + 1.0)
    share += math.sqrt(share * (1 - share) / passed)
    power = max(-math.log(share) / RUNG, WILDEST) if share < 1 else WILDEST
    mark, count = float(LADDER[k]), max(n[k], FEW)
    often = min((count + math.sqrt(count)) / max(looks, 1.0), 1.0)
    return Either(worse, Law(mark, -math.log(often), power / mark, 1 / power))


def _last(n: list[float]) -> int:
    """Return the farthest rung that was passed often enough, the first one where none was."""
    return max((k for k, c in enumerate(n) if c >= FEW), default=0)


def _least(n: float) -> float:
    """Return how many a count of n may stand for at least (Wilson and Hilferty's limit of a Poisson mean)."""
    return n * max(1 - 1 / (9 * n) - SURE / (3 * math.sqrt(n)), 0.0) ** 3 if n else 0.0
