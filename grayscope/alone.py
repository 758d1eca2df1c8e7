"""Alone: a rank that is its job's only one became slower; whether that is its GPU's doing or a phase of the job, the job cannot tell.

What was lately said of the GPU's own condition, or its machine's, can: a clock that is held down explains a program that takes longer.
Without it nobody is accused, and what was seen stays a symptom.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from grayscope.evidence import Finding
from grayscope.tick import Tick


def corroborated(findings: Iterable[Finding], tick: Tick, ailing: Mapping[str, int]) -> Iterator[Finding]:
    """Yield findings, those of ranks alone as what the workload gets where their GPU's condition agrees.

    Parameters
    ----------
    findings : iterable of Finding
    tick : Tick
        Of ranks.
    ailing : mapping of str to int
        When something was last said of a component's condition. A reserve spent makes no program slower.
    """
    for f in findings:
        if not symptom(f):
            yield f
            continue
        gpu = tick.roster.key(f.subject, "gpu")
        ill = next((s for s in (gpu, tick.roster.key(gpu, "node")) if s in ailing), "") if gpu else ""
        yield f._replace(side="service", why=f"{f.why}; the condition of {ill} agrees") if ill else f


def symptom(f: Finding) -> bool:
    """Say whether a finding is of a rank that nobody is compared with.

    Examples
    --------
    >>> symptom(Finding(0, "job:1/r0", "condition", "became", 9.0, "slow_rank")), symptom(Finding(0, "job:1/r0", "service", "became", 9.0, "slow_rank"))
    (True, False)
    """
    return f.detector in ("became", "stepped") and f.side == "condition" and f.n_peers == 0 and not f.mechanism
