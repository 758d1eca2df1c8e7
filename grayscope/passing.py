"""Passing: the judge's place when a rival runs alone: what it finds is a state at once, without patience or prior."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from grayscope.evidence import Evidence, Finding
from grayscope.quadrants import RANK
from grayscope.shown import signal
from grayscope.tick import Tick
from grayscope.verdict import Verdict

#: A state is left when its finding has been absent for so many ticks; a method's patience is its own affair.
ABSENT = 3
#: Whoever alarms means it, symptoms included.
STATES = {"health": "failed", "service": "gray", "redundancy": "masked", "condition": "masked", "coverage": "unknown"}


@dataclass(slots=True)
class Said:
    """All that is held about one subject: its findings with the time at which each expires, and the first of these times."""

    state: str = "normal"
    findings: dict[tuple[str, str], tuple[Finding, int, str]] = field(default_factory=dict)
    soonest: int = 0


class PassThrough:
    """Same contract as `grayscope.judge.Judge`: evidence in, changes of state out. Nobody is doubted."""

    doubted: frozenset[str] = frozenset()

    def __init__(self) -> None:
        self.cases: dict[str, Said] = {}

    def step(self, tick: Tick, evidence: Evidence) -> Iterator[Verdict]:
        """Take the evidence of one tick; yield the verdicts that changed, by subject."""
        expires = tick.time + ABSENT * tick.period
        fresh: set[str] = set()
        for finding in evidence:
            case = self.cases.setdefault(finding.subject, Said())
            old = case.findings.get((finding.detector, finding.metric))
            since = (old[0].since if old else finding.since) or finding.time
            case.findings[finding.detector, finding.metric] = (finding._replace(since=since), expires, tick.table)
            fresh.add(finding.subject)
        # Where no finding came or went, the state is what it was: some methods accuse thousands at a time.
        for subject in sorted(fresh | {s for s, case in self.cases.items() if case.soonest < tick.time}):
            case = self.cases[subject]
            case.findings = {k: f for k, f in case.findings.items() if f[1] >= tick.time}
            verdict = _decide(subject, case, tick)
            if verdict is not None:
                yield verdict
            if not case.findings:
                del self.cases[subject]
                continue
            case.soonest = min(until for _, until, _ in case.findings.values())

    def snapshot(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return all cases as one JSON text in an array."""
        cases = {s: [c.state, [[*k, list(f), until, table] for k, (f, until, table) in c.findings.items()]] for s, c in self.cases.items()}
        return {"judge": np.array(json.dumps(cases))}

    def restore(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Become what `snapshot` returned."""
        self.cases = {
            subject: Said(name, {(d, m): (Finding(*f), until, table) for d, m, f, until, table in findings})
            for subject, (name, findings) in json.loads(str(state["judge"])).items()
        }


def _decide(subject: str, case: Said, tick: Tick) -> Verdict | None:
    ranked = [(RANK[STATES.get(f.side, "normal")], f.strength, f, table) for f, _, table in case.findings.values()]
    best = max(ranked, key=lambda r: r[:2], default=None)
    state = STATES.get(best[2].side, "normal") if best else "normal"
    if state == case.state:
        return None
    previous, case.state = case.state, state
    if best is None:
        return Verdict(tick.time, subject, "normal", previous, 0.0, "no longer found", tick.time, table=tick.table)
    f = best[2]
    return Verdict(
        tick.time, subject, state, previous, f.strength, f.why, f.since, f.mode, f.mechanism, f.metric, f.side, f.left, table=best[3],
        shown=(signal(f, f.since),),
    )  # fmt: skip
