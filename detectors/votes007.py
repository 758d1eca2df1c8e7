"""Votes007: bad flows vote for the links that they cross; the most voted link takes its flows with it, then the next.

Source: 007 (Microsoft and University of Pennsylvania, NSDI 2018), and its reimplementation beside Flock: in epochs of 30 s each bad flow
gives 1 / (links on its path) to every link that it crosses; while the highest tally is at least a share p of all votes that link is
blamed and the flows through it are removed. Not the original: its flows are TCP connections with retransmissions, traced hop by hop; here
a flow is whatever the roster says crosses something (paths, communicators, ranks), bad when one of its error counters moved or when one
of its times or rates is 1.5 times worse than the median of its peers (the factor of Aegis for communication, NSDI 2025, as 007 knows no
lateness). p = 0.01 is assumed: the released code leaves it open. Links are as the roster names them, without directions. Ties go to the
link that comes first on a path, then by name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from grayscope.columns import Field, Memory
from grayscope.evidence import NOTHING, Evidence, Finding
from grayscope.grouped import cells, medians
from grayscope.rivals import CERTAIN, CROWD, Cells, Rows, follow, groups, mode_of, paces, slots
from grayscope.standing import Standing
from grayscope.tick import Tick

#: Seconds of an epoch; how much worse than the median makes a flow bad.
EPOCH, LATE = 30, 1.5


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
        self.memory = Memory({"bad": Field(np.float32, 0.0)})
        self.blamed: dict[str, list[tuple[str, float, float, str]]] = {}  # table -> link, votes, all votes, metric
        self._paths: dict[str, tuple[object, object, Paths]] = {}

    def step(self, tick: Tick, standing: Standing) -> Evidence:
        """Return the links that the last epoch's votes blame."""
        paths = self._crossed(tick)
        if not len(paths.link):
            return NOTHING
        columns = follow(self.memory, tick, standing)
        bad = columns.arrays["bad"]
        for rows, found in _bad(tick, standing):
            bad[rows] += found
        if columns.ticks % slots(EPOCH, tick.period, 1 << 30)[0] == 0:
            self.blamed[tick.table] = self._count(tick, paths, bad)
            bad[:] = 0
        blamed = self.blamed.get(tick.table, [])
        return Evidence(self._finding(tick, standing, *b) for b in blamed) if blamed else NOTHING

    def _crossed(self, tick: Tick) -> Paths:
        """Return who crosses what, worked out again only when the roster has changed."""
        known = self._paths.get(tick.table)
        if known is None or known[0] is not tick.roster or known[1] is not tick.subjects:
            known = self._paths[tick.table] = (tick.roster, tick.subjects, Paths(tick))
        return known[2]

    def _count(self, tick: Tick, paths: Paths, bad: NDArray[np.float32]) -> list[tuple[str, float, float, str]]:
        """Blame link after link; each flow votes once in an epoch, however often it was bad."""
        alive: Cells = np.asarray(bad.any(axis=0))
        blamed: list[tuple[str, float, float, str]] = []
        while True:
            votes = np.bincount(paths.link, np.where(alive, 1 / np.maximum(paths.hops, 1), 0.0)[paths.flow], len(paths.names))
            total = float(votes.sum())
            worst = int(votes.argmax())
            if total <= 0 or votes[worst] < self.share * total:
                return blamed
            through = paths.flow[paths.link == worst]
            through = through[alive[through]]
            metric = tick.metrics[int(bad[:, through].sum(axis=1).argmax())]
            blamed.append((paths.names[worst], float(votes[worst]), total, metric))
            alive[through] = False

    @staticmethod
    def _finding(tick: Tick, standing: Standing, link: str, votes: float, total: float, name: str) -> Finding:
        known = {n: m for n, m in zip(tick.metrics, standing.metrics, strict=True) if m is not None}
        metric = known.get(name)
        mode, side = (mode_of(metric), metric.side) if metric else ("slow_path", "service")
        text = f"{name}: {votes:.2f} of {total:.2f} votes in an epoch of {EPOCH} s"
        return Finding(tick.time, link, side, "votes007", CERTAIN, mode, (metric.mechanism or "") if metric else "", name, votes, total, why=text)

    def snapshot(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return the whole state."""
        return self.memory.snapshot() | {"#blamed": np.array(json.dumps(self.blamed))}

    def restore(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Become what `snapshot` returned."""
        self.blamed = {table: [(b[0], b[1], b[2], b[3]) for b in blamed] for table, blamed in json.loads(str(state["#blamed"])).items()}
        self.memory.restore({key: array for key, array in state.items() if key != "#blamed"})


class Paths:
    """Which flow crosses which link: one entry of `flow` and `link` for each crossing."""

    def __init__(self, tick: Tick) -> None:
        crossed = [tick.roster.crosses(s) for s in tick.subjects]
        first: dict[str, int] = {}
        for path in crossed:
            for place, name in enumerate(path):
                first[name] = min(first.get(name, place), place)
        self.names = sorted(first, key=lambda name: (first[name], name))
        number = {name: i for i, name in enumerate(self.names)}
        self.hops = np.array([len(path) for path in crossed], np.intp)
        self.flow = np.repeat(np.arange(len(crossed)), self.hops)
        self.link = np.array([number[name] for path in crossed for name in path], np.intp)


def _bad(tick: Tick, standing: Standing) -> list[tuple[Rows, Cells]]:
    """Return the rows and the cells in which a flow was bad: late ones, and counters of errors that moved."""
    late, errors = paces(standing), np.array(
        [i for i, m in enumerate(standing.metrics) if m and m.type == "counter" and standing.sign[i] and m.side in ("service", "redundancy")], np.intp
    )  # fmt: skip
    found = [(errors, tick.values[errors] > 0)] if len(errors) else []
    if len(late):
        label, n = groups(standing, late)
        values = tick.values[late]
        median, count = medians(values, label, n)
        centre = cells(median, label)
        worse = np.where((standing.sign[late] > 0)[:, None], values > LATE * centre, LATE * values < centre)
        found.append((late, worse & (centre > 0) & (cells(count, label) >= CROWD)))
    return found
