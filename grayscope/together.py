"""Together: members of one leaf, rail or batch that stand out side by side are one matter, and what they share is the suspect.

Given that K of N places are accused for one metric, k of the n places of a group would be among them by chance with the
tail of the hypergeometric law (Fisher's exact test). A node counts once in a group, however many of its parts are
accused: its parts share more than the leaf.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from grayscope.evidence import Crowd, Finding
from grayscope.fisher import log_tail
from grayscope.quadrants import EFFECT, look_alikes
from grayscope.tick import Tick

#: Roster keys whose equal values share something that can break, and the mode that is then likely; "" keeps the finding's.
KEYS = {"leaf": "switch_fault", "rail": "switch_fault", "rack": "", "lot": "batch_defect", "firmware": "batch_defect", "serial": "batch_defect"}
#: Sides that the modes of a group may explain.
SIDES = frozenset({"service", "redundancy", "health"})
#: Ticks for which an accused member counts; nodes that must be; nats beyond chance, over all groups looked at.
VALID, NODES, LEAST = 64, 3, math.log(1000)
#: The same of members of a crowd: that they have a cause in common is known, and the question only which.
COMMON = math.log(20)
#: Share of a crowd that what it shares accounts for, and ticks for which a crowd waits for others that tell what that is.
MOST, PATIENCE = 0.75, 16
#: The detector that compares with peers alone: what it sees may have been so for ever.
STANDING = "slower"
#: How likely it is that the only job that tells of a rack has work that is uneven in just that way.
UNEVEN = 0.25
#: Last characters of a serial number that count within its range.
RUNNING = 4

#: A key and its value, and the nodes that have a part there.
Group = tuple[str, str]
Places = Mapping[Group, frozenset[str]]


class Held(NamedTuple):
    """A crowd: what it is about, since when and when last it was seen (ticks), and who is in it; whether they left their past, and have a cause."""

    key: str
    since: int
    last: int
    members: list[str]
    sure: bool
    moved: bool
    named: bool = False


class Together:
    """Remembers who was accused lately of what; part of blame.

    A crowd of a peer group is no accusation, but something does move its members: where that is what they share, it is named, else
    the crowd is, once it has lasted; its members are not accused one by one.
    """

    def __init__(self) -> None:
        self.seen: dict[str, dict[str, int]] = {}  # table, kind and what -> subject -> tick at which it was last accused
        self.crowds: dict[str, Held] = {}  # table, metric and peer group -> the crowd in it
        self._places: dict[str, tuple[object, Places]] = {}

    def step(self, findings: list[Finding], tick: Tick, now: int, crowds: Iterable[Crowd] = (), congested: bool = False) -> Iterator[Finding]:
        """Yield the findings, those of a group's members as one finding about the group.

        Parameters
        ----------
        crowds : iterable of Crowd
            Who the members are that some of the findings are about.
        congested : bool
            The network is overloaded: that many under one switch are slow is not that switch's fault.
        """
        crowds = list(crowds)
        about = {i: key for i, f in enumerate(findings) if (key := _about(f, tick)) is not None}
        for i, key in about.items():
            self.seen.setdefault(key, {})[findings[i].subject] = now
        for crowd in crowds:
            self._note(crowd, tick, now)
        self._forget(tick.table, now)
        keys = {*about.values(), *(held.key for held in self.crowds.values())}
        guilty = {key: self._guilty(key, tick, now, congested) for key in sorted(k for k in keys if k.startswith(f"{tick.table}|"))}
        told: dict[tuple[str, str, Group], Finding] = {}
        hidden = {(held.key, s) for held in self.crowds.values() if held.sure for s in held.members}
        for i, f in enumerate(findings):
            group = self._group(guilty.get(about.get(i, ""), ()), f.subject, tick)
            if group is not None:
                _louder(told, f, group)
            elif not (f.side == "service" and (about.get(i), f.subject) in hidden) and not self._waits(f, tick, now, guilty):
                yield f
        for crowd in crowds:
            place = _place(crowd, tick)
            group = self._shared(self.crowds[place], tick, guilty) if place in self.crowds else None
            if group is not None:
                self.crowds[place] = self.crowds[place]._replace(named=True)
                for f in (f for f in crowd.members if _value(f.subject, group[0], tick) == group[1]):
                    if _about(f, tick) == self.crowds[place].key:  # a condition that is hardly off is about nothing
                        _louder(told, f, group)
        for (_, _, group), f in told.items():
            key = _about(f, tick) or ""
            yield _moved(f, group, guilty, key)._replace(rivals=self._rivals(key, group, tick) or f.rivals)

    def _note(self, crowd: Crowd, tick: Tick, now: int) -> None:
        """Remember a crowd and its members."""
        keys = [key for f in crowd.members if (key := _about(f, tick)) is not None]
        if not keys:
            return
        place, key = _place(crowd, tick), keys[0]
        old, who = self.crowds.get(place), {f.subject for f in crowd.members}
        if old is not None and old.last == now:  # another detector says it of the same moment
            who, sure = who.union(old.members), old.sure or crowd.sure
        else:
            sure = crowd.sure
        moved = crowd.finding.detector != STANDING or (old is not None and old.moved)
        self.crowds[place] = Held(key, old.since if old else now, now, sorted(who), sure, moved, old is not None and old.named)

    def _shared(self, held: Held, tick: Tick, guilty: Mapping[str, Mapping[Group, tuple[int, int]]]) -> Group | None:
        """Return the guilty group in which most of a crowd lies."""
        homes = _homes(held, tick) if guilty.get(held.key) else set[Group]()
        return next((group for group in guilty.get(held.key, ()) if group in homes), None)

    def _rivals(self, key: str, group: Group, tick: Tick) -> str:
        """Return the peer group as a rival where it is the only one that says so: its work may be uneven in the very way that its machines lie."""
        some = (place for place, held in self.crowds.items() if held.key == key and held.named and group in _homes(held, tick))
        named = [place for place in some if not place.endswith("|site")]  # all parts are no peer group
        return json.dumps([[named[0].split("|")[2], UNEVEN]]) if len(named) == 1 else ""

    def _waits(self, f: Finding, tick: Tick, now: int, guilty: Mapping[str, Mapping[Group, tuple[int, int]]]) -> bool:
        """Say whether a finding about a crowd is told by what its members share, or not yet: others may tell what that is."""
        held = self.crowds.get(f"{tick.table}|{f.metric}|{f.subject}") if f.mode == "group_shift" else None
        return held is not None and (self._shared(held, tick, guilty) is not None or now - held.since < PATIENCE)

    @staticmethod
    def _group(guilty: Iterable[Group], subject: str, tick: Tick) -> Group | None:
        return next((g for g in guilty if _value(subject, g[0], tick) == g[1]), None)

    def _forget(self, table: str, now: int) -> None:
        for key in [k for k in self.seen if k.startswith(f"{table}|")]:
            kept = {s: at for s, at in self.seen[key].items() if now - at < VALID}
            self.seen[key] = kept
            if not kept:
                del self.seen[key]
        for place in [p for p, held in self.crowds.items() if p.startswith(f"{table}|") and now - held.last >= VALID]:
            del self.crowds[place]

    def _guilty(self, key: str, tick: Tick, now: int, congested: bool) -> dict[Group, tuple[int, int]]:
        """Return the groups that are accused beyond chance with their accused and all nodes; the surest takes its members with it."""
        places = self._groups(key.split("|")[1], tick)
        crowds = self._telling(key, tick, now)
        left, guilty = {*self.seen.get(key, ()), *(s for held in crowds for s in held.members)}, dict[Group, tuple[int, int]]()
        homes = set[Group]().union(*(_homes(held, tick) for held in crowds))
        looks = math.log(max(len(set(places.values())), 1))  # one and the same nodes are no second chance
        while len(left) >= NODES:
            accused = _accused(left, places, tick)
            scored = [(_surprise(g, accused, places), g) for g, nodes in accused.items() if len(nodes) >= NODES]
            scored = [(worth, g) for worth, g in scored if worth >= looks + _least(g, homes, congested)]
            if not scored:
                break
            best = max(scored)[1]
            guilty[best] = (len(accused[best]), len(places[best]))
            left = {s for s in left if _value(s, best[0], tick) != best[1]}
        return guilty

    def _telling(self, key: str, tick: Tick, now: int) -> list[Held]:
        """Return the crowds that tell of what they share.

        One that nothing has explained for long is the way of its peers, and so is one that has always been there: work may be uneven in just the way
        that machines lie, unless others say the same of them.
        """
        crowds = [held for held in self.crowds.values() if held.key == key and (held.named or now - held.since < VALID)]
        told = Counter(group for held in crowds for group in _homes(held, tick))
        return [held for held in crowds if held.moved or any(told[group] > 1 for group in _homes(held, tick))]

    def _groups(self, kind: str, tick: Tick) -> Places:
        """Return the groups of one table's subjects, worked out again only when the roster has changed."""
        known = self._places.get(kind)
        if known is None or known[0] is not tick.roster:
            found: dict[Group, set[str]] = {}
            subjects = tick.roster.tables.get(kind, ())
            for node, *values in zip(*(tick.roster.column(subjects, key) for key in ("node", *KEYS)), strict=True):
                for key, value in zip(KEYS, values, strict=True):
                    if value and (value := _in_common(key, value)):
                        found.setdefault((key, value), set()).add(node)
            large = {g: frozenset(nodes) for g, nodes in found.items() if len(nodes) >= NODES}
            known = self._places[kind] = (tick.roster, large)
        return known[1]

    def snapshot(self) -> str:
        """Return who was accused, and the crowds, as JSON."""
        return json.dumps([self.seen, self.crowds])

    def restore(self, text: str) -> None:
        """Become what `snapshot` returned."""
        self.seen, crowds = json.loads(text)
        self.crowds, self._places = {place: Held(*held) for place, held in crowds.items()}, {}


