"""Stalls: jobs that stand still at the very moments at which a part is interrupted.

A link that goes down for seconds stops every member of a synchronous job alike: no rank stands out among its peers and
none left its past for long, only the step is several times as long, once. One such coincidence may be chance; how likely
that is, is read off the same job: how often it stands still when nothing is interrupted. What is lost in the coincidences
of five minutes is what the part costs the job.
"""

from __future__ import annotations

import json
import math
from collections.abc import Container, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from grayscope.evidence import Finding
from grayscope.horizons import MARGIN
from grayscope.standing import Standing
from grayscope.tick import Tick

#: Mechanisms whose counters tell of interruptions.
INTERRUPTS = frozenset({"link_retrain"})
#: Share by which a step must be longer than usual to count as a stall, and by which the usual one follows from tick to tick.
STALL, STEP = 0.1, 0.01
#: Microseconds over which losses are added up, and for which what was once felt is told on.
WINDOW, TOLD = 300_000_000, 900_000_000
#: Parts that one stall is laid to at most: the two ends of a link.
ALIKE = 2
#: Ticks after which a job's old stalls count half; coincidences without which nobody is accused who was not known before.
HALF, FEW = 4096, 2
#: Nats that being known to spend a reserve is worth; strength at most.
KNOWN, MOST = MARGIN, 50.0


class Stall(NamedTuple):
    """One tick in which a job stood still: its time and period, how many seconds were lost, what a step took and usually takes."""

    job: str
    time: int
    period: int
    lost: float
    now: float
    usual: float


class Blow(NamedTuple):
    """The tick of a table, its time and period, in which a part was interrupted."""

    time: int
    period: int
    mode: str
    mechanism: str


