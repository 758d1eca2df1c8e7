"""Fisher: the tail of the hypergeometric law, of Fisher's exact test."""

from __future__ import annotations

import math
from functools import lru_cache


@lru_cache(maxsize=4096)
def log_tail(k: int, bad: int, n: int, every: int) -> float:
    """Return ln P(at least `k` of `bad` drawn from `every` without return fall into a group of `n`).

    Examples
    --------
    >>> round(math.exp(log_tail(2, 2, 2, 4)), 6), log_tail(0, 3, 2, 9)
    (0.166667, 0.0)
    """
    terms = [_choose(n, i) + _choose(every - n, bad - i) for i in range(k, min(n, bad) + 1) if bad - i <= every - n]
    top = max(terms, default=-math.inf)
    if top == -math.inf:
        return -math.inf
    return min(top + math.log(sum(math.exp(t - top) for t in terms)) - _choose(every, bad), 0.0) if k > 0 else 0.0


def _choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
