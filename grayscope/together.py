"""Together: members of one leaf, rail or batch that stand out side by side are one matter, and what they share is the suspect.

Given that K of N places are accused for one metric, k of the n places of a group would be among them by chance with the
tail of the hypergeometric law (Fisher's exact test). A node counts once in a group, however many of its parts are
accused: its parts share more than the leaf.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from functools import lru_cache

from grayscope.evidence import Finding
from grayscope.quadrants import EFFECT, look_alikes
from grayscope.tick import Tick

#: Roster keys whose equal values share something that can break, and the mode that is then likely; "" keeps the finding's.
KEYS = {"leaf": "switch_fault", "rail": "switch_fault", "rack": "", "lot": "batch_defect", "firmware": "batch_defect", "serial": "batch_defect"}
#: Sides that the modes of a group may explain.
SIDES = frozenset({"service", "redundancy", "health"})
#: Ticks for which an accused member counts; nodes that must be; nats beyond chance, over all groups looked at.
VALID, NODES, LEAST = 64, 3, math.log(1000)
#: Last characters of a serial number that count within its range.
RUNNING = 4

#: A key and its value, and the nodes that have a part there.
Group = tuple[str, str]
Places = Mapping[Group, frozenset[str]]


class Together:
    """Remembers who was accused lately of what; part of blame."""

    def __init__(self) -> None:
        self.seen: dict[str, dict[str, int]] = {}  # table, kind and what -> subject -> tick at which it was last accused
        self._places: dict[str, tuple[object, Places]] = {}

    def step(self, findings: list[Finding], tick: Tick, now: int) -> Iterator[Finding]:
        """Yield the findings, those of a group's members as one finding about the group."""
        about = {i: key for i, f in enumerate(findings) if (key := _about(f, tick)) is not None}
        for i, key in about.items():
            self.seen.setdefault(key, {})[findings[i].subject] = now
        self._forget(tick.table, now)
        guilty = {key: self._guilty(key, tick) for key in sorted(set(about.values()))}
        told: dict[tuple[str, str, Group], Finding] = {}
        for i, f in enumerate(findings):
            group = next((g for g in guilty[about[i]] if _value(f.subject, g[0], tick) == g[1]), None) if i in about else None
            if group is None:
                yield f
            elif f.strength > told.get((f.detector, f.metric, group), f._replace(strength=-math.inf)).strength:
                told[f.detector, f.metric, group] = f
        for (_, _, group), f in told.items():
            yield _moved(f, group, guilty, about)

    def _forget(self, table: str, now: int) -> None:
        for key in [k for k in self.seen if k.startswith(f"{table}|")]:
            kept = {s: at for s, at in self.seen[key].items() if now - at < VALID}
            self.seen[key] = kept
            if not kept:
                del self.seen[key]

    def _guilty(self, key: str, tick: Tick) -> dict[Group, tuple[int, int]]:
        """Return the groups that are accused beyond chance with their accused and all nodes; the surest takes its members with it."""
        places = self._groups(key.split("|")[1], tick)
        left, guilty = set(self.seen[key]), dict[Group, tuple[int, int]]()
        while len(left) >= NODES:
            accused = _accused(left, places, tick)
            scored = [(_surprise(g, accused, places), g) for g, nodes in accused.items() if len(nodes) >= NODES]
            best = max(scored, default=(0.0, ("", "")))
            if best[0] < LEAST + math.log(max(len(places), 1)):
                break
            guilty[best[1]] = (len(accused[best[1]]), len(places[best[1]]))
            left = {s for s in left if _value(s, best[1][0], tick) != best[1][1]}
        return guilty

    def _groups(self, kind: str, tick: Tick) -> Places:
        """Return the groups of one table's subjects, worked out again only when the roster has changed."""
        known = self._places.get(kind)
        if known is None or known[0] is not tick.roster:
            found: dict[Group, set[str]] = {}
            for subject in tick.roster.tables.get(kind, ()):
                for key in KEYS:
                    if value := _value(subject, key, tick):
                        found.setdefault((key, value), set()).add(tick.roster.key(subject, "node"))
            large = {g: frozenset(nodes) for g, nodes in found.items() if len(nodes) >= NODES}
            known = self._places[kind] = (tick.roster, large)
        return known[1]

    def snapshot(self) -> str:
        """Return who was accused, as JSON."""
        return json.dumps(self.seen)

    def restore(self, text: str) -> None:
        """Become what `snapshot` returned."""
        self.seen, self._places = json.loads(text), {}


