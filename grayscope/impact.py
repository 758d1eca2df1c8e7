"""Impact: what a suspect costs the job that waits for it: how much sooner a step would end if the suspect did as expected.

A rank that got slower but is not the last one makes nobody wait: that is worth a ticket, not a page. The removal test
of what-if analysis (algorithms reference, 4.12), on means over five minutes of what was measured anyway.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from functools import cache
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grayscope.catalogue import Metric
from grayscope.columns import Field, Memory
from grayscope.costs import Costs
from grayscope.evidence import Evidence, Finding
from grayscope.kernels import LOG
from grayscope.places import numbered, parents
from grayscope.quadrants import look_alikes
from grayscope.stalls import Stalls
from grayscope.standing import Standing
from grayscope.tick import Tick
from grayscope.together import members

#: Microseconds over which the time of a step is averaged; and over which it is so that what began just now counts in full.
WINDOW, LATELY = 300_000_000, 60_000_000
#: Share by which a probe must be off to be worth a ticket where jobs are timed and none of them feels it.
PROBED = 0.1
#: Microseconds for which it is known of a machine that its ranks are timed; at least so many of their ticks, for where rows come every
#: two minutes the last one was two minutes ago.
TIMED, MISSED = 60_000_000, 6
#: Usual spreads between parts within which one of them may be slow for ever and is healthy, at least; and how many of all parts may lie
#: beyond by nature: the slowest of sixteen thousand is farther out than the slowest of a hundred.
NATURAL, BEYOND = 3.0, 0.05
#: What tells how long a step takes.
STEP = "step_seconds"
Floats = NDArray[np.float32]


class Impact:
    """Write into service evidence about members of a job what it costs the job; leave all else as it is.

    Deterministic; memory of one number per metric and subject of tables in which jobs are timed.
    """

    def __init__(self) -> None:
        self.memory = Memory({"mean": Field(np.float32, np.nan), "lately": Field(np.float32, np.nan)})
        self.steps: dict[str, float] = {}  # job -> seconds of its step lately
        self.costs, self.stalls = Costs(), Stalls()
        self.last: dict[str, float] = {}  # job -> seconds of its step in the last tick
        self.timed: dict[str, int] = {}  # machine -> until when its ranks count as timed
        self._seats: tuple[object, object, list[str], NDArray[np.object_]] | None = None
        self._places: tuple[list[str], dict[str, list[int]]] = [], {}  # where each rank sits, and the ranks of each place
        self._machines: tuple[tuple[str, ...], NDArray[np.intp]] = (), np.empty(0, np.intp)

    def step(self, evidence: Evidence, tick: Tick, standing: Standing) -> Evidence:
        """Follow how long everybody takes, and return the evidence with `felt` filled in where it can be told."""
        self.costs.hear(evidence, tick)
        self.stalls.hear(tick, standing)
        if tick.table == "path" and self.steps and len(evidence):
            return Evidence((f for f in evidence if not _slight(f)), evidence.ledger)
        rows = [m for m, metric in enumerate(standing.metrics) if metric is not None and _timed(metric)]
        if tick.table not in ("rank", "comm") or not rows:
            return evidence
        costs = list(self.costs.step(tick, standing, rows[0], self.steps))
        weighed = evidence
        if tick.table == "rank":
            weighed = self._felt(evidence, tick, standing, rows)
            costs += self.stalls.step(tick, self.last, self._nodes(tick) if self.stalls.blows else {}, self.costs.suspects)
        return Evidence([*weighed, *costs], weighed.ledger) if costs else weighed

    def _felt(self, evidence: Evidence, tick: Tick, standing: Standing, rows: list[int]) -> Evidence:
        arrays, values, moved = self.memory.of(tick).arrays, tick.values[rows], standing.moved_cells()
        rate = np.float32(min(tick.period / WINDOW * 2, 1.0))
        for means, share in ((arrays["mean"], rate), (arrays["lately"], np.float32(min(tick.period / LATELY * 2, 1.0)))):
            old = means[rows]
            means[rows] = np.where(np.isfinite(old), np.where(np.isfinite(values), old + (values - old) * share, old), values)
            if moved is not None:
                means[moved] = tick.values[moved]
        means = arrays["mean"]
        step = tick.metrics.index(STEP) if STEP in tick.metrics else rows[0]
        self._follow_steps(tick, tick.values[step] if step != rows[0] else means[step], rate)
        if not any(f.side == "service" for f in evidence):
            return evidence
        return Evidence(self._weighed(f, tick, standing, rows[0], (means[rows[0]], arrays["lately"][rows[0]])) for f in evidence)

    def before(self, evidence: Evidence, tick: Tick) -> Evidence:
        """Return the evidence of tables that do not time members of a job, before anybody is blamed for it.

        What a communicator's transfers take longer is a share of its job's step. A probe is no workload: where jobs are
        timed, what only probes feel is felt by nobody. Nor is a slow drive felt while the ranks of its machine are timed: once
        they are late with it, what that costs is found as of every suspect.
        """
        if tick.table == "drive":
            return Evidence((f._replace(felt=0.0) if self._works(f, tick.time) else f for f in evidence), evidence.ledger)
        if tick.table not in ("comm", "path") or not len(evidence) or not self.steps:
            return evidence
        return Evidence(f._replace(felt=self._share(f, tick)) if f.side == "service" else f for f in evidence)

    def _share(self, f: Finding, tick: Tick) -> float:
        step = self.steps.get(tick.roster.key(f.subject, "job"), 0.0)
        if tick.table == "path":
            return 0.0
        return max(f.value - f.expected, 0.0) / step if step > 0 else float("nan")

    def _works(self, f: Finding, time: int) -> bool:
        """Say whether a finding is about what a workload gets of a machine whose ranks are timed."""
        return f.side == "service" and time < self.timed.get(f.subject.partition("/")[0], time)

    def _follow_steps(self, tick: Tick, seconds: Floats, rate: np.float32) -> None:
        """Keep how long a step of each job takes, of the jobs that are there: by the last rank where it is not told."""
        last: dict[str, float] = {}
        there = np.isfinite(seconds)
        for job, took in zip(self._seated(tick)[1][there].tolist(), seconds[there].tolist(), strict=True):
            last[job] = max(last.get(job, 0.0), took)
        self.last = last
        machines, number = self._machines
        self.timed |= dict.fromkeys((machines[i] for i in np.unique(number[there]).tolist()), tick.time + max(TIMED, MISSED * tick.period))
        self.timed = {machine: until for machine, until in self.timed.items() if tick.time < until}
        self.steps = {job: self.steps.get(job, now) + (now - self.steps.get(job, now)) * float(rate) for job, now in last.items()}

    def _seated(self, tick: Tick) -> tuple[list[str], NDArray[np.object_]]:
        """Return where each rank sits and its job, worked out again only when they or the roster have changed."""
        known = self._seats
        if known is None or known[0] is not tick.subjects or known[1] is not tick.roster:
            homes = [gpu or s for gpu, s in zip(tick.roster.column(tick.subjects, "gpu"), tick.subjects, strict=True)]
            jobs = np.array(tick.roster.column(tick.subjects, "job"), object)
            known = self._seats = (tick.subjects, tick.roster, homes, jobs)
            self._machines = numbered([home.partition("/")[0] for home in homes])
        return known[2], known[3]

    def _within(self, homes: list[str]) -> Mapping[str, list[int]]:
        """Return which ranks sit in each place: a part, and what that lies in; worked out again only when they have moved."""
        if self._places[0] is not homes:
            found: dict[str, list[int]] = {}
            for s, home in enumerate(homes):
                for place in (home, *parents(home)):
                    found.setdefault(place, []).append(s)
            self._places = homes, found
        return self._places[1]

    def _nodes(self, tick: Tick) -> dict[str, set[str]]:
        """Return the jobs that run on each machine."""
        nodes: dict[str, set[str]] = {}
        for home, job in zip(*self._seated(tick), strict=True):
            nodes.setdefault(home.partition("/")[0], set()).add(job)
        return nodes

    def _weighed(self, f: Finding, tick: Tick, standing: Standing, row: int, seconds: tuple[Floats, Floats]) -> Finding:
        metric = dict(zip(tick.metrics, standing.metrics, strict=True)).get(f.metric)
        if f.side != "service" or metric is None or not (_timed(metric) or metric.waits):
            return f
        if (known := self.costs.share(f.subject)) is not None:
            return f._replace(felt=known)
        homes, jobs = self._seated(tick)
        mine = np.zeros(len(jobs), bool)
        mine[self._within(homes).get(f.subject, [])] = True
        if not mine.any() and f.mode not in look_alikes():  # a rack, a leaf, a lot
            mine = members(f.subject, tick)
        usual = f.expected / f.value if _timed(metric) and f.value > 0 else 0.0
        with np.errstate(divide="ignore", invalid="ignore"):
            well = np.where(mine, np.float32(1), self.costs.sound / tick.values[row])  # the others in trouble count at their usual pace
        alone = int(np.argmax(mine)) if f.detector == "slower" and np.count_nonzero(mine) == 1 else -1
        usuals = [usual if alone < 0 else max(usual, naturally(mean, standing, row, alone)) for mean in seconds]
        return f._replace(felt=max(cost(mean * well, mine, jobs, as_usual) for mean, as_usual in zip(seconds, usuals, strict=True)))

    def snapshot(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return the whole state."""
        costs = {f"costs#{key}": array for key, array in self.costs.snapshot().items()}
        told = {"#steps": np.array(json.dumps(self.steps)), "#timed": np.array(json.dumps(self.timed))}
        return {**self.memory.snapshot(), **costs, **self.stalls.snapshot(), **told}

    def restore(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Become what `snapshot` returned."""
        self.memory.restore({k: v for k, v in state.items() if k not in ("#steps", "#timed", "stalls") and not k.startswith("costs#")})
        self.costs.restore({k.removeprefix("costs#"): v for k, v in state.items() if k.startswith("costs#")})
        self.stalls.restore(state)
        self.steps = json.loads(str(state["#steps"]))
        self.timed = json.loads(str(state["#timed"]))


def cost(seconds: Floats, mine: NDArray[np.bool_], job: NDArray[np.object_], usual: float) -> float:
    """Return the largest share of a job's step that it would save if the suspect's parts took `usual` times what they take.

    Parameters
    ----------
    seconds : ndarray, shape [S]
        What each rank takes; NaN is not reported.
    mine : ndarray of bool, shape [S]
        The suspect's ranks.
    job : ndarray of str, shape [S]
    usual : float
        0: as if the suspect were not there.

    Returns
    -------
    share : float
        NaN where the suspect has no rank.

    Examples
    --------
    >>> s, job = np.float32([2.0, 2.5, 2.4]), np.array(["a", "a", "a"], object)
    >>> round(cost(s, np.array([False, True, False]), job, 0.8), 3), cost(s, np.array([True, False, False]), job, 0.8)
    (0.04, 0.0)
    """
    shares = []
    for name in set(job[mine].tolist()):
        here = (job == name) & np.isfinite(seconds)
        own, others = seconds[here & mine], seconds[here & ~mine]
        if len(own):
            last = max(float(own.max()), float(others.max(initial=0.0)))
            without = max(float(own.max()) * usual, float(others.max(initial=0.0)))
            shares.append(max(last - without, 0.0) / last if last > 0 else 0.0)
    return max(shares, default=float("nan"))


def naturally(seconds: Floats, standing: Standing, row: int, s: int) -> float:
    """Return at what share of its time a part that is slower than its peers would be as slow as a healthy one may be.

    Who only differs from its peers may have done so for ever, and somebody always is the slowest: the workload suffers from what
    goes beyond the natural spread, for any other part in its place has that, too. A few peers that happen to be alike know less of the
    spread than all groups together. Who became slower, or is slow together with its neighbours, drew no bad lot.

    Parameters
    ----------
    seconds : ndarray, shape [S]
        What each rank takes.
    row, s : int
        The metric that times them, and the part.
    """
    if int(standing.kind[row]) != LOG or not seconds[s] > 0:
        return 0.0
    group, there, scale = standing.label[standing.layout[row]], np.isfinite(seconds), standing.scale[row]
    usual = float(np.median(seconds[there & (group == group[s])]))
    spread = max(float(scale[s]), float(np.median(scale[there])))
    return min(usual * math.exp(reach(int(np.count_nonzero(there))) * spread) / float(seconds[s]), 1.0)


@cache
def reach(n: int) -> float:
    """Return how many spreads beyond the usual the slowest of `n` healthy parts may be: the normal tail that hardly any of them exceeds.

    Examples
    --------
    >>> [round(reach(n), 1) for n in (8, 128, 16_384)]
    [3.0, 3.4, 4.5]
    """
    return max(NATURAL, NormalDist().inv_cdf(1.0 - BEYOND / max(n, 1)))


def _slight(f: Finding) -> bool:
    """Say whether a probe found so little that it is nobody's matter as long as no job feels it."""
    return f.side == "service" and abs(f.value - f.expected) < PROBED * abs(f.expected)


def _timed(metric: Metric) -> bool:
    """Say whether a metric is the time that a member of a job takes by itself."""
    return (
        metric.side == "service" and metric.unit == "s" and metric.type == "gauge" and not metric.waits and metric.worse == "higher" and "job" in metric.peers
    )
