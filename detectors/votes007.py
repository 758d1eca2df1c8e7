"""Votes007: bad flows vote for the links that they cross; the most voted link takes its flows with it, then the next.

Source: 007 (Microsoft and University of Pennsylvania, NSDI 2018), and its reimplementation beside Flock: in epochs of 30 s each bad flow
gives (its retransmits) / (links on its path) to every link that it crosses; while the highest tally is at least a share p of all votes that
link is blamed and the flows through it are removed. Not the original: its flows are TCP connections with retransmissions, traced hop by
hop; here a flow is whatever the roster says crosses something (ranks, communicators, paths), and it is bad when its own error counters
moved, when a port on its way timed out or was asked to send again (ports count for all their flows together; packets that merely came out
of order are not counted), or when one of its times or rates is 1.5 times worse than the median of its peers in the job (the factor of Aegis
for communication, NSDI 2025, as 007 knows no lateness), one vote per sample. p = 0.01 is assumed: the released code leaves it open. Links
are as the roster names them, without directions. Ties go to the link that comes first on a path, then by name. Blind by design: it has no
null, so in a small fleet one stray retransmission is a link's whole tally; what no flow crosses; whatever slows all.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple

import numpy as np

from grayscope.evidence import NOTHING, Evidence, Finding
from grayscope.grouped import cells, medians
from grayscope.rivals import CERTAIN, CROWD, Rows, groups, mode_of, served
from grayscope.roster import View
from grayscope.standing import Standing
from grayscope.tick import Tick

#: Microseconds of an epoch; how much worse than the median makes a flow bad.
EPOCH, LATE = 30_000_000, 1.5
#: Retransmissions of a port that mean a lost packet.
LOST = frozenset(f'nic_port_retransmits_total{{cause="{cause}"}}' for cause in ("ack_timeout", "seq_nak", "implied_nak"))


class Blamed(NamedTuple):
    """A link, its votes and all votes of the epoch, and the metric that most of its flows were bad in with what that means."""

    link: str
    votes: float
    total: float
    metric: str
    side: str
    mode: str
    mechanism: str


class Votes007:
    """Count the votes of every epoch.

    Parameters
    ----------
    false_pages : float
        Unused: the method knows no rate of false alarms.
    share : float
        Least share of all votes that blames a link.
    """

    rival: ClassVar[bool] = True

    def __init__(self, *, false_pages: float = 1.0, share: float = 0.01) -> None:
        del false_pages
        self.share = share
        self.epoch, self.teller = -1, ""
        self.bad: dict[str, dict[str, float]] = {}  # flow -> metric -> how often
        self.paths: dict[str, tuple[str, ...]] = {}  # of the flows that were bad
        self.meaning: dict[str, tuple[str, str, str]] = {}  # metric -> side, mode, mechanism
        self.blamed: list[Blamed] = []

    def step(self, tick: Tick, standing: Standing) -> Evidence:
        """Return the links that the last epoch's votes blame; told again with every tick of the table that closed it."""
        if not _crossing(tick.roster):
            return NOTHING
        epoch = (tick.time - 1) // EPOCH
        if epoch > self.epoch:
            self.blamed, self.epoch, self.teller = self._count(), epoch, tick.table
        for flow, metric, weight in (*_own(tick, standing), *_ports(tick, standing)):
            mine = self.bad.setdefault(flow, {})
            mine[metric] = mine.get(metric, 0.0) + weight
            self.paths[flow] = tick.roster.crosses(flow)
            known = standing.metrics[tick.metrics.index(metric)]
            if known is not None:
                self.meaning[metric] = (known.side, mode_of(known), known.mechanism or "")
        told = self.blamed if tick.table == self.teller else []
        return Evidence(_finding(tick, b) for b in told) if told else NOTHING

    def _count(self) -> list[Blamed]:
        """Close an epoch: blame link after link."""
        flows = {flow: (self.paths[flow], sum(self.bad[flow].values())) for flow in sorted(self.bad)}
        place = _places(path for path, _ in flows.values())
        blamed: list[Blamed] = []
        while flows:
            votes: dict[str, float] = dict.fromkeys(place, 0.0)
            for path, weight in flows.values():
                for link in path:
                    votes[link] += weight / len(path)
            total, worst = sum(votes.values()), max(place, key=lambda link: (round(votes[link], 9), -place[link][0], -place[link][1]))
            if votes[worst] < self.share * total:
                break
            through = [flow for flow, (path, _) in flows.items() if worst in path]
            metric = self._mostly(through)
            blamed.append(Blamed(worst, votes[worst], total, metric, *self.meaning[metric]))
            flows = {flow: f for flow, f in flows.items() if flow not in through}
        self.bad, self.paths, self.meaning = {}, {}, {}
        return blamed

    def _mostly(self, flows: list[str]) -> str:
        """Return the metric in which the flows were bad most often."""
        often: dict[str, float] = {}
        for metric, n in (item for flow in flows for item in self.bad[flow].items()):
            often[metric] = often.get(metric, 0.0) + n
        return max(sorted(often), key=lambda metric: often[metric])

    def snapshot(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return the whole state as one JSON text."""
        return {"votes": np.array(json.dumps([self.epoch, self.teller, self.bad, self.paths, self.meaning, self.blamed]))}

    def restore(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Become what `snapshot` returned."""
        self.epoch, self.teller, self.bad, paths, meaning, blamed = json.loads(str(state["votes"]))
        self.paths = {flow: tuple(path) for flow, path in paths.items()}
        self.meaning = {metric: (m[0], m[1], m[2]) for metric, m in meaning.items()}
        self.blamed = [Blamed(*b) for b in blamed]


@lru_cache(maxsize=8)
def _crossing(view: View) -> dict[str, tuple[str, ...]]:
    """Return which flows cross each link."""
    found: dict[str, list[str]] = {}
    for flow in sorted(view.rows):
        for link in view.crosses(flow):
            found.setdefault(link, []).append(flow)
    return {link: tuple(flows) for link, flows in found.items()}


def _places(paths: Iterable[tuple[str, ...]]) -> dict[str, tuple[int, int]]:
    """Return for each link how early it comes on a path, and its place among the names.

    Examples
    --------
    >>> _places([("b", "c"), ("a", "c")])
    {'a': (0, 0), 'b': (0, 1), 'c': (1, 2)}
    """
    early: dict[str, int] = {}
    for path in paths:
        for place, link in enumerate(path):
            early[link] = min(early.get(link, place), place)
    return {link: (early[link], i) for i, link in enumerate(sorted(early))}


def _own(tick: Tick, standing: Standing) -> Iterator[tuple[str, str, float]]:
    """Yield the flows of the tick that are late, or whose own error counters moved, with the metric and how often."""
    errors = [m for m, x in enumerate(standing.metrics) if x and x.type == "counter" and standing.sign[m] and x.side in ("service", "redundancy")]
    late = served(standing)
    if not (len(errors) or len(late)) or not any(map(tick.roster.crosses, tick.subjects)):
        return
    for m in errors:
        yield from ((tick.subjects[s], tick.metrics[m], float(tick.values[m, s])) for s in np.flatnonzero(tick.values[m] > 0).tolist() if _flow(tick, s))
    for k, s in np.argwhere(_late(tick, standing, late)).tolist() if len(late) else ():
        if _flow(tick, s):
            yield tick.subjects[s], tick.metrics[late[k]], 1.0


def _flow(tick: Tick, s: int) -> bool:
    return bool(tick.roster.crosses(tick.subjects[s]))


def _late(tick: Tick, standing: Standing, rows: Rows) -> np.ndarray[Any, np.dtype[np.bool_]]:
    label, n = groups(tick, standing, rows)
    values = tick.values[rows]
    median, count = medians(values, label, n)
    centre = cells(median, label)
    worse = np.where((standing.sign[rows] > 0)[:, None], values > LATE * centre, LATE * values < centre)
    return np.asarray(worse & (centre > 0) & (cells(count, label) >= CROWD))


def _ports(tick: Tick, standing: Standing) -> Iterator[tuple[str, str, float]]:
    """Yield the flows across ports that lost packets, with the metric and how often."""
    for m in (m for m, name in enumerate(tick.metrics) if name in LOST and standing.metrics[m] is not None):
        for s in np.flatnonzero(tick.values[m] > 0).tolist():
            yield from ((flow, tick.metrics[m], float(tick.values[m, s])) for flow in _crossing(tick.roster).get(tick.subjects[s], ()))


def _finding(tick: Tick, b: Blamed) -> Finding:
    text = f"{b.metric}: {b.votes:.2f} of {b.total:.2f} votes in an epoch of {EPOCH // 1_000_000} s"
    return Finding(tick.time, b.link, b.side, "votes007", CERTAIN, b.mode, b.mechanism, b.metric, b.votes, b.total, why=text)
