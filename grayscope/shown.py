"""Shown: the findings behind a verdict, in numbers, as an incident keeps them for whoever asks why."""

from __future__ import annotations

import math
from collections.abc import Iterable

from grayscope.evidence import Finding
from grayscope.verdict import Signal

#: So many findings are kept with one verdict.
MOST = 4


def signal(f: Finding, since: int) -> Signal:
    """Return a finding that has held since then.

    Examples
    --------
    >>> signal(Finding(9, "a", "service", "slower", 8.0, value=2.0), 5)[4:9]
    (8.0, 2.0, None, 0, 5)
    """
    value, expected, left = (x if math.isfinite(x) else None for x in (f.value, f.expected, f.left))
    return Signal(f.side, f.detector, f.metric, f.mode, f.strength, value, expected, f.n_peers, since, left, f.exhausted_at or None, f.why)


def signals(first: Iterable[Signal], others: Iterable[Signal], level: float) -> tuple[Signal, ...]:
    """Return what decided, each once, and then the strongest of what else was at least as strong as `level`.

    Examples
    --------
    >>> a, b, c = (signal(Finding(0, "x", "service", "slower", s), 0) for s in (9.0, 3.0, 7.0))
    >>> [s.strength for s in signals([b, b], [a, b, c], 5.0)]
    [3.0, 9.0, 7.0]
    """
    also = sorted((s for s in others if s.strength >= level), key=lambda s: (-s.strength, s.detector, s.metric))
    return tuple(dict.fromkeys([*first, *also]))[:MOST]
