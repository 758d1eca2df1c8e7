"""Impact: what a suspect costs the job that waits for it: how much sooner a step would end if the suspect did as expected.

A rank that got slower but is not the last one makes nobody wait: that is worth a ticket, not a page. The removal test
of what-if analysis (algorithms reference, 4.12), on means over five minutes of what was measured anyway.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grayscope.catalogue import Metric
from grayscope.columns import Field, Memory
from grayscope.costs import Costs
from grayscope.evidence import Evidence, Finding
from grayscope.standing import Standing
from grayscope.tick import Tick

#: Microseconds over which the time of a step is averaged.
WINDOW = 300_000_000
#: What tells how long a step takes.
STEP = "step_seconds"
Floats = NDArray[np.float32]


class Impact:
    """Write into service evidence about members of a job what it costs the job; leave all else as it is.

    Deterministic; memory of one number per metric and subject of tables in which jobs are timed.
    """

    def __init__(self) -> None:
        self.memory = Memory({"mean": Field(np.float32, np.nan)})
        self.steps: dict[str, float] = {}  # job -> seconds of its step lately
        self.costs = Costs()

    def step(self, evidence: Evidence, tick: Tick, standing: Standing) -> Evidence:
        """Follow how long everybody takes, and return the evidence with `felt` filled in where it can be told."""
        self.costs.hear(evidence, tick)
        rows = [m for m, metric in enumerate(standing.metrics) if metric is not None and _timed(metric)]
        if tick.table not in ("rank", "comm") or not rows:
            return evidence
        costs = list(self.costs.step(tick, standing, rows[0], self.steps))
        weighed = self._felt(evidence, tick, standing, rows) if tick.table == "rank" else evidence
        return Evidence([*weighed, *costs], weighed.ledger) if costs else weighed

    def _felt(self, evidence: Evidence, tick: Tick, standing: Standing, rows: list[int]) -> Evidence:
        means = self.memory.of(tick).arrays["mean"]
        values, rate = tick.values[rows], np.float32(min(tick.period / WINDOW * 2, 1.0))
        old = means[rows]
        means[rows] = np.where(np.isfinite(old), np.where(np.isfinite(values), old + (values - old) * rate, old), values)
        moved = standing.moved_cells()
        if moved is not None:
            means[moved] = tick.values[moved]
        step = tick.metrics.index(STEP) if STEP in tick.metrics else rows[0]
        self._follow_steps(tick, tick.values[step] if step != rows[0] else means[step], rate)
        if not any(f.side == "service" for f in evidence):
            return evidence
        return Evidence(self._weighed(f, tick, standing, rows[0], means) for f in evidence)

    def before(self, evidence: Evidence, tick: Tick) -> Evidence:
        """Return the evidence of tables that do not time members of a job, before anybody is blamed for it.

        What a communicator's transfers take longer is a share of its job's step. A probe is no workload: where jobs are
        timed, what only probes feel is felt by nobody.
        """
        if tick.table not in ("comm", "path") or not len(evidence) or not self.steps:
            return evidence
        return Evidence(f._replace(felt=self._share(f, tick)) if f.side == "service" else f for f in evidence)

    def _share(self, f: Finding, tick: Tick) -> float:
        step = self.steps.get(tick.roster.key(f.subject, "job"), 0.0)
        if tick.table == "path":
            return 0.0
        return max(f.value - f.expected, 0.0) / step if step > 0 else float("nan")

    def _follow_steps(self, tick: Tick, seconds: Floats, rate: np.float32) -> None:
        """Keep how long a step of each job takes, of the jobs that are there: by the last rank where it is not told."""
        last: dict[str, float] = {}
        for s in np.flatnonzero(np.isfinite(seconds)).tolist():
            job = tick.roster.key(tick.subjects[s], "job")
            last[job] = max(last.get(job, 0.0), float(seconds[s]))
        self.steps = {job: self.steps.get(job, now) + (now - self.steps.get(job, now)) * float(rate) for job, now in last.items()}

    def _weighed(self, f: Finding, tick: Tick, standing: Standing, row: int, means: Floats) -> Finding:
        metric = dict(zip(tick.metrics, standing.metrics, strict=True)).get(f.metric)
        if f.side != "service" or metric is None or not (_timed(metric) or metric.waits):
            return f
        mine = np.array([inside(f.subject, tick.roster.key(s, "gpu") or s) for s in tick.subjects], bool)
        if (known := self.costs.share(f.subject)) is not None:
            return f._replace(felt=known)
        usual = f.expected / f.value if _timed(metric) and f.value > 0 else 0.0
        with np.errstate(divide="ignore", invalid="ignore"):
            sound = np.where(mine, means[row], means[row] * (self.costs.sound / tick.values[row]))
        return f._replace(felt=cost(sound, mine, np.array([tick.roster.key(s, "job") for s in tick.subjects], object), usual))

    def snapshot(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return the whole state."""
        costs = {f"costs#{key}": array for key, array in self.costs.snapshot().items()}
        return {**self.memory.snapshot(), **costs, "#steps": np.array(json.dumps(self.steps))}

    def restore(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Become what `snapshot` returned."""
        self.memory.restore({k: v for k, v in state.items() if k != "#steps" and not k.startswith("costs#")})
        self.costs.restore({k.removeprefix("costs#"): v for k, v in state.items() if k.startswith("costs#")})
        self.steps = json.loads(str(state["#steps"]))


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


def inside(place: str, subject: str) -> bool:
    """Say whether a subject is a place or lies in it.

    Examples
    --------
    >>> inside("n1", "n1/gpu0"), inside("n1/gpu0", "n1/gpu0"), inside("n1", "n10/gpu0")
    (True, True, False)
    """
    return subject == place or subject.startswith(f"{place}/")


def _timed(metric: Metric) -> bool:
    """Say whether a metric is the time that a member of a job takes by itself."""
    return (
        metric.side == "service" and metric.unit == "s" and metric.type == "gauge" and not metric.waits and metric.worse == "higher" and "job" in metric.peers
    )
