"""Wording: how numbers, times and findings read in one line."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from grayscope.evidence import Finding


def utc(time: int) -> str:
    """Return microseconds as a readable UTC time.

    Examples
    --------
    >>> utc(1_700_000_000_000_000)
    '2023-11-14T22:13:20Z'
    """
    try:
        return datetime.fromtimestamp(time / 1e6, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        return f"{time} us"


def number(x: float, unit: str = "") -> str:
    """Return a value with a unit, short.

    Examples
    --------
    >>> number(1.98e9, "Hz"), number(0.01234, "s"), number(72.0, "Cel"), number(math.nan)
    ('1.98 GHz', '12.3 ms', '72 Cel', '?')
    """
    if math.isnan(x):
        return "?"
    if unit in ("Hz", "By/s", "By", "W", "s", "J") and x != 0:
        for size, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1, ""), (1e-3, "m"), (1e-6, "µ")):
            if abs(x) >= size and not (unit == "s" and size > 1):
                return f"{x / size:.3g} {prefix}{unit}"
    return f"{x:.4g} {unit}".rstrip() if unit != "1" else f"{x:.4g}"


def ratio(value: float, expected: float) -> str:
    """Return how far a value is off, in words.

    Examples
    --------
    >>> ratio(1.2, 1.0), ratio(8, 16), ratio(3, 0)
    ('20% above', '50% below', 'above')
    """
    if not (math.isfinite(value) and math.isfinite(expected)) or expected == 0:
        return "above" if value > expected else "below"
    change = value / expected - 1
    return f"{abs(change):.0%} {'above' if change >= 0 else 'below'}" if abs(change) < 10 else f"{value / expected:.0f} times"


def why(finding: Finding, unit: str, than: str) -> str:
    """Return the one line that explains a finding: signal, value, what was expected, peers, since when.

    Examples
    --------
    >>> why(Finding(0, "n1/gpu0", "condition", "slower", 9.0, metric="gpu_clock_hertz", value=1.6e9, expected=2e9, n_peers=127), "Hz", "its peers")
    'gpu_clock_hertz 1.6 GHz is 20% below its peers (2 GHz, 127 of them)'
    """
    peers = f", {finding.n_peers} of them" if finding.n_peers else ""
    since = f" since {utc(finding.since)}" if finding.since else ""
    expected = number(finding.expected, unit)
    return f"{finding.metric} {number(finding.value, unit)} is {ratio(finding.value, finding.expected)} {than} ({expected}{peers}){since}"