def _about(f: Finding, tick: Tick) -> str | None:
    """Return what a finding is about, None where no group could be behind it."""
    row = tick.roster.rows.get(f.subject)
    if row is None or f.side not in SIDES | {"condition"} or f.mode in look_alikes():
        return None
    if f.side == "condition" and abs(f.value - f.expected) < EFFECT * abs(f.expected):
        return None  # how healthy parts differ for ever goes by job and machine as well as by lot
    return f"{tick.table}|{row.table}|{f.metric or f.mode}"


def _value(subject: str, key: str, tick: Tick) -> str:
    return _in_common(key, tick.roster.key(subject, key))


def _in_common(key: str, value: str) -> str:
    """Return what of a key's value others may share: of a serial number, the run it comes from."""
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


def members(subject: str, tick: Tick) -> NDArray[np.bool_]:
    """Return which of a tick's subjects [S] lie in the group that is called so; none for what is no group."""
    return np.array([any(name((key, value)) == subject for key in KEYS if (value := _value(s, key, tick))) for s in tick.subjects], bool)


def _louder(told: dict[tuple[str, str, Group], Finding], f: Finding, group: Group) -> None:
    """Keep the strongest finding about a group's members, of each detector and metric."""
    key = (f.detector, f.metric, group)
    if key not in told or f.strength > told[key].strength:
        told[key] = f


def _least(group: Group, homes: set[Group], congested: bool) -> float:
    """Return the nats beyond chance that it takes to blame a group: less for a crowd's cause, but it is no switch while the network is overloaded."""
    if group not in homes:
        return LEAST
    return math.inf if congested and KEYS[group[0]] == "switch_fault" else COMMON


def _homes(held: Held, tick: Tick) -> set[Group]:
    """Return the groups in which most of a crowd lies."""
    counted = Counter((key, value) for s in held.members for key in KEYS if (value := _value(s, key, tick)))
    return {group for group, n in counted.items() if n >= MOST * len(held.members)}


def _place(crowd: Crowd, tick: Tick) -> str:
    return f"{tick.table}|{crowd.finding.metric}|{crowd.finding.subject}"


def _moved(f: Finding, group: Group, guilty: Mapping[str, Mapping[Group, tuple[int, int]]], key: str) -> Finding:
    k, n = guilty[key][group]
    mode = KEYS[group[0]] if f.side in SIDES else ""
    return f._replace(subject=name(group), mode=mode or f.mode, why=f"{k} of its {n} nodes stood out alike, first {f.subject}: {f.why}")
