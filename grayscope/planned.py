"""Planned: while work goes on somewhere, what is wrong there is named as that, not announced; what stays is announced when the work is over."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from grayscope.agenda import Agenda
from grayscope.evidence import Evidence
from grayscope.maintenance import LONGEST, SECOND, SOURCE, Work, stamp
from grayscope.modes import MAINTENANCE
from grayscope.quadrants import RANK, state_of
from grayscope.tick import Tick
from grayscope.verdict import Signal, Verdict

#: Microseconds after the end of work for which it still speaks for what is wrong: counters start again, clocks and temperatures settle.
AFTER = 600 * SECOND


class Planned:
    """The station between judge and desk. Without planned work every verdict goes through as it is.

    What the judge says of a subject under work is told as ``unknown`` with the mode ``maintenance``, which is a notice, and says what was seen.
    When the work is over it is told as it is as soon as it is found again; if it is not, the judge lets go of it by itself.

    Parameters
    ----------
    level : float
        Nats from which evidence upholds a state.
    longest, after : int
        As of `grayscope.agenda.Agenda`.
    """

    def __init__(self, level: float = 0.0, longest: int = LONGEST, after: int = AFTER) -> None:
        self.level, self.agenda = level, Agenda(longest, after)
        self.held: dict[str, Verdict] = {}  # the judge's word on each subject that is not normal
        self.muted: dict[str, str] = {}  # those told as maintenance, with the identity of the work
        self._next: int | None = None
        self._roster = -1

    def told(self, subject: str, state: str) -> str:
        """Return the state that others were told, given the judge's.

        Examples
        --------
        >>> Planned().told("n1", "gray")
        'gray'
        """
        return "unknown" if subject in self.muted else state

    def step(self, tick: Tick, verdicts: Iterable[Verdict], evidence: Evidence) -> Iterator[Verdict]:
        """Take the judge's verdicts of a tick; yield what is to be filed, by subject."""
        news = [self.agenda.take(e) for e in tick.events if e.source == SOURCE]
        fresh = {v.subject: v for v in verdicts}
        self._hold(fresh)
        if not self.agenda.works and not self.muted:
            yield from fresh.values()
            return
        again = any(news) or (self._next is not None and tick.time >= self._next) or tick.roster.version != self._roster
        if again:
            self.agenda.forget(tick.time)
            self._next, self._roster = self.agenda.next(tick.time), tick.roster.version
        found = self._found(evidence) if self.muted else frozenset[str]()
        for subject in sorted({*fresh, *self.held, *self.muted} if again else {*fresh, *(found & self.muted.keys())}):
            verdict = self._decide(subject, fresh.get(subject), tick, subject in found)
            if verdict is not None:
                yield verdict

    def _hold(self, fresh: Mapping[str, Verdict]) -> None:
        for subject, verdict in fresh.items():
            if verdict.state == "normal":
                self.held.pop(subject, None)
            else:
                self.held[subject] = verdict

    def _found(self, evidence: Evidence) -> frozenset[str]:
        """Return the subjects of which this tick shows at least what is held of them."""
        held = ((f, self.held.get(f.subject)) for f in evidence if f.strength >= self.level)
        return frozenset(f.subject for f, v in held if v is not None and RANK[state_of(f)] >= RANK[v.state])

    def _decide(self, subject: str, fresh: Verdict | None, tick: Tick, found: bool) -> Verdict | None:
        """Return what to say of a subject now, None if nothing is new."""
        before = self.muted.get(subject)
        truth = self.held.get(subject)
        if truth is None:
            self.muted.pop(subject, None)
            return fresh if fresh is None or before is None else replace(fresh, previous="unknown")
        work = self.agenda.over(subject, tick.time, tick.roster)
        if work is not None:
            self.muted[subject] = said = f"{work.id} {work.end}"
            previous = "unknown" if before is not None else fresh.previous if fresh is not None else truth.state
            return self._named(truth, tick.time, previous, work) if fresh is not None or said != before else None
        if before is None:
            return fresh
        if fresh is not None or found:
            del self.muted[subject]
            return replace(truth, time=tick.time, previous="unknown")
        return None

    def _named(self, truth: Verdict, time: int, previous: str, work: Work) -> Verdict:
        until = f"until {stamp(work.end)}" if work.end is not None else "without a known end"
        why = f"planned work on {work.subject}, {until}{f' ({work.note})' if work.note else ''}; seen there: {truth.state}, {truth.why}"
        return replace(truth, time=time, state="unknown", previous=previous, why=why, mode=MAINTENANCE, mechanism="", behind=truth.mode)

    def snapshot(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return works, held verdicts and who is told as maintenance as one JSON text in an array."""
        held = [asdict(v) for v in self.held.values()]
        return {"planned": np.array(json.dumps([self.agenda.snapshot(), held, self.muted, self._next, self._roster]))}

    def restore(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Become what `snapshot` returned."""
        works, held, self.muted, self._next, self._roster = json.loads(str(state["planned"]))
        self.agenda.restore(works)
        self.held = {v.subject: v for v in map(_verdict, held)}


def _verdict(fields: dict[str, Any]) -> Verdict:
    rivals, shown = tuple((name, chance) for name, chance in fields.pop("rivals")), tuple(Signal(*s) for s in fields.pop("shown"))
    return Verdict(**{**fields, "also": tuple(fields["also"])}, rivals=rivals, shown=shown)
