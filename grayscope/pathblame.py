"""Pathblame: from paths that stand out to the ends, to the components in between, or to the blocks of pairs, that they share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from grayscope import blocks
from grayscope.evidence import Crowd, Finding, distance
from grayscope.heldblocks import MOST, VALID, fresh, standing
from grayscope.history import History
from grayscope.matrix import ends_of
from grayscope.pathaway import Away
from grayscope.pathowners import owned
from grayscope.pathshared import STANDING, seek, solved
from grayscope.pathvotes import voted
from grayscope.pathways import Look, Pathways
from grayscope.tick import Tick


class PathBlame:
    """Part of blame. Ends get votes; components between the ends, and blocks, are found by a sparse solution, blocks of no place by themselves.

    Parameters
    ----------
    enter : float
        Strength from which on an end is accused for certain.
    history : History, optional
        Who was suspected before: decides where the paths cannot.
    """

    def __init__(self, enter: float, history: History | None = None) -> None:
        self.enter, self.history = enter, history or History()
        self.votes: dict[str, dict[str, int]] = {}  # table -> path -> tick of its last vote
        self.ends: dict[str, dict[str, tuple[int, float]]] = {}  # table -> end that was accused itself -> tick, size of the effect
        self.blocks: dict[str, dict[str, dict[str, int]]] = {}  # table -> path that stands for a block of no place -> path -> tick at which it was in it
        self.said: dict[str, dict[str, int]] = {}  # table -> block of places that was accused -> tick; the first of both ways comes first
        self._ways = Pathways()

    def step(
        self, findings: list[Finding], tick: Tick, now: int, accusing: frozenset[str], excess: NDArray[np.float32], told: Mapping[str, int], congested: bool,
        crowds: Iterable[Crowd] = (),
    ) -> list[Finding]:  # fmt: skip
        """Return the findings with those about paths moved to what the paths share.

        Parameters
        ----------
        findings : list of Finding
        tick : Tick
        now : int
            Number of the tick in its table.
        accusing : frozenset of str
            Sides that accuse.
        excess : [M, S]
            Lasting distance from what was expected, larger is worse.
        told : dict of str to int
            Components about which other evidence is at hand.
        congested : bool
            The network said lately that it is overloaded: then a component that retries explains nothing.
        crowds : iterable of Crowd
            Of whom some of the findings tell: where most of one have something in common, it is told as that.
        """
        owning: Mapping[str, int] = {} if congested else told
        paths = {f.subject for f in findings if tick.roster.crosses(f.subject)}
        votes = self.votes.get(tick.table, {}) | {f.subject: now for f in findings if f.side in accusing and f.subject in paths}
        self.votes[tick.table] = votes = {path: seen for path, seen in votes.items() if now - seen <= VALID}
        ends = {end: (seen, size) for end, (seen, size) in self.ends.get(tick.table, {}).items() if now - seen <= VALID}
        self.ends[tick.table] = ends
        look = Look(tick, now, self._ways.of(tick), votes, ends, excess, told)
        certain = [f.side in accusing and f.subject not in paths and f.strength >= self.enter for f in findings]
        findings = _inner(findings, certain, look, owning)
        ends |= {f.subject: (now, distance(f)) for f in findings if f.side in accusing and f.subject not in paths and f.strength >= self.enter}
        moved = self._shared(list(owned(findings, look, owning, paths)), look)
        gone, opened = set[tuple[str, str, str]](), list[Finding]()
        for crowd in sorted(crowds, key=lambda crowd: crowd.finding.detector == STANDING):
            some = self._opened(crowd, look, owning)
            if some:
                gone.add(_about(crowd.finding))
                opened += some
        left = voted([f for f in moved if _about(f) not in gone], look, self.blocks.get(tick.table, {}))
        self.said[tick.table] = {name: at for name, at in self.said.get(tick.table, {}).items() if now - at <= VALID}
        return [self._folded(f, look) for f in (*left, *opened)]

    def _opened(self, crowd: Crowd, look: Look, owning: Mapping[str, int]) -> list[Finding]:
        """Return the findings about what most of a crowd of paths have in common, nothing where that is not known.

        What has always been so may be the way of the place: that is only told of who is accused already.
        """
        who, held = {f.subject: look.now for f in crowd.members}, self.blocks
        some = list(owned(list(crowd.members), look, owning, {*who}))
        some = self._shared(some, look._replace(votes=look.votes | who), anew=crowd.finding.detector != STANDING)
        to = [(f, was.subject) for f, was in zip(some, crowd.members, strict=True) if f is not was]
        counted = Counter(min(f.subject, blocks.reverse(f.subject) or f.subject) for f, _ in to)
        if max(counted.values(), default=0) < MOST * len(some):
            return []
        for f, path in to:
            if f.subject in held[look.tick.table]:
                held[look.tick.table][f.subject][path] = look.now
            else:
                look.ends[f.subject] = (look.now, max(distance(f), look.ends.get(f.subject, (0, 0.0))[1]))
        return [f for f, _ in to]

    def _shared(self, findings: list[Finding], look: Look, anew: bool = True) -> list[Finding]:
        """Move paths to what explains them: a component, a block between places, else a block of which no place tells; not `anew` to one that is known."""
        table, column = look.tick.table, look.known.column
        if anew and any(len(look.known.incidence.crossed[column[f.subject]]) > 2 for f in findings if f.subject in column):
            findings = list(solved(findings, look, self.history))
        if anew:
            seek(findings, look, self.blocks.setdefault(table, {}))
        held = self.blocks[table] = fresh(self.blocks.get(table, {}), look.now)
        lead = {path: first for first, some in held.items() for path in some if path in look.votes}
        words = {first: standing(first, sorted(held[first]), look.tick) for first in {lead[f.subject] for f in findings if f.subject in lead}}
        return [words[lead[f.subject]].of(f) if f.subject in lead else f for f in findings]

    def _folded(self, f: Finding, look: Look) -> Finding:
        """Return a finding about a block with who its ends are: as one about it the other way, if that was accused first; inside one place as that place's."""
        tick, known, other, said = look.tick, look.known, blocks.reverse(f.subject), self.said[look.tick.table]
        if f.subject not in known.blocks:
            return f
        if f.strength >= self.enter:
            said[f.subject] = look.now
        if f.subject not in known.words:
            known.words[f.subject] = blocks.told([pair for p in sorted(known.incidence.of(f.subject)) if (pair := ends_of(tick.subjects[p], tick))])
        first = next((name for name in said if name in (f.subject, other)), f.subject)
        return f._replace(subject=blocks.place(first), why=f"{known.words[f.subject]}{', and the other way' if first != f.subject else ''}: {f.why}")


def _inner(findings: list[Finding], certain: list[bool], look: Look, told: Mapping[str, int]) -> list[Finding]:
    """Move findings about components to those that explain more, which come first; what others explain is accused no longer."""
    away = Away(look.tick, look.known.incidence, look.excess, {*look.ends, *told})
    inner: dict[int, Finding] = {}
    for i in sorted(range(len(findings)), key=lambda i: (-away.weight(findings[i]), -findings[i].strength, findings[i].subject)):
        f = away.inner(findings[i])
        if f is not None:
            inner[i] = f
            if certain[i]:
                away.accuse(f.subject)
    for name in away.cleared.difference(f.subject for f in inner.values()):
        look.ends.pop(name, None)
    return [inner[i] for i in sorted(inner)]


def _about(f: Finding) -> tuple[str, str, str]:
    """Return what the finding about a crowd is told by; nothing else is in its mode."""
    return (f.detector, f.metric, f.subject) if f.mode == "group_shift" else ("", "", "")
