"""Pathblame: from paths that stand out to the ends, to the components in between, or to the blocks of pairs, that they share."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from grayscope import blocks, unnamed
from grayscope.crowd import CROWD
from grayscope.evidence import Crowd, Finding, distance
from grayscope.heldblocks import MOST, VALID, fresh, hold, standing
from grayscope.history import History
from grayscope.matrix import Mesh, ends_of
from grayscope.pathaway import PATHS, Away
from grayscope.pathsolve import Incidence, Suspect, solve
from grayscope.tick import Tick

#: Paths that must have stood out to accuse what they share; their least share of all that cross it there; and how many
#: times the share among all paths that must be.
VOTES, SHARE, TIMES = 4, 0.05, 5
#: Times the effect of an end beyond which a path has a trouble of its own.
FAR = 4.0
#: Rivals that are told of one suspect.
RIVALS = 8
#: The detector whose crowds may have been so for ever.
STANDING = "slower"

#: A component and its place on the path: to send badly and to receive badly are two things.
End = tuple[str, int]


class Known(NamedTuple):
    """What follows from the roster and the subjects of a table.

    Where each subject is, how many paths each end has, what crosses what (with the blocks), the names of the blocks, where paths lead, and the ends of each
    block in words, as far as they were asked for.
    """

    column: dict[str, int]
    ends: Counter[End]
    incidence: Incidence
    blocks: frozenset[str]
    paths: unnamed.Paths
    words: dict[str, str]


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
        self._known: dict[str, tuple[object, object, Known]] = {}

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
        votes, ends = self.votes.setdefault(tick.table, {}), self.ends.setdefault(tick.table, {})
        paths = {f.subject for f in findings if tick.roster.crosses(f.subject)}
        votes |= {f.subject: now for f in findings if f.side in accusing and f.subject in paths}
        self.votes[tick.table] = votes = {path: seen for path, seen in votes.items() if now - seen <= VALID}
        self.ends[tick.table] = ends = {end: (seen, size) for end, (seen, size) in ends.items() if now - seen <= VALID}
        certain = [f.side in accusing and f.subject not in paths and f.strength >= self.enter for f in findings]
        findings = self._inner(findings, certain, tick, ends, owning, excess)
        ends |= {f.subject: (now, distance(f)) for f in findings if f.side in accusing and f.subject not in paths and f.strength >= self.enter}
        moved = self._shared(list(self._owned(findings, tick, ends, owning, paths)), tick, now, votes, excess, told)
        gone, opened = set[tuple[str, str, str]](), list[Finding]()
        for crowd in sorted(crowds, key=lambda crowd: crowd.finding.detector == STANDING):
            some = self._opened(crowd, tick, now, votes, ends, excess, told, owning)
            if some:
                gone.add(_about(crowd.finding))
                opened += some
        voted = self._voted([f for f in moved if _about(f) not in gone], tick, votes)
        self.said[tick.table] = {name: at for name, at in self.said.get(tick.table, {}).items() if now - at <= VALID}
        return [self._folded(f, tick, now) for f in (*voted, *opened)]

    def _opened(
        self, crowd: Crowd, tick: Tick, now: int, votes: dict[str, int], ends: dict[str, tuple[int, float]], excess: NDArray[np.float32],
        told: Mapping[str, int], owning: Mapping[str, int],
    ) -> list[Finding]:  # fmt: skip
        """Return the findings about what most of a crowd of paths have in common, nothing where that is not known.

        What has always been so may be the way of the place: that is only told of who is accused already.
        """
        who = {f.subject: now for f in crowd.members}
        some = list(self._owned(list(crowd.members), tick, ends, owning, {*who}))
        some = self._shared(some, tick, now, votes | who, excess, told, anew=crowd.finding.detector != STANDING)
        to = [(f, was.subject) for f, was in zip(some, crowd.members, strict=True) if f is not was]
        counted = Counter(min(f.subject, blocks.reverse(f.subject) or f.subject) for f, _ in to)
        if max(counted.values(), default=0) < MOST * len(some):
            return []
        for f, path in to:
            if f.subject in self.blocks[tick.table]:
                self.blocks[tick.table][f.subject][path] = now
            else:
                ends[f.subject] = (now, max(distance(f), ends.get(f.subject, (0, 0.0))[1]))
        return [f for f, _ in to]

    def _shared(
        self, findings: list[Finding], tick: Tick, now: int, votes: dict[str, int], excess: NDArray[np.float32], told: Mapping[str, int], anew: bool = True
    ) -> list[Finding]:
        """Move paths to what explains them: a component, a block between places, else a block of which no place tells; not `anew` to one that is known."""
        known = self._counted(tick)
        if anew and any(len(known.incidence.crossed[known.column[f.subject]]) > 2 for f in findings if f.subject in known.column):
            findings = list(self._solved(findings, tick, votes, excess, told))
        if anew:
            self._seek(findings, tick, now, votes, excess)
        held = self.blocks[tick.table] = fresh(self.blocks.get(tick.table, {}), now)
        lead = {path: first for first, some in held.items() for path in some if path in votes}
        words = {first: standing(first, sorted(held[first]), tick) for first in {lead[f.subject] for f in findings if f.subject in lead}}
        return [words[lead[f.subject]].of(f) if f.subject in lead else f for f in findings]

    def _folded(self, f: Finding, tick: Tick, now: int) -> Finding:
        """Return a finding about a block with who its ends are: as one about it the other way, if that was accused first; inside one place as that place's."""
        known, other, said = self._counted(tick), blocks.reverse(f.subject), self.said[tick.table]
        if f.subject not in known.blocks:
            return f
        if f.strength >= self.enter:
            said[f.subject] = now
        if f.subject not in known.words:
            known.words[f.subject] = blocks.told([pair for p in sorted(known.incidence.of(f.subject)) if (pair := ends_of(tick.subjects[p], tick))])
        first = next((name for name in said if name in (f.subject, other)), f.subject)
        return f._replace(subject=blocks.place(first), why=f"{known.words[f.subject]}{', and the other way' if first != f.subject else ''}: {f.why}")

    def _owned(self, findings: list[Finding], tick: Tick, ends: dict[str, tuple[int, float]], told: Mapping[str, int], paths: set[str]) -> Iterator[Finding]:
        """Let what is accused itself, or lately told something about itself, take its paths with it.

        Unless the path is far worse than what is accused by its paths explains. What is known of a component itself goes before what its paths say
        of another: a port at a quarter of its rate is no matter of the switch between.
        """
        known = self._counted(tick)
        for f in findings:
            crossed = known.incidence.crossed[known.column[f.subject]] if f.subject in paths and f.subject in known.column else ()
            size, owner = max(((ends[c][1], c) for c in crossed if c in ends), default=(0.0, ""))
            owner = owner if distance(f) <= FAR * size else ""
            if owner not in told:
                owner = max(((told[c], c) for c in crossed if c in told), default=(0, owner or _teller(crossed, tick, told)))[1]
            yield f._replace(subject=owner, why=f"one of its paths is {f.subject}: {f.why}") if owner else f

    def _inner(
        self, findings: list[Finding], certain: list[bool], tick: Tick, ends: dict[str, tuple[int, float]], told: Mapping[str, int], excess: NDArray[np.float32]
    ) -> list[Finding]:  # fmt: skip
        """Move findings about components to those that explain more, which come first; what others explain is accused no longer."""
        away = Away(tick, self._counted(tick).incidence, excess, {*ends, *told})
        inner: dict[int, Finding] = {}
        for i in sorted(range(len(findings)), key=lambda i: (-away.weight(findings[i]), -findings[i].strength, findings[i].subject)):
            f = away.inner(findings[i])
            if f is not None:
                inner[i] = f
                if certain[i]:
                    away.accuse(f.subject)
        for name in away.cleared.difference(f.subject for f in inner.values()):
            ends.pop(name, None)
        return [inner[i] for i in sorted(inner)]

    def _solved(self, findings: list[Finding], tick: Tick, votes: dict[str, int], excess: NDArray[np.float32], told: Mapping[str, int]) -> Iterator[Finding]:
        """Find the components that explain the paths of each metric, and move the paths to them."""
        known, row = self._counted(tick), {name: m for m, name in enumerate(tick.metrics)}
        bad = {m: [f for f in findings if f.metric == m and f.subject in votes] for m in sorted({f.metric for f in findings})}
        prior = {c: self.history.weight(c) * (10.0 if c in told else 1.0) for alike in known.incidence.classes for c in alike}
        suspects = {m: solve(known.incidence, excess[row[m]].astype(np.float64), prior) if m in row and len(some) >= PATHS else [] for m, some in bad.items()}
        for f in findings:
            mine = [s for s in suspects[f.metric] if known.column.get(f.subject) in s.paths] if f.subject in votes else []
            best = max(mine, key=lambda s: s.effect, default=None)
            if best is None or (best.names[0][0] in known.blocks and _usual(f, len(best.paths), tick)):
                yield f
                continue
            yield _towards(f, best)

    def _seek(self, findings: list[Finding], tick: Tick, now: int, votes: dict[str, int], excess: NDArray[np.float32]) -> None:
        """Look for blocks around the paths that stand out for themselves: what has nearly the same paths stands for each, else one of its paths."""
        row, known, held = {name: m for m, name in enumerate(tick.metrics)}, self._counted(tick), self.blocks.setdefault(tick.table, {})
        column = known.column
        alone = sorted((f for f in findings if f.subject in votes and f.subject in column and f.metric in row), key=lambda f: (-f.strength, f.subject))
        for m in sorted({row[f.metric] for f in alone}):
            mine = [f for f in alone if row[f.metric] == m]
            for some in unnamed.found(excess[m], known.paths, [column[f.subject] for f in mine]):
                who = {tick.subjects[p] for p in some}
                if not all(_usual(f, len(some), tick) for f in mine if f.subject in who):
                    hold(held, [tick.subjects[p] for p in some], votes, now, known.incidence.alike(some, MOST))

    def _voted(self, findings: list[Finding], tick: Tick, votes: dict[str, int]) -> Iterator[Finding]:
        """Let the paths that stood out lately vote; the most accused end takes its paths with it, then the next."""
        known, held = self._counted(tick), self.blocks.get(tick.table, {})
        told = {*held, *(path for some in held.values() for path in some)}
        ends = {path: _ends(path, tick) for path in sorted(votes) if path not in told}
        usual = TIMES * len(votes) / max(len(tick.subjects), 1)
        all_of = known.ends
        suspect: dict[str, End] = {}
        while True:
            counted = Counter(e for path, both in ends.items() if path not in suspect for e in both)
            guilty = [(n / all_of[e], e) for e, n in counted.items() if n >= VOTES and n / max(all_of[e], n) >= max(SHARE, usual)]
            if not guilty:
                break
            worst = max(guilty)[1]
            suspect |= {path: worst for path, both in ends.items() if worst in both and path not in suspect}
        for f in findings:
            end = suspect.get(f.subject)
            n = sum(e == end for e in suspect.values())
            yield f if end is None else f._replace(subject=end[0], why=f"{n} of {all_of[end]} paths through it stood out, one is {f.subject}: {f.why}")

    def _counted(self, tick: Tick) -> Known:
        """Return how many paths have each end, which paths cross what, and where they lead."""
        kept = self._known.get(tick.table)
        if kept is None or kept[0] is not tick.subjects or kept[1] is not tick.roster:
            kept = self._known[tick.table] = (tick.subjects, tick.roster, _known(tick))
        return kept[2]


