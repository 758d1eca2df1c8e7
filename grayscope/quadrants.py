"""Quadrants: which of the five states a finding argues for, by the side that it is on and by who feels it."""

from __future__ import annotations

from functools import cache

from grayscope.evidence import Finding
from grayscope.modes import Modes

#: What a suspect must cost its job, as a share of a step, to be more than a ticket.
FELT = 0.01
#: Shares by which things must be away from what was expected: a symptom that nothing else supports, what is slow though nobody waits
#: for it (three per cent that last must be seen, and half of the time they are measured as less), and what the workload gets.
EFFECT, UNFELT, PALTRY = 0.05, 0.02, 0.015
RANK = {"normal": 0, "unknown": 1, "masked": 2, "gray": 3, "failed": 4}


def state_of(finding: Finding) -> str:
    """Return the state that a finding of this side argues for, ``normal`` where it only explains.

    A named look-alike (congestion, a whole group that moved, …) accuses nobody: somebody suffers, the culprit is unknown.
    What is slow while nobody waits for it is masked.

    Examples
    --------
    >>> state_of(Finding(0, "a", "service", "slower", 9.0)), state_of(Finding(0, "a", "condition", "slower", 9.0))
    ('gray', 'normal')
    """
    if finding.mode in look_alikes():
        return "unknown"
    if finding.side == "service":
        state, least = ("masked", UNFELT) if finding.felt < FELT else ("gray", PALTRY)
        return state if _matters(finding, least) else "normal"
    if finding.side == "condition":
        return "masked" if finding.mechanism and _matters(finding, EFFECT) else "normal"
    return {"health": "failed", "redundancy": "masked", "coverage": "unknown"}.get(finding.side, "normal")


def _matters(finding: Finding, share: float) -> bool:
    """Say whether something is large enough to be worth anybody's time: a clock 2 % low that nobody feels is not."""
    return not abs(finding.value - finding.expected) < share * abs(finding.expected)


@cache
def look_alikes() -> frozenset[str]:
    """Return the modes that are never more than a notice."""
    return frozenset(m.name for m in Modes.load().modes.values() if m.severity == "notice")
