"""Ownreason: who has lost the very thing that a symptom comes from shows it by itself, and belongs to no population.

Where a good part of a peer group stands out at once, the group is taken for two kinds of parts, and nobody is accused. But two machines of
one job that have each lost a power supply are two faults: that their GPUs are braked at the same time is no riddle. Nor is it which of a job's two
machines got slower where one of them is hot.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set

from grayscope.cascade import effects
from grayscope.crowd import CROWD, spread
from grayscope.evidence import Crowd, Finding
from grayscope.tick import Tick

#: Sides on which a part tells what it has lost.
OWN = frozenset({"redundancy", "health"})


class Reasons:
    """Remembers what components said of themselves lately, and what held them up by their condition: component -> mode -> when it was last so."""

    def __init__(self) -> None:
        self.said: dict[str, dict[str, int]] = {}
        self.shown: dict[str, dict[str, int]] = {}

    def hear(self, findings: Iterable[Finding], time: int, level: float, valid: int) -> None:
        """Take note of what parts lost or show, at least so strong, and forget what was longer than `valid` microseconds ago."""
        for f in findings:
            if f.mode and f.strength >= level and (f.side in OWN or (f.side == "condition" and f.mechanism)):
                (self.said if f.side in OWN else self.shown).setdefault(f.subject, {})[f.mode] = time
        self.said, self.shown = _lately(self.said, time - valid), _lately(self.shown, time - valid)

    def split(self, findings: list[Finding], crowds: Iterable[Crowd], tick: Tick) -> tuple[list[Finding], list[Crowd]]:
        """Return findings and crowds, those with reasons of their own out of their crowds of symptoms; what is left may be none any more."""
        kept, known = list[Crowd](), {_key(f) for f in findings}
        for crowd in crowds:
            own, rest, known_by = list[Finding](), list[Finding](), self._causes(crowd, tick)
            for f in crowd.members:
                (own if self._explains(f, known_by, tick) else rest).append(f)
            if not own:
                kept.append(crowd)
            elif _still(rest, len(own), tick):
                findings = [*findings, *_new(own, known)]
                kept.append(crowd._replace(members=tuple(rest)))
            else:  # what only all of them together show is no evidence against the rest
                alone = [f for f in rest if f.subject not in crowd.weak]
                findings = [*(f for f in findings if _key(f) != _key(crowd.finding)), *_new([*own, *alone], known)]
        return findings, kept

    def _causes(self, crowd: Crowd, tick: Tick) -> tuple[Mapping[str, Iterable[str]], ...]:
        """Return what may be a reason of members of a crowd: of a symptom what was lost; of slowness of one machine, half of a job, a symptom too."""
        if crowd.finding.side == "condition":
            return (self.said,)
        alone = crowd.finding.side == "service" and len({_machine(f.subject, tick) for f in crowd.members}) == 1
        return (self.said, self.shown) if alone else ()

    def _explains(self, f: Finding, causes: tuple[Mapping[str, Iterable[str]], ...], tick: Tick) -> bool:
        """Say whether a part, or what it lies in, has what brings about such a symptom."""
        modes = {mode for known in causes for place in _around(f.subject, tick) for mode in known.get(place, ())}
        return any(f.mode == mode or f.mode in effects(mode) for mode in modes)


def _lately(told: Mapping[str, Mapping[str, int]], since: int) -> dict[str, dict[str, int]]:
    """Return what was told since then, without those of whom nothing was."""
    kept = {subject: {mode: at for mode, at in some.items() if at >= since} for subject, some in told.items()}
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
