"""Worth: whether a distance from peers means anything on the metric's side.

Errors come with what is moved. A link that moves thirty times as much as its peers may have thirty times their errors, and where they have one now
and then, thirty are still no news: those `spending` weighs by what was moved. Where all have some in every tick it sees no difference any
more, and what stands out there must do so by more than it moves more.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from grayscope.catalogue import Metric
from grayscope.evidence import Finding
from grayscope.mechanisms import limited
from grayscope.standing import Standing
from grayscope.tick import Tick
from grayscope.traffic import carriers

#: An error rate that is not so many times the usual one is nobody's matter; errors in a tick that are usual where `spending` is blind.
TIMES, DENSE = 2.0, 1.0


def worth(finding: Finding, metric: Metric, tick: Tick, standing: Standing, m: int, s: int) -> bool:
    """Say whether a finding about a cell is worth telling.

    What is spent of a stock is the ledger's matter, whatever the peers did.
    """
    if metric.side != "redundancy":
        return True
    if metric.type != "counter" or metric.mechanism in limited():
        return False
    allowed = TIMES * finding.expected
    if not finding.value >= allowed:  # nor what is not known
        return False
    moved = carriers(tick.table, tick.metrics).get(m)
    if not moved:
        return True
    if finding.expected < DENSE:
        return False
    label = standing.label[standing.layout[m]]
    others = label == label[s]
    others[s] = False
    return finding.value >= allowed * busier(tick.values[moved], s, others)


def busier(moved: NDArray[np.float32], s: int, others: NDArray[np.bool_]) -> float:
    """Return how many times as much a subject has moved in this tick as the median of the others; never less than once.

    Parameters
    ----------
    moved : ndarray of float32, shape [K, S]
        Ways of moving, which are added up.
    others : ndarray of bool, shape [S]

    Examples
    --------
    >>> two = np.float32([[20.0, 1.0, 1.0, np.nan], [10.0, 0.0, 2.0, np.nan]])
    >>> busier(two, 0, np.array([False, True, True, True])), busier(two, 1, np.array([True, False, True, True]))
    (15.0, 1.0)
    """
    told = np.isfinite(moved).any(axis=0)
    total = np.where(np.isfinite(moved), moved, np.float32(0)).sum(axis=0)
    usual = float(np.median(total[others & told])) if (others & told).any() else 0.0
    return max(float(total[s]) / usual, 1.0) if usual > 0 else 1.0
