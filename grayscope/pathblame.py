"""Pathblame: from paths that stand out to the ends, or to the components in between, that they share."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from grayscope.evidence import Finding, distance
from grayscope.history import History
from grayscope.matrix import ends_of
from grayscope.pathaway import PATHS, Away
from grayscope.pathsolve import Incidence, Suspect, solve
from grayscope.tick import Tick

#: Paths that must have stood out to accuse what they share; their least share of all that cross it there; and how many
#: times the share among all paths that must be.
VOTES, SHARE, TIMES = 4, 0.05, 5
#: Ticks for which a path's vote counts, and an accused end keeps its paths.
VALID = 64
#: Times the effect of an end beyond which a path has a trouble of its own.
FAR = 4.0
#: Rivals that are told of one suspect.
RIVALS = 8

#: A component and its place on the path: to send badly and to receive badly are two things.
End = tuple[str, int]


class PathBlame:
    """Part of blame. Ends get votes; components between the ends are found by a sparse solution.

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
        self._known: dict[str, tuple[object, object, Counter[End], Incidence]] = {}

    def step(
        self, findings: list[Finding], tick: Tick, now: int, accusing: frozenset[str], excess: NDArray[np.float32], told: Mapping[str, int], congested: bool,
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
        moved = list(self._owned(findings, tick, ends, owning, paths))
        if any(len(tick.roster.crosses(f.subject)) > 2 for f in moved):
            moved = list(self._solved(moved, tick, votes, excess, told))
        return list(self._voted(moved, tick, votes))

    @staticmethod
    def _owned(findings: list[Finding], tick: Tick, ends: dict[str, tuple[int, float]], told: Mapping[str, int], paths: set[str]) -> Iterator[Finding]:
        """Let what is accused itself, or lately told something about itself, take its paths with it.

        Unless the path is far worse than what is accused by its paths explains. What is known of a component itself goes before what its paths say
        of another: a port at a quarter of its rate is no matter of the switch between.
        """
        for f in findings:
            crossed = tick.roster.crosses(f.subject) if f.subject in paths else ()
            size, owner = max(((ends[c][1], c) for c in crossed if c in ends), default=(0.0, ""))
            owner = owner if distance(f) <= FAR * size else ""
            if owner not in told:
                owner = max(((told[c], c) for c in crossed if c in told), default=(0, owner or _teller(crossed, tick, told)))[1]
            yield f._replace(subject=owner, why=f"one of its paths is {f.subject}: {f.why}") if owner else f

    def _inner(
        self, findings: list[Finding], certain: list[bool], tick: Tick, ends: dict[str, tuple[int, float]], told: Mapping[str, int], excess: NDArray[np.float32]
    ) -> list[Finding]:  # fmt: skip
        """Move findings about components to those that explain more, which come first; what others explain is accused no longer."""
        away = Away(tick, self._counted(tick)[1], excess, {*ends, *told})
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
        incidence, row = self._counted(tick)[1], {name: m for m, name in enumerate(tick.metrics)}
        column = {s: i for i, s in enumerate(tick.subjects)}
        bad = {m: [f for f in findings if f.metric == m and f.subject in votes] for m in sorted({f.metric for f in findings})}
        prior = {c: self.history.weight(c) * (10.0 if c in told else 1.0) for alike in incidence.classes for c in alike}
        suspects = {m: solve(incidence, excess[row[m]].astype(np.float64), prior) if m in row and len(some) >= PATHS else [] for m, some in bad.items()}
        for f in findings:
            mine = [s for s in suspects[f.metric] if column.get(f.subject) in s.paths] if f.subject in votes else []
            yield _towards(f, max(mine, key=lambda s: s.effect)) if mine else f

    def _voted(self, findings: list[Finding], tick: Tick, votes: dict[str, int]) -> Iterator[Finding]:
        """Let the paths that stood out lately vote; the most accused end takes its paths with it, then the next."""
        ends = {path: _ends(path, tick) for path in sorted(votes)}
        usual = TIMES * len(votes) / max(len(tick.subjects), 1)
        all_of = self._counted(tick)[0]
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

    def _counted(self, tick: Tick) -> tuple[Counter[End], Incidence]:
        """Return how many paths have each end, and which paths cross what."""
        known = self._known.get(tick.table)
        if known is None or known[0] is not tick.subjects or known[1] is not tick.roster:
            ends = Counter(e for s in tick.subjects for e in _ends(s, tick))
            known = self._known[tick.table] = (tick.subjects, tick.roster, ends, Incidence([tick.roster.crosses(s) for s in tick.subjects]))
        return known[2], known[3]


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