def _about(f: Finding, tick: Tick) -> str | None:
    """Return what a finding is about, None where no group could be behind it."""
    row = tick.roster.rows.get(f.subject)
    if row is None or f.side not in SIDES | {"condition"} or f.mode in look_alikes():
        return None
    if f.side == "condition" and abs(f.value - f.expected) < EFFECT * abs(f.expected):
        return None  # how healthy parts differ for ever goes by job and machine as well as by lot
    return f"{tick.table}|{row.table}|{f.metric or f.mode}"


def _value(subject: str, key: str, tick: Tick) -> str:
    value = tick.roster.key(subject, key)
    return f"{value[:-RUNNING]}*" if key == "serial" and len(value) > 2 * RUNNING else "" if key == "serial" else value


def _accused(subjects: set[str], places: Places, tick: Tick) -> dict[Group, set[str]]:
    accused: dict[Group, set[str]] = {}
    for subject in subjects:
        for key in KEYS:
            group = (key, _value(subject, key, tick))
            if group in places:
                accused.setdefault(group, set()).add(tick.roster.key(subject, "node"))
    return accused


def _surprise(group: Group, accused: Mapping[Group, set[str]], places: Places) -> float:
    """Return -ln of the chance that so many of the key's accused places lie in this group."""
    same = [g for g in places if g[0] == group[0]]
    if len(same) < 2:
        return 0.0
    every, bad = sum(len(places[g]) for g in same), sum(len(accused.get(g, ())) for g in same)
    return -log_tail(len(accused[group]), bad, len(places[group]), every)


@lru_cache(maxsize=4096)
def log_tail(k: int, bad: int, n: int, every: int) -> float:
    """Return ln P(at least `k` of `bad` drawn from `every` without return fall into a group of `n`).

    Examples
    --------
    >>> round(math.exp(log_tail(2, 2, 2, 4)), 6), log_tail(0, 3, 2, 9)
    (0.166667, 0.0)
    """
    terms = [_choose(n, i) + _choose(every - n, bad - i) for i in range(k, min(n, bad) + 1) if bad - i <= every - n]
    top = max(terms, default=-math.inf)
    if top == -math.inf:
        return -math.inf
    return min(top + math.log(sum(math.exp(t - top) for t in terms)) - _choose(every, bad), 0.0) if k > 0 else 0.0


def _choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def name(group: Group) -> str:
    """Return what a group is called.

    Examples
    --------
    >>> name(("leaf", "leaf03")), name(("rail", "3")), name(("rail", "rail:3")), name(("lot", "lot01"))
    ('leaf03', 'rail:3', 'rail:3', 'batch:lot=lot01')
    """
    key, value = group
    if key in ("leaf", "rack"):
        return value
    return (value if value.startswith("rail:") else f"rail:{value}") if key == "rail" else f"batch:{key}={value}"


def _moved(f: Finding, group: Group, guilty: Mapping[str, Mapping[Group, tuple[int, int]]], about: Mapping[int, str]) -> Finding:
    k, n = next(guilty[key][group] for key in about.values() if group in guilty[key] and key.endswith(f"|{f.metric or f.mode}"))
    mode = KEYS[group[0]] if f.side in SIDES else ""
    return f._replace(subject=name(group), mode=mode or f.mode, why=f"{k} of its {n} nodes stood out alike, first {f.subject}: {f.why}")
