"""Upstream: switches that lose links at one moment are one matter, and what they are all wired to is the suspect.

A spine that dies takes one uplink from every leaf. No leaf is at fault, and which spine it is the leaves' counters do not
say: the roster tells what lies between them, and what crosses the one spine that died got slower beside the rest. What was
slower before (a crowded spine) is not slower for that: only the change since the moment of the loss counts. Where nothing
crosses them that could tell, the one with a past is the likelier.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from grayscope.evidence import Finding
from grayscope.history import History
from grayscope.roster import View
from grayscope.standing import Standing
from grayscope.tick import Tick

#: Switches that must have lost something, their share of those that are wired to a suspect, and ticks in which they did.
LEAST, SHARE, MOMENT = 3, 0.5, 3
#: How much likelier a suspect is for each usual spread by which what crosses it is slower than the rest, and the most that counts.
PER_SPREAD, MOST = 4.0, 5.0
#: Another suspect takes over when it is so many times as likely.
CLEARLY = 3.0
#: Rivals that are told.
RIVALS = 8
#: Microseconds between two remembered pulls, and how many are.
APART, AGO = 60_000_000, 16

#: What lies between switches -> the switches.
Wiring = Mapping[str, frozenset[str]]


class Upstream:
    """Part of blame. Deterministic; remembers by how much what crosses a component is slower, and who was the suspect.

    Parameters
    ----------
    history : History, optional
        Who was suspected before: decides where no traffic tells.
    """

    def __init__(self, history: History | None = None) -> None:
        self.history = history or History()
        self.pull: dict[str, dict[str, float]] = {}  # table of paths or communicators -> component -> usual spreads
        self.suspect: dict[str, str] = {}  # table of switches and mechanism -> component
        self.past: dict[str, list[tuple[int, dict[str, float]]]] = {}  # as `pull`: what it was, minute by minute
        self.before: dict[str, tuple[int, dict[str, float]]] = {}  # as `suspect`: the moment of the loss, and the pulls until then
        self._wired: dict[str, tuple[View, Wiring]] = {}
        self._through: dict[str, tuple[object, View, tuple[str, ...], NDArray[np.intp], NDArray[np.intp]]] = {}

    def weigh(self, tick: Tick, standing: Standing, excess: NDArray[np.float32]) -> None:
        """Note by how much what crosses each component between machines is slower than what does not.

        Parameters
        ----------
        tick : Tick
            Of a table of paths or communicators.
        standing : Standing
        excess : ndarray, shape [M, S]
            Lasting distance from what was expected in usual spreads; larger is worse.
        """
        names, component, path = self._crossed(tick)
        rows = [m for m, metric in enumerate(standing.metrics) if metric is not None and metric.side == "service"]
        if not names or not rows:
            self.pull.pop(tick.table, None)
            return
        slow = excess[rows].mean(axis=0, dtype=np.float64)
        inside, total = np.bincount(component, minlength=len(names)), np.bincount(component, slow[path], len(names))
        beside, rest = len(slow) - inside, slow.sum() - total
        gap = np.where(beside > 0, total / inside - rest / np.maximum(beside, 1), 0.0)
        pull = self.pull[tick.table] = dict(zip(names, gap.round(3).tolist(), strict=True))
        past = self.past.setdefault(tick.table, [])
        if not past or tick.time - past[-1][0] >= APART:
            self.past[tick.table] = [*past[1 - AGO :], (tick.time, pull)]

    def step(self, findings: list[Finding], tick: Tick) -> list[Finding]:
        """Return the findings, losses of many switches at one moment as one finding about what lies between them."""
        lost: dict[str, list[Finding]] = {}
        for f in findings:
            if f.side == "redundancy" and f.mechanism and "/" not in f.subject:
                lost.setdefault(f.mechanism, []).append(f)
        moved: dict[int, Finding | None] = {}
        for mechanism, some in sorted(lost.items()):
            for group in _moments(some, MOMENT * tick.period):
                if (one := self._one(group, f"{tick.table}|{mechanism}", tick)) is not None:
                    moved |= dict.fromkeys(map(id, group))
                    moved[id(group[0])] = one
        return [g for f in findings if (g := moved.get(id(f), f)) is not None]

    def _one(self, group: list[Finding], key: str, tick: Tick) -> Finding | None:
        """Return the finding about what lies between all these switches; None where they have nothing in common."""
        losers = {f.subject for f in group}
        wired = self._wiring(tick)
        hit = {c: s for c, s in wired.items() if len(s & losers) >= max(LEAST, SHARE * len(s))}
        if not hit:
            return None
        first = min(group, key=lambda f: (f.since, f.subject))
        chances = self._chances(list(hit), key, self._until(first.since or first.time, key, MOMENT * tick.period))
        name, chance = chances[0]
        doubt = "" if len(chances) == 1 else f"; of {len(chances)} between them {name} is the likeliest ({chance:.0%})"
        why = f"{len(losers & hit[name])} of the {len(hit[name])} switches wired to it lost links at once{doubt}; first {first.subject}: {first.why}"
        rivals = json.dumps(chances[1 : RIVALS + 1]) if len(chances) > 1 else ""
        return first._replace(subject=name, mode="switch_fault", n_peers=len(chances) - 1, why=why, rivals=rivals)

    def _until(self, moment: int, key: str, within: int) -> dict[str, float]:
        """Return by how much what crosses each component was slower before links were lost; the same as long as it is the same loss."""
        known = self.before.get(key)
        if known is None or abs(moment - known[0]) > within:
            until = [[pull for time, pull in past if time < moment][-1:] for past in self.past.values()]
            usual: dict[str, float] = {}
            for pull in (p for some in until for p in some):
                usual |= {c: usual.get(c, 0.0) + spreads for c, spreads in pull.items()}
            known = self.before[key] = (moment, usual)
            self.suspect.pop(key, None)  # of another loss: what that says of this one is the history's matter
        return known[1]

    def _chances(self, names: list[str], key: str, usual: Mapping[str, float]) -> list[tuple[str, float]]:
        """Return the suspects with their probability, who was it before first unless another is clearly likelier."""
        spreads = {c: sum(table.get(c, 0.0) for table in self.pull.values()) - usual.get(c, 0.0) for c in names}
        weight = {c: PER_SPREAD ** min(max(s, 0.0), MOST) * self.history.weight(c) for c, s in spreads.items()}
        best = max(sorted(names), key=lambda c: weight[c])
        before = self.suspect.get(key, best)
        self.suspect[key] = first = before if before in weight and weight[best] < CLEARLY * weight[before] else best
        total = sum(weight.values())
        order = sorted(names, key=lambda c: (c != first, -weight[c], c))
        return [(c, round(weight[c] / total, 4)) for c in order]

    def _wiring(self, tick: Tick) -> Wiring:
        """Return what lies between the switches of a tick, worked out again only when the roster has changed."""
        known = self._wired.get(tick.table)
        if known is None or known[0] is not tick.roster:
            mine, found = set(tick.subjects), dict[str, set[str]]()
            for row in tick.roster.rows.values():
                here = mine.intersection(row.crosses)
                for c in row.crosses if here else ():
                    if c not in here and _shared(c, tick.roster):
                        found.setdefault(c, set()).update(here)
            known = self._wired[tick.table] = (tick.roster, {c: frozenset(s) for c, s in found.items()})
        return known[1]

    def _crossed(self, tick: Tick) -> tuple[tuple[str, ...], NDArray[np.intp], NDArray[np.intp]]:
        """Return the shared components that the subjects of a tick cross, and all pairs of component and subject as numbers, shape [P]."""
        known = self._through.get(tick.table)
        if known is None or known[0] is not tick.subjects or known[1] is not tick.roster:
            pairs = sorted({(c, s) for s, name in enumerate(tick.subjects) for c in tick.roster.crosses(name) if _shared(c, tick.roster)})
            names = tuple(sorted({c for c, _ in pairs}))
            number = {c: i for i, c in enumerate(names)}
            component, path = np.array([number[c] for c, _ in pairs], np.intp), np.array([s for _, s in pairs], np.intp)
            known = self._through[tick.table] = (tick.subjects, tick.roster, names, component, path)
        return known[2], known[3], known[4]

    def snapshot(self) -> str:
        """Return what is remembered, as JSON."""
        return json.dumps([self.pull, self.suspect, self.past, self.before])

    def restore(self, text: str) -> None:
        """Become what `snapshot` returned."""
        self.pull, self.suspect, past, before = json.loads(text)
        self.past = {table: [(time, pull) for time, pull in some] for table, some in past.items()}
        self.before = {key: (moment, usual) for key, (moment, usual) in before.items()}
        self._wired, self._through = {}, {}


def _shared(component: str, roster: View) -> bool:
    """Say whether a component belongs to no machine: a switch, not a port of a node."""
    row = roster.rows.get(component)
    return "/" not in component and (row is None or row.table != "node")


def _moments(found: list[Finding], within: int) -> list[list[Finding]]:
    """Return findings in groups whose onsets lie no further apart than `within` microseconds; only groups of enough subjects."""
    groups: list[list[Finding]] = []
    for f in sorted(found, key=lambda f: (f.since or f.time, f.subject)):
        onset = f.since or f.time
        if groups and onset - (groups[-1][-1].since or groups[-1][-1].time) <= within:
            groups[-1].append(f)
        else:
            groups.append([f])
    return [g for g in groups if len({f.subject for f in g}) >= LEAST]