def _known(tick: Tick) -> Known:
    mesh, crossed = Mesh.of(tick), [_way(s, tick) for s in tick.subjects]
    for c in range(mesh.named, len(mesh.between)):
        for p in mesh.member[0][mesh.member[1] == c].tolist():
            crossed[p] = (*crossed[p], *mesh.between[c])
    names = frozenset(name for of in mesh.between[mesh.named :] for name in of)
    paths = unnamed.Paths(mesh.path.astype(np.intp), mesh.source.astype(np.intp), mesh.target.astype(np.intp), len(mesh.ends))
    return Known({s: i for i, s in enumerate(tick.subjects)}, Counter(e for s in tick.subjects for e in _ends(s, tick)), Incidence(crossed), names, paths, {})


def _way(subject: str, tick: Tick) -> tuple[str, ...]:
    """Return what a path crosses: what the roster says, and the switches above its ends, whether or not that says so."""
    crossed = tick.roster.crosses(subject)
    return tuple(dict.fromkeys((*crossed, *(leaf for end in ends_of(subject, tick) or () if (leaf := tick.roster.key(end, "leaf")))))) if crossed else ()


def _about(f: Finding) -> tuple[str, str, str]:
    """Return what the finding about a crowd is told by; nothing else is in its mode."""
    return (f.detector, f.metric, f.subject) if f.mode == "group_shift" else ("", "", "")


