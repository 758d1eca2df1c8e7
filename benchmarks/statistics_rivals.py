"""What others accumulate: CUSUM, e-detectors and counted exceedances, with the thresholds that their own theory gives for a promised rate.

All of them take the same standardized residual z, clipped at three spreads: unclipped, one far value of a heavy tail would decide
(ranks need no clipping).

- CUSUM (Page 1954): S = max(0, S + z - k) with k = 0.5, half of the smallest step that it is meant for; threshold by Siegmund's formula.
- the same of whitened z, (z_t - r z_(t-1)) / sqrt(1 - r^2), with the r that the whole fleet showed before it began to watch.
- e-detector of Shiryaev and Roberts (Shin, Ramdas and Rinaldo 2022): M = (M + 1) e, a mixture over the sizes of bets, alarm at M >= A;
  its mean time to a false alarm is A or more if no e-value's mean is above 1, given the past. Bets on normal z: e = exp(l z - l^2 / 2). Bets on
  ranks, e = 1 + l (s - q), s: among the worst share q of the peer group. They hold for any law, if peers can be exchanged given the past.
- exceedances: of the last 64 values so many are above one spread; threshold by the binomial tail.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
NAMES = ("CUSUM", "CUSUM, whitened", "e-detector, normal bets", "e-detector, rank bets", "exceedances, m of 64")
DRIFT, CLIP, WINDOW, ABOVE = 0.5, 3.0, 64, 1.0
#: Sizes of bets: on normal values in spreads, on ranks as a share of what the bank allows.
NORMAL, RANK = np.array([0.25, 0.5, 1.0, 2.0]), np.array([0.5, 1.0, 2.0, 4.0])
#: A sum of bets above this is beyond every threshold; it is held there.
RICH = 1e300


def run_length(h: float, k: float = DRIFT) -> float:
    """Return the mean time to a false alarm of a CUSUM of independent normal values by Siegmund's formula.

    Examples
    --------
    >>> round(run_length(5.0))
    938
    """
    b = h + 1.166
    return (math.exp(2 * k * b) - 2 * k * b - 1) / (2 * k * k)


def siegmund(length: float) -> float:
    """Return the threshold of a CUSUM whose mean time to a false alarm is so many looks.

    Examples
    --------
    >>> round(siegmund(1e6), 1), round(siegmund(3e10), 1)
    (12.0, 22.3)
    """
    low, high = 0.0, 100.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if run_length(middle) < length else (low, middle)
    return high


def binomial(length: float, n: int = WINDOW, p: float = 0.5 * math.erfc(ABOVE / math.sqrt(2))) -> int:
    """Return the least m of n exceedances of which the chance is at most one in `length`.

    Examples
    --------
    >>> binomial(1e3), binomial(1e6)
    (21, 27)
    """
    chance, m = 0.0, n
    while m > 0:
        chance += math.comb(n, m) * p**m * (1 - p) ** (n - m)
        if chance > 1 / length:
            break
        m -= 1
    return m + 1


def thresholds(length: float) -> tuple[float, ...]:
    """Return the threshold of each statistic of `NAMES` for one false alarm in so many looks of one test."""
    return siegmund(length), siegmund(length), math.log(length), math.log(length), float(binomial(length))


class Rivals:
    """All of `NAMES` for many subjects at once.

    Parameters
    ----------
    label : ndarray of int, shape [S]
        Peer group of each.
    """

    def __init__(self, label: NDArray[Any]) -> None:
        n = len(label)
        self.order = np.argsort(label, kind="stable")
        self.starts = np.searchsorted(label[self.order], np.arange(int(label.max()) + 2))
        self.sums, self.last, self.bits = np.zeros((2, n)), np.full(n, np.nan), np.zeros(n, np.uint64)
        self.bets = np.zeros((2, len(NORMAL), n))
        self.out = np.zeros((len(NAMES), n))
        self.products = np.zeros(3)  # z_t z_(t-1), and the squares of both
        self.rho = 0.0

    def learn(self, z: Floats) -> None:
        """Take one tick into account before watching: only what lasts from tick to tick is learned."""
        z = np.clip(z, -CLIP, CLIP)
        both = np.isfinite(z) & np.isfinite(self.last)
        a, b = z[both], self.last[both]
        self.products += (a @ b, a @ a, b @ b)
        self.last = z
        self.rho = float(np.clip(self.products[0] / max(math.sqrt(self.products[1] * self.products[2]), 1e-9), 0.0, 0.99))

    def step(self, z: Floats) -> Floats:
        """Return all statistics [K, S] after one more tick; what did not come changes nothing."""
        _step(np.clip(z, -CLIP, CLIP), self.rho, self.last, self.sums, self.bets[0], self.bits, self.out)
        _ranks(z, self.order, self.starts, self.bets[1], self.out[3])
        return self.out


@njit(cache=True, error_model="numpy")
def _step(z: Any, rho: float, last: Any, sums: Any, bets: Any, bits: Any, out: Any) -> None:  # pragma: no cover - compiled
    fresh = np.sqrt(1 - rho * rho)
    for s in range(len(z)):
        if not np.isfinite(z[s]):
            continue
        white = (z[s] - rho * last[s]) / fresh if np.isfinite(last[s]) else z[s]
        last[s] = z[s]
        sums[0, s] = max(0.0, sums[0, s] + z[s] - DRIFT)
        sums[1, s] = max(0.0, sums[1, s] + min(max(white, -CLIP), CLIP) - DRIFT)
        total = 0.0
        for i in range(len(NORMAL)):
            bets[i, s] = min((bets[i, s] + 1.0) * np.exp(NORMAL[i] * z[s] - NORMAL[i] * NORMAL[i] / 2), RICH)
            total += bets[i, s]
        bits[s] = (bits[s] << np.uint64(1)) | np.uint64(z[s] > ABOVE)
        left, n = bits[s], 0
        while left:
            left &= left - np.uint64(1)
            n += 1
        out[0, s], out[1, s], out[2, s], out[4, s] = sums[0, s], sums[1, s], np.log(total / len(NORMAL)), n


@njit(cache=True, error_model="numpy")
def _ranks(z: Any, order: Any, starts: Any, bets: Any, out: Any) -> None:  # pragma: no cover - compiled
    """Bet on being among the worst eighth of the group (the worst one of few); groups of fewer than four do not play."""
    for g in range(len(starts) - 1):
        who = order[starts[g] : starts[g + 1]]
        values = z[who]
        values = np.sort(values[np.isfinite(values)])
        n = len(values)
        if n < 4:
            continue
        worst = max(n // 8, 1)
        share, edge = worst / n, values[n - worst]
        tied = n - worst > 0 and values[n - worst - 1] == edge
        for s in who:
            if not np.isfinite(z[s]):
                continue
            won = z[s] > edge or (z[s] == edge and not tied)
            total = 0.0
            for i in range(len(RANK)):
                e = 1.0 + min(RANK[i], 1.0 / share) * ((1.0 if won else 0.0) - share)
                bets[i, s] = min((bets[i, s] + 1.0) * e, RICH)
                total += bets[i, s]
            out[s] = np.log(max(total / len(RANK), 1e-300))
