"""Commblame: from a communicator whose transfers are slow to the component on its way that has something to tell.

A ring is as slow as its slowest member, and all its members see the same: which one it is, the communicator cannot say.
But a component that corrects, retries or lost a part lately says it. Where none does, a communicator within one machine
is that machine's matter, and marks of congestion make it the network's and nobody's.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from grayscope.evidence import Finding, distance
from grayscope.history import History
from grayscope.modes import Modes
from grayscope.standing import Standing
from grayscope.tick import Tick

#: Microseconds for which marks of congestion explain that transfers are slow, and ticks of which evidence is a mean: not before they
#: have passed is it about something else.
RECENT, MEANT = 900_000_000, 32
CONGESTION = "fabric_congestion"
FOREVER = 2**62
#: Usual spreads of a group's own median by which marks must have risen to explain something. Half of what is worth a notice: it accuses nobody,
#: and what suffers is known before the mean of a group's marks has gone all the way.
RISEN = 4.0
#: By how many times what is slow for congestion may grow after the marks have gone before it is a matter of its own.
GROWN = 2.0
#: Tables of switches and of what has no health of its own: congestion looks like their fault.
SHARED = frozenset({"", "leaf", "spine", "rail", "port", "switch", "comm", "job", "path"})


#: Microseconds, and at least so many ticks, for which a communicator waits for a component to tell something, before it is reported itself.
PATIENCE, LOOKS = 90_000_000, 9


def recent(tick: Tick) -> int:
    """Return for how long what explained evidence explains it, microseconds.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> recent(SimpleNamespace(period=10_000_000)), recent(SimpleNamespace(period=120_000_000))
    (900000000, 3840000000)
    """
    return max(RECENT, MEANT * tick.period)


def patience(tick: Tick) -> int:
    """Return for how long what is slow waits for others to tell why, microseconds: their rows may come more seldom."""
    return max(PATIENCE, LOOKS * tick.period)


class Waiting:
    """Holds back what is said about communicators themselves: counters of parts are read more seldom than transfers are timed."""

    def __init__(self) -> None:
        self.since: dict[str, tuple[int, int]] = {}  # communicator -> first and last time at which it was slow for no known reason

    def ready(self, findings: Iterable[Finding], tick: Tick) -> list[Finding]:
        """Return the findings but those about communicators that have not been slow for long."""
        self.since = {name: (first, last) for name, (first, last) in self.since.items() if tick.time - last <= recent(tick)}
        return [f for f in findings if f.side != "service" or not tick.roster.crosses(f.subject) or self._long(f.subject, tick)]

    def _long(self, name: str, tick: Tick) -> bool:
        first, _ = self.since.get(name, (tick.time, tick.time))
        self.since[name] = (first, tick.time)
        return tick.time - first >= patience(tick)


class Held(NamedTuple):
    """What is slow: since when and when last, microseconds, and by how much for congestion: 0 if it was slow before."""

    since: int
    last: int
    size: float


class Congestion:
    """Remembers when the network said that it is overloaded: by what is marked, or by groups of ports that moved together."""

    def __init__(self) -> None:
        self.last = -(2**60)
        self.held: dict[tuple[str, str, str], Held] = {}  # by table, subject and metric
        self.spans: dict[str, int] = {}  # table -> for how long what explained its evidence explains it
        self.slow_since: dict[tuple[str, str, str], tuple[int, int]] = {}  # table, subject and metric -> since when it is said to be slow, and when last

    def hear(self, findings: Iterable[Finding], meaning: Mapping[str, str], time: int) -> None:
        """Take note of evidence about metrics that mean congestion; `meaning` is the mode of each metric of the tick."""
        if any(meaning.get(f.metric) == CONGESTION for f in findings):
            self.last = time

    def look(self, tick: Tick, standing: Standing) -> None:
        """Take note of groups in which such metrics rose, long before that is worth a notice."""
        marks = [m for m, metric in enumerate(standing.metrics) if metric is not None and metric.mode == CONGESTION]
        if marks and (standing.shift[marks] > RISEN).any():
            self.last = tick.time

    def note(self, findings: Iterable[Finding], tick: Tick) -> None:
        """Take note since when something is said to be slow: who is slower than its peers tells no onset."""
        self.slow_since = {k: (first, last) for k, (first, last) in self.slow_since.items() if k[0] != tick.table or tick.time - last <= recent(tick)}
        for f in findings:
            if f.side == "service":
                key = (tick.table, f.subject, f.metric)
                self.slow_since[key] = (self.slow_since.get(key, (f.since or tick.time, 0))[0], tick.time)

    def began(self, f: Finding, tick: Tick) -> int:
        """Return since when something has been slow, as far as it was noted."""
        return f.since or self.slow_since.get((tick.table, f.subject, f.metric), (tick.time, 0))[0]

    def explains(self, tick: Tick) -> bool:
        """Say whether there was any lately."""
        return tick.time - self.last <= recent(tick)

    def called(self, findings: Iterable[Finding], tick: Tick, told: Mapping[str, int], level: float) -> list[Finding]:
        """Return the findings of a tick, those that congestion explains as such.

        What became slow while the network was congested is congestion as long as it goes on and does not grow: that the marks no longer stand
        out from their own past after hours of them does not make a fault of it. What was slow before is not.

        Parameters
        ----------
        level : float
            Strength from which on a finding says for certain that something is slow.
        """
        now, self.spans[tick.table] = self.explains(tick), recent(tick)
        for key in [k for k, held in self.held.items() if k[0] == tick.table and tick.time - held.last > recent(tick)]:
            del self.held[key]
        return [self._called(f, tick, told, now, f.strength >= level) for f in findings]

    def _called(self, f: Finding, tick: Tick, told: Mapping[str, int], now: bool, sure: bool) -> Finding:
        other = congested(f, tick, told)
        if other is f:
            return f
        key, size = (tick.table, f.subject, f.metric), distance(f)
        held = self.held.get(key, Held(f.since or tick.time, tick.time, size if now else 0.0))
        most = max(held.size, self._crossed(f, tick, key not in self.held or held.size > 0))
        goes_on = most > 0 and size <= GROWN * most
        if sure or goes_on:
            self.held[key] = Held(held.since, tick.time, max(most, size) if now and most > 0 else most)
        return other if now or goes_on else f

    def crowded(self, f: Finding, tick: Tick) -> bool:
        """Say whether a switch on a communicator's way is crowded by as much as it is slow: then a member that retries explains nothing."""
        return f.side == "service" and 0.0 < distance(f) <= GROWN * self._crossed(f, tick, True)

    def _crossed(self, f: Finding, tick: Tick, probed: bool) -> float:
        """Return by how much the worst crowded component on the way was slow: what its paths keep of that in their long means is nobody's fault.

        Probes through a switch and transfers of a job through it suffer from one crowd: what one kind was told of it explains the other, as far
        as it is no slower and was not so before the crowd. On another scale nothing is left for it to grow. `probed`: ask the other tables, too.
        """
        ways, found = set(tick.roster.crosses(f.subject)), 0.0
        onset = self.began(f, tick)
        for (table, name, metric), held in self.held.items() if ways else ():
            if name not in ways or f.since > held.last:
                continue
            other = probed and table != tick.table and tick.time - held.last <= self.spans.get(table, 0) and onset >= held.since - recent(tick)
            if other or (table == tick.table and metric == f.metric):
                found = max(found, held.size / GROWN if other else held.size)
        return found