def _usual(f: Finding, paths: int, tick: Tick) -> bool:
    """Say whether a path is only worse than its peers, and so many with it that they may be of another kind and always have been."""
    return f.detector == STANDING and paths >= CROWD * len(tick.subjects)


def _teller(crossed: tuple[str, ...], tick: Tick, told: Mapping[str, int]) -> str:
    """Return what on a way told something about itself last, else a part beside one on the way (it may carry the other's load); ``""`` if none."""
    kinds = {(tick.roster.key(c, "node"), row.table) for c in crossed if "/" in c and (row := tick.roster.rows.get(c)) is not None}
    beside = {c for c in told if (row := tick.roster.rows.get(c)) is not None and (tick.roster.key(c, "node"), row.table) in kinds}
    for some in (told.keys() & set(crossed), beside):
        if some:
            return max((told[c], c) for c in some)[1]
    return ""


def _ends(subject: str, tick: Tick) -> tuple[End, ...]:
    """Return the ends of a path; where they are not known, everything that it crosses."""
    ends = ends_of(subject, tick)
    return ((ends[0], 0), (ends[1], 1)) if ends else tuple((c, 0) for c in tick.roster.crosses(subject))


def _towards(f: Finding, suspect: Suspect) -> Finding:
    """Move a path's finding to what explains it, with all that the data cannot tell from it."""
    (name, chance), rest = suspect.names[0], suspect.names[1:]
    doubt = f" (or {', '.join(f'{n} {p:.0%}' for n, p in rest[:3])}: the paths cannot tell them apart, {name} {chance:.0%})" if rest else ""
    why = f"explains {suspect.explained:.0%} of the excess on {len(suspect.paths)} paths{doubt}, one is {f.subject}: {f.why}"
    return f._replace(subject=name, why=why, rivals=json.dumps(rest[:RIVALS]) if rest else "")
