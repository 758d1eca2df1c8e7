"""Judge: from evidence to the state of each subject; patience in, hysteresis out, and silence unless it changes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from grayscope.besides import news, own
from grayscope.evidence import Evidence, Finding
from grayscope.horizons import threshold
from grayscope.modes import Modes
from grayscope.places import parents
from grayscope.quadrants import RANK, state_of
from grayscope.shown import signal, signals
from grayscope.tick import Tick
from grayscope.tracks import HOLD, LEAST, Case, Track, case_of
from grayscope.verdict import Signal, Verdict

#: A state is left only when nothing has supported it for so many ticks of the subject's table; where they come seldom (probes, drives), for two hours,
#: microseconds, and so many of them: what comes back within another hour is the same incident anyway.
CALM, HOURS, SELDOM = 120, 7_200_000_000, 30
#: Hysteresis: a state once entered is kept by evidence this many nats weaker (a tenth of the rate).
SLACK = 2.3
#: A page is eased to a ticket when nobody has waited for the suspect for so many ticks of the table that told it last, though something
#: is still wrong with it: ranks that are read every ten seconds know within minutes, whatever their links are read at. So long, too, what
#: was missing must be there again.
EASED = 30
#: Microseconds for which a ticket waits for the workload to say whether it suffers, where rows come often enough to hear it: one page,
#: not a ticket and then a page. What no workload ever feels need not wait.
ASKS = 45_000_000
FELT_AS = frozenset({"slow_rank", "slow_silicon", "slow_component", "became_slower"})
#: Sides of evidence that a part gives of itself.
ITSELF = frozenset({"redundancy", "health"})
#: A table that has not ticked for so many of its periods sleeps (`align` lets it utter 12 empty ticks before).
ASLEEP = 16


class Judge:
    """The station. Knows nothing of metrics: only sides, strengths and time, in periods of the tables.

    Parameters
    ----------
    false_pages : float
        Accepted false pages per 1,000 subject-weeks; decides the strength at which a state is entered.
    """

    def __init__(self, false_pages: float = 1.0) -> None:
        self.enter = threshold(false_pages)
        self.cases: dict[str, Case] = {}
        self.last: dict[str, tuple[int, int]] = {}  # table -> time of its last tick, period
        self._doubted: frozenset[str] | None = None

    @property
    def doubted(self) -> frozenset[str]:
        """Subjects whose measurements nothing is learned from; with a slash at the end also whatever lies in them.

        What suffers or is broken drags its parts along. A part whose reserve shrinks does not: a node without its spare
        supply keeps eight healthy GPUs, and they must go on learning what is usual for them. The same object until a state changes.
        """
        if self._doubted is None:
            grave = [s for s, c in self.cases.items() if c.state in ("gray", "failed")]
            self._doubted = frozenset([*grave, *(f"{s}/" for s in grave), *(s for s, c in self.cases.items() if c.state == "masked")])
        return self._doubted

    def step(self, tick: Tick, evidence: Evidence) -> Iterator[Verdict]:
        """Take the evidence of one tick; yield the verdicts that changed, by subject."""
        self.last[tick.table] = (tick.time, tick.period)
        for finding in evidence:
            self._hear(finding, tick)
        # Of tables that sleep the cases grow older with the others, or what they said last would hold for ever.
        tables = {tick.table, *(t for t, (last, period) in self.last.items() if tick.time - last >= ASLEEP * period)}
        for subject in sorted(s for s, c in self.cases.items() if c.table in tables and not c.resting(tick.time)):
            case = self.cases[subject]
            verdict = self._decide(subject, case, tick.time)
            if verdict is not None:
                self._doubted = None
                if verdict.state == "gray":
                    yield from self._answered(subject, verdict.mode, tick.time)
                yield verdict
            if case.state == "normal" and not case.tracks:
                del self.cases[subject]

    def _answered(self, subject: str, mode: str, now: int) -> Iterator[Verdict]:
        """Yield the verdicts on what the subject lies in that only wait for what the workload says: it has said it of a part that they explain."""
        for parent in parents(subject):
            case = self.cases.get(parent)
            if case is not None and case.asked >= 0:
                _, best = self._argued(case)
                cause = self._cause(case, best)
                if cause is not None and mode in _explains(cause.finding.mode) and (verdict := self._decide(parent, case, now, heard=True)) is not None:
                    yield verdict

    def _hear(self, finding: Finding, tick: Tick) -> None:
        # A subject of one table may be accused from another (a GPU by its rank): one case per subject, timed by its first.
        case = self.cases.setdefault(finding.subject, Case(tick.table))
        key = (finding.detector, finding.metric)
        track = case.tracks.get(key)
        since = track.since if track else finding.since or finding.time
        holds = tick.time + max(HOLD * tick.period, LEAST * self.last[case.table][1])
        case.tracks[key] = Track(finding, tick.time, since, tick.period, holds)
        case.rests = -1

    def _decide(self, subject: str, case: Case, now: int, heard: bool = False) -> Verdict | None:
        case.tracks = {k: t for k, t in case.tracks.items() if now <= t.holds}
        state, best = self._argued(case)
        case.upheld = RANK[state] >= RANK[case.state] and state != "normal"
        if case.upheld and best is not None:
            case.supported, case.pace = now, best.period
        cause = self._cause(case, best)
        if not heard and self._asks(case, state, now, cause):
            case.rests = -1
            return None
        renamed = state == case.state != "normal" and cause is not None and case.mode in _explains(cause.finding.mode)
        if state == case.state and not renamed and (new := self._news(case)) is not None:
            return self._joined(subject, case, now, new)
        calm = EASED * case.pace if (case.state, state) == ("gray", "masked") else _calm(self.last[case.table][1], case.mode)
        if not renamed and (state == case.state or (RANK[state] < RANK[case.state] and now - case.supported < calm)):
            kept = min((t.holds for t in case.tracks.values()), default=now + calm)
            case.rests = kept if state == case.state else min(kept, case.supported + calm - 1)
            return None
        previous, case.state, case.supported = case.state, state, now
        case.mode, case.known = cause.finding.mode if cause else "", tuple(self._own(case))
        verdict = _verdict(subject, case.table, state, previous, now, best, cause, self._shown(case, best, cause))
        return replace(verdict, also=tuple(m for m in case.known if m != case.mode))

    def _own(self, case: Case) -> dict[str, Track]:
        return own(case.tracks.values(), self.enter - SLACK)

    def _news(self, case: Case) -> Track | None:
        return news(self._own(case), case.known, case.mode, self.enter) if RANK[case.state] >= RANK["masked"] else None

    def _joined(self, subject: str, case: Case, time: int, new: Track) -> Verdict | None:
        """Return a verdict that tells what has come upon a subject besides: its state and its name stay, as long as something shows them."""
        before = (t for t in case.tracks.values() if t.finding.mode == case.mode and RANK[state_of(t.finding)] >= RANK[case.state])
        held = max(before, key=lambda t: t.finding.strength, default=None)
        if held is None:
            return None
        case.known = tuple(self._own(case))
        verdict = _verdict(subject, case.table, case.state, case.state, time, held, held, self._shown(case, held, new))
        return replace(verdict, why=f"{verdict.why}; and besides: {new.finding.why}", also=tuple(m for m in case.known if m != case.mode))

    def _shown(self, case: Case, best: Track | None, cause: Track | None) -> tuple[Signal, ...]:
        first = [signal(t.finding, t.since) for t in (best, cause) if t is not None]
        return signals(first, (signal(t.finding, t.since) for t in case.tracks.values()), self.enter - SLACK) if first else ()

    def _asks(self, case: Case, state: str, time: int, cause: Track | None) -> bool:
        """Say whether a new ticket still waits for what the workload says."""
        known = state == "masked" and cause is not None and not _felt(cause.finding.mode)
        if state != "masked" or known or RANK[case.state] >= RANK["masked"] or self.last[case.table][1] >= ASKS:
            case.asked = -1
            return False
        case.asked = time if case.asked < 0 else case.asked
        return time - case.asked < ASKS

    def _argued(self, case: Case) -> tuple[str, Track | None]:
        """Return the gravest state that the tracks support, and the strongest track for it."""
        best: tuple[int, float] = (0, 0.0)
        chosen = None
        for track in case.tracks.values():
            state = state_of(track.finding)
            level = self.enter - (SLACK if RANK[state] <= RANK[case.state] else 0.0)
            if track.finding.strength >= level and (RANK[state], track.finding.strength) > best and state != "normal":
                best, chosen = (RANK[state], track.finding.strength), track
        return (state_of(chosen.finding), chosen) if chosen else ("normal", None)

    def _cause(self, case: Case, best: Track | None) -> Track | None:
        """Return the track to name the trouble by: the strongest one that explains what the best one shows, and so on."""
        cause, seen = best, set[str]()
        while cause is not None and cause.finding.mode not in seen:
            shown = cause.finding.mode
            seen.add(shown)
            present = [t for t in case.tracks.values() if t.finding.strength >= self.enter - SLACK and shown in _explains(t.finding.mode)]
            cause = max(present, key=lambda t: t.finding.strength, default=cause)
        return cause

    def snapshot(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return all cases as one JSON text in an array."""
        cases = {s: c.told() for s, c in self.cases.items()}
        return {"judge": np.array(json.dumps([self.last, cases]))}

    def restore(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Become what `snapshot` returned."""
        last, cases = json.loads(str(state["judge"]))
        self.last = {table: (time, period) for table, (time, period) in last.items()}
        self.cases = {s: case_of(told) for s, told in cases.items()}


def _calm(period: int, mode: str = "") -> int:
    """Return for how long nothing may support a state before it is left, by the period of the subject's table, microseconds.

    That rows are missing is no estimate: once they come again nothing is missing, and who looks at the notice must find it true.

    Examples
    --------
    >>> [_calm(s * 1_000_000) // 1_000_000 for s in (10, 60, 240, 86_400)]
    [1200, 7200, 7200, 2592000]
    >>> [_calm(s * 1_000_000, "silent") // 1_000_000 for s in (10, 60, 240, 86_400)]
    [300, 1800, 7200, 2592000]
    """
    known = Modes.load().modes.get(mode)
    calm = EASED if known is not None and known.sides == ("coverage",) else CALM
    return min(calm * period, max(HOURS, SELDOM * period))


def _explains(mode: str) -> frozenset[str]:
    known = Modes.load().modes.get(mode)
    return known.explains if known else frozenset()


def _felt(mode: str) -> bool:
    """Say whether a workload may feel what is called so; what has no name may be anything."""
    return not mode or mode in FELT_AS or not _explains(mode).isdisjoint(FELT_AS)


def _verdict(
    subject: str, table: str, state: str, previous: str, time: int, best: Track | None, cause: Track | None, shown: tuple[Signal, ...]
) -> Verdict:  # fmt: skip
    if best is None or cause is None:
        return Verdict(time, subject, state, previous, 0.0, "nothing speaks against it any more", time, table=table)
    f, c = best.finding, cause.finding
    why = f.why if c is f else f"{f.why}; the cause may be: {c.why}"
    since, spent = min(best.since, cause.since), c.exhausted_at or f.exhausted_at or None
    # Whose fault it is that the workload suffers may be in doubt; what a part shows by itself is its own.
    rivals = _rivals(f) if c is f or c.side not in ITSELF else ()
    return Verdict(
        time, subject, state, previous, f.strength, why, since, c.mode, c.mechanism or f.mechanism, f.metric, f.side, c.left, spent, table, rivals, shown
    )


def _rivals(finding: Finding) -> tuple[tuple[str, float], ...]:
    return tuple((name, chance) for name, chance in json.loads(finding.rivals)) if finding.rivals else ()