class Stalls:
    """Follow the steps of jobs and the interruptions of parts. Deterministic; bounded by the roster and fifteen minutes."""

    def __init__(self) -> None:
        self.usual: dict[str, float] = {}  # job -> seconds of a step
        self.counts: dict[str, tuple[float, float]] = {}  # job -> ticks, and stalls that nothing explains
        self.stalls: dict[str, list[Stall]] = {}
        self.blows: dict[str, list[Blow]] = {}
        self.hits: dict[str, list[Stall]] = {}  # part -> stalls of its job that one of its interruptions explains
        self.seen: dict[str, int] = {}  # job -> when it was last heard: while it stands still it may say nothing
        self.taken: dict[str, int] = {}  # job -> time of its last stall that is explained

    def hear(self, tick: Tick, standing: Standing) -> None:
        """Remember which parts inside machines were interrupted."""
        for m, metric in enumerate(standing.metrics):
            if metric is not None and metric.type == "counter" and metric.mechanism in INTERRUPTS:
                for s in np.flatnonzero(tick.values[m] > 0).tolist():
                    if "/" in tick.subjects[s]:
                        self.blows.setdefault(tick.subjects[s], []).append(Blow(tick.time, tick.period, metric.mode or "", metric.mechanism or ""))

    def step(self, tick: Tick, last: Mapping[str, float], nodes: Mapping[str, Container[str]], known: Container[str]) -> Iterator[Finding]:
        """Take what a step of each job took in this tick; yield what interrupted parts cost their jobs.

        Parameters
        ----------
        last : mapping of str to float
            Seconds of the step of each job, by its last rank.
        nodes : mapping of str to container of str
            The jobs that run on each machine.
        known : container of str
            Parts that are known to spend their reserve.
        """
        self._follow(tick, last)
        self._forget(tick)
        for job in sorted(self.stalls if self.blows else ()):
            on = [p for p in sorted(self.blows) if job in nodes.get(p.partition("/")[0], ())]
            for stall in self.stalls[job]:
                self._explain(stall, [p for p in on if any(abs(stall.time - b.time) < stall.period + b.period for b in self.blows[p])])
        for part in sorted(self.hits):
            finding = self._told(tick, part, part in known)
            if finding is not None:
                yield finding

    def _follow(self, tick: Tick, last: Mapping[str, float]) -> None:
        for job, now in sorted(last.items()):
            if not now > 0:
                continue
            usual, self.seen[job] = self.usual.get(job, now), tick.time
            ticks, odd = self.counts.get(job, (0.0, 0.0))
            stalled = now > usual * (1 + STALL)
            if stalled:
                self.stalls.setdefault(job, []).append(Stall(job, tick.time, tick.period, tick.period / 1e6 * (1 - usual / now), now, usual))
            old = 0.5 if ticks >= HALF else 1.0
            self.counts[job] = (ticks * old + 1, odd * old + stalled)
            self.usual[job] = usual * (1 + STEP) if now > usual * (1 + STEP) else max(usual / (1 + STEP), now)

    def _forget(self, tick: Tick) -> None:
        for job in [j for j, at in self.seen.items() if tick.time - at > TOLD]:
            for held in (self.usual, self.counts, self.stalls, self.taken, self.seen):
                held.pop(job, None)
        self.stalls = {j: kept for j, stalls in self.stalls.items() if (kept := [x for x in stalls if tick.time - x.time <= WINDOW])}
        self.blows = {p: left for p, blows in self.blows.items() if (left := [b for b in blows if tick.time - b.time <= TOLD])}
        self.hits = {p: kept for p, hits in self.hits.items() if p in self.blows and (kept := [h for h in hits if tick.time - h.time <= TOLD])}

    def _explain(self, stall: Stall, parts: list[str]) -> None:
        """Take a stall for the work of parts that were interrupted in its tick or beside it: rows stand for what came before them.

        Where many were interrupted at once, none of them is the cause.
        """
        if not 0 < len(parts) <= ALIKE:
            return
        for part in parts:
            hits = self.hits.setdefault(part, [])
            if stall not in hits:
                hits.append(stall)
        if stall.time > self.taken.get(stall.job, -1):
            ticks, odd = self.counts[stall.job]
            self.counts[stall.job], self.taken[stall.job] = (ticks, odd - 1), stall.time

    def _told(self, tick: Tick, part: str, known: bool) -> Finding | None:
        """Return what a part's interruptions cost, None while too few of them were felt."""
        hits = self.hits[part]
        lately = [h for h in hits if tick.time - h.time < WINDOW]
        if not (known or len(hits) >= FEW):
            return None
        strength = min(sum(self._surprise(h.job) for h in hits) + (KNOWN if known else 0.0), MOST)
        share = sum(h.lost for h in lately) / (WINDOW / 1e6)
        now, usual, blow = hits[-1].now, hits[-1].usual, self.blows[part][-1]
        why = f"its job stood still {len(lately)} times in five minutes as it was interrupted, which cost {share:.1%} of them; "
        why += f"a step took {now:.3g} s, {usual:.3g} s is usual"
        return Finding(
            tick.time, part, "service", "stalls", round(strength, 4), blow.mode, blow.mechanism, "step_seconds", now if lately else usual, usual,
            since=hits[0].time, why=why, felt=share,
        )  # fmt: skip

    def _surprise(self, job: str) -> float:
        """Return -ln of the probability that a job stands still by chance in one of the three ticks around an interruption."""
        ticks, odd = self.counts.get(job, (0.0, 0.0))
        return -math.log(min(3 * (max(odd, 0.0) + 1) / (ticks + 1), 1.0))

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Return the whole state."""
        return {"stalls": np.array(json.dumps([self.usual, self.counts, self.stalls, self.blows, self.hits, self.taken, self.seen]))}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Become what `snapshot` returned."""
        usual, counts, stalls, blows, hits, taken, seen = json.loads(str(state["stalls"]))
        self.usual, self.counts, self.taken, self.seen = usual, {j: (t, o) for j, (t, o) in counts.items()}, taken, seen
        self.stalls, self.hits = ({k: [Stall(*x) for x in v] for k, v in held.items()} for held in (stalls, hits))
        self.blows = {k: [Blow(*x) for x in v] for k, v in blows.items()}
