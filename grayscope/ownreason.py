"""Ownreason: who has lost the very thing that a symptom comes from shows it by itself, and belongs to no population.

Where a good part of a peer group stands out at once, the group is taken for two kinds of parts, and nobody is accused. But two machines of
one job that have each lost a power supply are two faults: that their GPUs are braked at the same time is no riddle. Nor is it which of a job's two
machines got slower where one of them is hot.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from typing import TypeVar

from grayscope.cascade import GATHERS, effects
from grayscope.crowd import CROWD, spread
from grayscope.evidence import Crowd, Finding
from grayscope.tick import Tick

#: Sides on which a part tells what it has lost.
OWN = frozenset({"redundancy", "health"})
#: What holds a part up by its condition holds on for so many microseconds without being seen again, or so many of the slow ones' ticks; slowness may begin
#: so long before it, by how exactly either is known. It is no reason of what came much later.
SEEN, TICKS, EARLY = 120_000_000, 6, 120_000_000
#: Share of the slow ones that must be held up so.
MOST = 0.75
T = TypeVar("T")


class Reasons:
    """Remembers what components said lately that they lost: component -> mode -> when last; what holds them up: … -> since when, and when last; and so
    of groups of which a part is slow."""

    def __init__(self) -> None:
        self.said: dict[str, dict[str, int]] = {}
        self.shown: dict[str, dict[str, tuple[int, int]]] = {}
        self.slow: dict[str, dict[str, tuple[int, int]]] = {}

    def hear(self, findings: Iterable[Finding], time: int, level: float, valid: int) -> None:
        """Take note of what parts lost or are held up by, at least so strong, and forget what was longer than `valid` microseconds ago."""
        for f in findings:
            if not f.mode or f.strength < level:
                continue
            if f.side in OWN:
                self.said.setdefault(f.subject, {})[f.mode] = time
            elif f.side == "condition" and f.mechanism:
                _went_on(self.shown.setdefault(f.subject, {}), f.mode, time, SEEN)
        self.said = _lately(self.said, lambda at: time - at <= valid)
        self.shown, self.slow = (_lately(told, lambda span: time - span[1] <= valid) for told in (self.shown, self.slow))

    def split(self, findings: list[Finding], crowds: Iterable[Crowd], tick: Tick) -> tuple[list[Finding], list[Crowd]]:
        """Return findings and crowds, those with reasons of their own out of their crowds of symptoms; what is left may be none any more."""
        kept, known = list[Crowd](), {_key(f) for f in findings}
        for crowd in crowds:
            own = self._own(crowd, tick)
            explained = {_key(f) for f in own}
            rest = [f for f in crowd.members if _key(f) not in explained]
            if not own:
                kept.append(crowd)
            elif _still(rest, len(own), tick):
                findings = [*findings, *_new(own, known)]
                kept.append(crowd._replace(members=tuple(rest)))
            else:  # what only all of them together show is no evidence against the rest
                alone = [f for f in rest if f.subject not in crowd.weak]
                findings = [*(f for f in findings if _key(f) != _key(crowd.finding)), *_new([*own, *alone], known)]
        return findings, kept

    def _own(self, crowd: Crowd, tick: Tick) -> list[Finding]:
        """Return the members with a reason of their own: of a symptom what was lost; of slowness of one machine of a job's two what holds it up now."""
        if crowd.finding.side == "condition":
            return [f for f in crowd.members if _explains((mode for place in _around(f.subject, tick) for mode in self.said.get(place, ())), f)]
        if crowd.finding.side != "service":
            return []
        spans = self.slow.setdefault(crowd.finding.subject, {})
        _went_on(spans, crowd.finding.metric, tick.time, _pause(tick))
        if not crowd.sure or len({_machine(f.subject, tick) for f in crowd.members}) > 1:
            return []  # where it is not sure that they are another population they are accused anyway, each by what it shows
        slow, _ = spans[crowd.finding.metric]
        held = [f for f in crowd.members if _explains(self._holding(f.subject, slow, tick), f)]
        return held if len(held) >= MOST * len(crowd.members) else []

    def _holding(self, subject: str, slow: int, tick: Tick) -> Iterator[str]:
        """Yield what holds a part up now and began about when its group became slow: what was so long before explains nothing, nor what came after."""
        for place in _around(subject, tick):
            for mode, (since, last) in self.shown.get(place, {}).items():
                if tick.time - last <= _pause(tick) and slow - GATHERS <= since <= slow + EARLY:
                    yield mode


def _pause(tick: Tick) -> int:
    """Return for how long something need not be seen and is there still, by the table of the slow ones."""
    return max(SEEN, TICKS * tick.period)


def _went_on(spans: dict[str, tuple[int, int]], name: str, time: int, pause: int) -> None:
    """Note that something is so now; what was not so for longer than a pause began anew."""
    since, last = spans.get(name, (time, time))
    spans[name] = (since if time - last <= pause else time), time


def _explains(modes: Iterable[str], f: Finding) -> bool:
    return any(f.mode == mode or f.mode in effects(mode) for mode in modes)


def _lately(told: Mapping[str, Mapping[str, T]], holds: Callable[[T], bool]) -> dict[str, dict[str, T]]:
    """Return what still holds, without those of whom nothing does."""
    kept = {subject: {mode: at for mode, at in some.items() if holds(at)} for subject, some in told.items()}
    return {subject: some for subject, some in kept.items() if some}


def _key(f: Finding) -> tuple[str, str, str, str]:
    return f.subject, f.mode, f.detector, f.metric


def _new(some: list[Finding], known: Set[tuple[str, str, str, str]]) -> list[Finding]:
    """Return those of some findings that were not said already: members of a crowd that is not sure are accused anyway."""
    return [f for f in some if _key(f) not in known]


def _still(rest: list[Finding], others: int, tick: Tick) -> bool:
    """Say whether those without a reason are a crowd by themselves."""
    if not rest:
        return False
    peers = rest[0].n_peers + 1 - others
    return len(rest) >= max(CROWD * peers, 2) and spread([_machine(f.subject, tick) for f in rest])


def _machine(subject: str, tick: Tick) -> str:
    return tick.roster.key(subject, "node") or subject.partition("/")[0]


def _around(subject: str, tick: Tick) -> Iterator[str]:
    """Yield a subject, what it lies in by its name, its machine and its GPU."""
    yield _machine(subject, tick)
    yield tick.roster.key(subject, "gpu")
    while subject:
        yield subject
        subject = subject.rpartition("/")[0]
