"""Spendwords: what `spending` has found, as a person reads it."""

from __future__ import annotations

import math
from typing import NamedTuple

from grayscope import traffic
from grayscope.evidence import Crowd, Finding
from grayscope.standing import Standing
from grayscope.tick import Tick

#: By how much a counter rises at least to be counted in the last past.
MUCH = 8.0
#: What each past counts, in words: rows with a rise, and of those with a large one all but the first.
ANY, MANY = "in {} of the last {} ticks", f"by {MUCH:.0f} and more in {{}} of the last {{}} ticks, row after row"
WORDS = (ANY, ANY, MANY)
BESIDE, OWN = "{} would be usual among its {} peers", "{} would be usual by its own past; it has {} peers"
#: Of one that moves more than is usual so many ticks' worth are counted, which are no ticks.
WORTH = "as often as {} of {} ticks of usual traffic"


class Best(NamedTuple):
    """Strength, ticks with events, what would be usual, all ticks, what makes that usual, and which past."""

    strength: float = -math.inf
    seen: float = 0.0
    usual: float = 0.0
    ticks: float = 0.0
    words: str = ""
    past: int = 0


def finding(tick: Tick, standing: Standing, m: int, s: int, best: Best, since: int, flow: traffic.Arrays | None, carriers: list[int]) -> Finding:
    """Return what is told of a subject's counter, which has gone on `since` (microseconds).

    Parameters
    ----------
    flow, carriers : dict of ndarray or None, list of int
        What is kept of the traffic of the table, and the rows of what the counter is exposed to; None and none where nobody tells.
    """
    metric = standing.metrics[m]
    assert metric is not None
    strength, seen, expected, ticks, words, past = best
    n = max(standing.peers(m, s), 1)  # nobody is alone, but the only peer may not report at this moment
    # A tick in which more or less was moved than is usual counts for more or less than one.
    span = past % 2
    if flow and flow["moved"][span, m, s] > 0:
        reported = float(flow["reported"][span, m, s])
        words, ticks = (words, reported) if seen <= reported else (words.replace(WORDS[past], WORTH), ticks)
    text = f"{tick.metrics[m]} rose {words.format(f'{seen:.0f}', f'{ticks:.0f}', f'{expected:.2g}', n)}"
    if flow:
        unit = standing.metrics[carriers[0]] if carriers else None
        text += traffic.rates(flow, m, s, span, standing.label[standing.layout[m]], unit)
    mode, mechanism = metric.mode or "", metric.mechanism or ""
    found = Finding(tick.time, tick.subjects[s], "redundancy", "spending", round(strength, 4), mode, mechanism, tick.metrics[m], seen, expected, n, since)
    return found._replace(why=text)


def crowd(members: list[Finding], parts: int) -> Crowd:
    """Return what is told of parts that began at once: a notice, unless what they share is accused."""
    first = max(members, key=lambda f: f.strength)
    text = f"{len(members)} of {parts} began at once, first {members[0].subject}: {first.why}"
    return Crowd(first._replace(subject="site", mode="group_shift", mechanism="", why=text), tuple(members), sure=False)
