"""Ownreason: who has lost the very thing that a symptom comes from shows it by itself, and belongs to no population.

Where a good part of a peer group stands out at once, the group is taken for two kinds of parts, and nobody is accused. But two machines of
one job that have each lost a power supply are two faults: that their GPUs are braked at the same time is no riddle.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set

from grayscope.cascade import effects
from grayscope.crowd import CROWD, spread
from grayscope.evidence import Crowd, Finding
from grayscope.tick import Tick

#: Sides on which a part tells what it has lost.
OWN = frozenset({"redundancy", "health"})


class Reasons:
    """Remembers what components said of themselves lately: component -> mode -> when it was last said."""

    def __init__(self) -> None:
        self.said: dict[str, dict[str, int]] = {}

    def hear(self, findings: Iterable[Finding], time: int, level: float, valid: int) -> None:
        """Take note of what parts lost by their own word, at least so strong, and forget what was said longer than `valid` microseconds ago."""
        for f in findings:
            if f.side in OWN and f.mode and f.strength >= level:
                self.said.setdefault(f.subject, {})[f.mode] = time
        for subject in [*self.said]:
            kept = {mode: at for mode, at in self.said[subject].items() if time - at <= valid}
            if kept:
                self.said[subject] = kept
            else:
                del self.said[subject]

    def split(self, findings: list[Finding], crowds: Iterable[Crowd], tick: Tick) -> tuple[list[Finding], list[Crowd]]:
        """Return findings and crowds, those with reasons of their own out of their crowds of symptoms; what is left may be none any more."""
        kept, known = list[Crowd](), {_key(f) for f in findings}
        for crowd in crowds:
            own, rest = list[Finding](), list[Finding]()
            for f in crowd.members:
                (own if crowd.finding.side == "condition" and self._explains(f, tick) else rest).append(f)
            if not own:
                kept.append(crowd)
            elif _still(rest, len(own), tick):
                findings = [*findings, *_new(own, known)]
                kept.append(crowd._replace(members=tuple(rest)))
            else:  # what only all of them together show is no evidence against the rest
                alone = [f for f in rest if f.subject not in crowd.weak]
                findings = [*(f for f in findings if _key(f) != _key(crowd.finding)), *_new([*own, *alone], known)]
        return findings, kept

    def _explains(self, f: Finding, tick: Tick) -> bool:
        """Say whether a part, or what it lies in, has lost what brings about such a symptom."""
        modes = {mode for place in _around(f.subject, tick) for mode in self.said.get(place, ())}
        return any(f.mode == mode or f.mode in effects(mode) for mode in modes)


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
    """Yield a subject, what it lies in by its name, and its machine."""
    yield _machine(subject, tick)
    while subject:
        yield subject
        subject = subject.rpartition("/")[0]
