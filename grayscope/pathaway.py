"""Pathaway: what an accused component explains of its paths accuses no other (explaining away).

Few paths are probed of each port, and a bad spine may be on two of the three. All three cross the port's leaf, half of whose other paths may
be bad as well: by that alone the leaf were the better suspect, were it not known who spoils them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence, Set

import numpy as np
from numpy.typing import NDArray

from grayscope.evidence import Finding
from grayscope.pathsolve import Incidence
from grayscope.tick import Tick

#: Paths that tell of a component.
PATHS = 2
#: Share of the excess of its paths through an accused component that a component's other paths must stay below to be well.
WELL = 0.5
#: Share of all paths that are well even when two switches are bad at once, and that may be well through a bad one or left unexplained.
BEST = 0.25

#: How many paths of the one that was accused cross another, how many do in all, and its name.
Choice = tuple[int, int, str]
NOBODY: Choice = (0, 0, "")
Floats = NDArray[np.float32]


class Away:
    """What the components explain of one tick of a table of paths.

    Parameters
    ----------
    tick : Tick
    incidence : Incidence
        Which of its subjects cross what.
    excess : [M, S]
        Lasting distance from what was expected, larger is worse.
    accused : iterable of str
        Who is accused so far; what no path crosses has nothing to do with paths.
    """

    def __init__(self, tick: Tick, incidence: Incidence, excess: NDArray[np.float32], accused: Iterable[str] = ()) -> None:
        self.tick, self.incidence = tick, incidence
        self.left: Floats = np.nan_to_num(excess)
        self.accused: set[str] = set()
        self._told = np.zeros(len(incidence.number), bool)  # the same by number
        for name in accused:
            self.accuse(name)
        self.cleared: set[str] = set()  # accused ones whose effect others explain
        self._row = {name: m for m, name in enumerate(tick.metrics)}
        self._adds: dict[tuple[int, str], float] = {}
        self._all: dict[int, tuple[int, Floats, NDArray[np.float64]]] = {}
        self._levels: dict[int, float] = {}

    def accuse(self, name: str) -> None:
        """Take one more for accused."""
        if name in self.incidence.number:
            self.accused.add(name)
            self._told[self.incidence.number[name]] = True

    def weight(self, f: Finding) -> float:
        """Return how much the component that a finding accuses explains in all."""
        m = self._row.get(f.metric)
        return self._explains(m, f.subject) if m is not None and f.side == "service" else 0.0

    def inner(self, f: Finding) -> Finding | None:
        """Move a finding about a component to an accused one that some of its paths cross, if its other paths are well.

        Else to one that all of them cross, as those of a port cross its switch, if paths of others through that are as bad beyond what the
        accused explain. None where such a one is accused and the paths are well by now: what is left of its trouble in long means is nobody else's.
        """
        mine, m = self.incidence.of(f.subject), self._row.get(f.metric)
        if f.side != "service" or len(mine) < PATHS or m is None:
            return f
        ways = [[c for c in self.incidence.crossed[s] if c != f.subject] for s in sorted(mine)]
        every, known = set.intersection(*map(set, ways)), sorted(set().union(*ways) & self.accused)
        if any(self._well(m, mine, other) for other in every.intersection(known)):
            return None
        n, _, other = max((self._known(m, f.subject, other) for other in known), default=NOBODY)
        rest = "the others are well" if 0 < n < len(mine) else "and so do others that are as bad"
        if not n:
            n, _, other = self._unknown(m, f.subject, ways, every.difference(known))
        return f._replace(subject=other, why=f"{n} of the {len(mine)} paths through {f.subject} cross it, {rest}; {f.why}") if n else f

    def _well(self, m: int, mine: frozenset[int], other: str) -> bool:
        """Say whether paths that all cross another one, as others' do, are well."""
        return len(self.incidence.of(other) - mine) >= PATHS and float(np.median(self.left[m, sorted(mine)])) <= 0

    def _known(self, m: int, name: str, other: str) -> Choice:
        """Return an accused one that the paths speak against, beyond those that explain more than it.

        What is found about a component is the median of its rows: who is on too few of its paths has not moved that, however bad those are.
        """
        mine, theirs = self.incidence.of(name), self.incidence.of(other)
        if len(mine & theirs) < BEST * len(mine):
            return NOBODY
        more = self._told & (self._of_all(m)[1] > self._explains(m, other))
        more[[self.incidence.number[c] for c in (name, other)]] = False
        left = self._beyond(m, mine, mine | theirs, more)
        if _speaks(mine, theirs, left) and (not more.any() or self._remains(m, mine, left)):
            return len(mine & theirs), len(theirs), other
        if _speaks(mine, theirs, self.left[m]):
            self.cleared.add(other)
        return NOBODY

    def _unknown(self, m: int, name: str, ways: Sequence[Sequence[str]], every: Set[str]) -> Choice:
        """Return an accused one if all of them together explain the paths, else one that all paths cross, else an accused one that others help."""
        mine, known = self.incidence.of(name), self._told.copy()
        known[self.incidence.number[name]] = False
        best = self._elsewhere(m, name, ways, self.accused)
        if best == NOBODY:
            left = self._beyond(m, mine, mine.union(*map(self.incidence.of, every)), known)
            bad = not known.any() or self._remains(m, mine, left)
            alike = [(len(mine), len(theirs), other) for other in every if bad and _speaks(mine, theirs := self.incidence.of(other), left)]
            best = max(alike, default=NOBODY)
        return best if best != NOBODY else self._elsewhere(m, name, ways, None)

    def _elsewhere(self, m: int, name: str, ways: Sequence[Sequence[str]], among: Set[str] | None) -> Choice:
        """Return the accused one behind most, at least a quarter, of the paths of a component, if those are no worse than others through what they cross.

        `among` says which of those count, all by default. Each of two bad spines may carry half of a leaf's paths: neither leaves the rest of
        them well. Where all paths are bad, none tells: 0 of none, as where the paths are worse.
        """
        if self.accused <= {name}:
            return NOBODY
        paths, left = sorted(self.incidence.of(name)), self.left[m]
        others = {c: sorted(self.incidence.of(c).difference(paths)) for c in {c for way in ways for c in way} if among is None or c in among}
        usual = {c: float(np.quantile(left[theirs], BEST)) for c, theirs in others.items() if len(theirs) >= PATHS}
        explained = [max(((usual[c], c) for c in way if c in usual), default=(0.0, "")) for way in ways]
        level = self._level(m)
        size, rest = np.mean(left[paths]) - level, np.mean(left[paths] - np.maximum([e for e, _ in explained], level))
        behind = Counter(c for e, c in explained if c in self.accused and e > level) if rest < BEST * size else Counter[str]()
        return max(((n, len(self.incidence.of(c)), c) for c, n in behind.items() if n >= BEST * len(paths)), default=NOBODY)

    def _beyond(self, m: int, mine: frozenset[int], scope: frozenset[int], known: NDArray[np.bool_]) -> Floats:
        """Return the excess of all paths [S], those in scope beyond what some components [C] explain; of those on the paths in question others' paths tell."""
        left: Floats = self.left[m].copy()
        adds, paths = np.where(known, self._of_all(m)[0], np.float32(0)), sorted(scope)
        for c in {c for s in mine for c in self.incidence.crossed[s] if known[self.incidence.number[c]]}:
            adds[self.incidence.number[c]] = self._effect(m, self.incidence.of(c) - mine)
        left[paths] -= self.incidence.largest(adds, paths)
        return left

    def _of_all(self, m: int) -> tuple[Floats, NDArray[np.float64]]:
        """Return by number what each accused component adds to each of its paths, and explains in all [C]; nothing for all others."""
        n, adds, explains = self._all.get(m) or (0, np.zeros(len(self._told), np.float32), np.zeros(len(self._told)))
        if n < len(self.accused):
            for c in self.accused:
                adds[self.incidence.number[c]], explains[self.incidence.number[c]] = self._added(m, c), self._explains(m, c)
            self._all[m] = (len(self.accused), adds, explains)
        return adds, explains

    def _remains(self, m: int, mine: frozenset[int], left: Floats) -> bool:
        """Say whether what is left of paths is more than what may be left unexplained."""
        paths, level = sorted(mine), self._level(m)
        return bool(np.mean(left[paths]) - level >= BEST * (np.mean(self.left[m, paths]) - level))

    def _explains(self, m: int, name: str) -> float:
        return self._added(m, name) * len(self.incidence.of(name))

    def _added(self, m: int, name: str) -> float:
        """Return what a component adds at least to each of its paths."""
        if (m, name) not in self._adds:
            self._adds[m, name] = self._effect(m, self.incidence.of(name))
        return self._adds[m, name]

    def _effect(self, m: int, paths: frozenset[int]) -> float:
        """Return what nearly all of these paths have beyond what is usual: what spoils only some of them is not theirs in common."""
        if len(paths) < PATHS:
            return 0.0
        return max(float(np.quantile(self.left[m, sorted(paths)], BEST)) - self._level(m), 0.0)

    def _level(self, m: int) -> float:
        """Return the excess that paths have when nothing is wrong with them."""
        if m not in self._levels:
            self._levels[m] = float(np.quantile(self.left[m], BEST))
        return self._levels[m]


def _speaks(mine: frozenset[int], theirs: frozenset[int], left: Floats) -> bool:
    """Say whether a component's paths speak against another one: all cross it and its others are as bad, or those that do not cross it are well."""
    through, beside, others = sorted(mine & theirs), sorted(mine - theirs), sorted(theirs - mine)
    size = np.median(left[through])
    if beside:
        return bool(np.median(left[beside]) < WELL * size)
    return bool(len(others) >= PATHS and np.median(left[others]) > WELL * size)