def congested(finding: Finding, tick: Tick, told: Mapping[str, int]) -> Finding:
    """Return a finding about shared network, or about what only probes accuse, as congestion, if nothing was said about the component itself."""
    row = tick.roster.rows.get(finding.subject)
    own = any(place == finding.subject or place.startswith(f"{finding.subject}/") for place in told)
    if finding.side != "service" or own or (tick.table != "path" and (row.table if row else "") not in SHARED):
        return finding
    return finding._replace(mode=CONGESTION, why=f"the network is congested: {finding.why}")


def moved(finding: Finding, tick: Tick, told: Mapping[str, int], spent: Mapping[str, int], history: History | None = None) -> Finding:
    """Return a finding about a communicator as one about the component that it crosses and that has something to tell.

    Parameters
    ----------
    finding : Finding
    tick : Tick
    told : mapping of str to int
        Component to when something was last said about it, microseconds.
    spent : mapping of str to int
        Those of them that spend a reserve or are broken: where any did so lately, they come before what only shows a symptom.
    history : History, optional
        Who was suspected before is the likelier among those that tell as much.
    """
    crossed = tick.roster.crosses(finding.subject)
    if finding.side != "service" or not crossed or finding.mode in _nobodys():
        return finding
    here = ((place, at) for place, at in told.items() if any(place == c or place.startswith(f"{c}/") for c in crossed))
    known = sorted((tick.time - spent.get(place, -FOREVER) > recent(tick), -at, place) for place, at in here)
    if known:
        # Of what is only a symptom where others spend a reserve no past makes the likelier cause.
        weights = {place: history.weight(place) if history is not None and late == known[0][0] else 1.0 for late, _, place in known}
        names = sorted((place for *_, place in known), key=lambda place: -weights[place])[:4]
        total = sum(weights[name] for name in names)
        rivals = json.dumps([[name, round(weights[name] / total, 4)] for name in names[1:]]) if len(names) > 1 else ""
        return finding._replace(subject=names[0], rivals=rivals, why=f"{finding.why} (felt by {finding.subject})")
    machines = {tick.roster.key(c, "node") or c.partition("/")[0] for c in crossed}
    if len(machines) == 1:
        return finding._replace(subject=machines.pop(), why=f"{finding.why} (felt by {finding.subject})")
    return finding


def _nobodys() -> frozenset[str]:
    return frozenset(m.name for m in Modes.load().modes.values() if m.severity == "notice")
