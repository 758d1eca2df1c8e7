"""Work: the synchronous job: every rank computes, the slowest sets the pace, and the others wait inside the collective.

So the culprit has the longest compute time and the *shortest* wait; its victims wait long and look idle, all together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from grayscope.fleet.lottery import Lottery
from grayscope.fleet.noise import Drift, Floats, stream, wave
from grayscope.fleet.topology import Topology

#: Seconds that a rank of each job computes per step.
BASE = (1.6, 2.3)
#: Steps that one sample averages over; each has its own slowest rank.
STEPS = 4
#: The collective's own time as a share of a step's computing.
TRANSFER = 0.12
#: Seconds by which ranks leave one collective apart.
SKEW = 5e-5


@dataclass(frozen=True, slots=True)
class Steps:
    """What the ranks saw in one hour, means over the steps of each sample; all of shape [T, R], seconds.

    `wait` is the duration less the shortest duration of the same collective, as it is derived from records: the one
    that all others wait for has none.
    """

    compute: Floats
    wait: Floats
    duration: Floats
    step: Floats


class Work:
    """The jobs of a cluster, hour by hour.

    Parameters
    ----------
    topology : Topology
    lottery : Lottery
    seed : int
    period : float
        Seconds between samples.
    """

    def __init__(self, topology: Topology, lottery: Lottery, seed: int, period: float) -> None:
        ranks, jobs = len(topology.rank_gpu), len(topology.jobs)
        self.topology = topology
        self.base = np.array(BASE)[topology.rank_job] * lottery.compute[topology.rank_gpu]
        self.rank_drift = Drift(stream(seed, "rank drift"), ranks, 0.007, 600 / period)
        self.job_drift = Drift(stream(seed, "sequence lengths"), jobs, 0.015, 120 / period)
        self.jitter = stream(seed, "steps")
        self.network = stream(seed, "network")

    def alone(self, seconds: Floats) -> Floats:
        """Return the compute time that no fault has touched, shape [T, K, R] for K steps per sample; call once per hour in order."""
        ticks, ranks = len(seconds), len(self.base)
        slow = (1 + self.rank_drift.next(ticks)) * (1 + self.job_drift.next(ticks))[:, self.topology.rank_job]
        day = 1 + 0.01 * wave(seconds, 86_400.0) + 0.008 * wave(seconds, 2_700.0)
        quick = np.exp(self.jitter.normal(0, 0.01, (ticks, STEPS, ranks)))
        return np.asarray(self.base * (slow * day[:, None])[:, None, :] * quick)

    def hour(self, alone: Floats, factor: Floats) -> Steps:
        """Return what the ranks saw.

        Parameters
        ----------
        alone : ndarray, shape [T, K, R]
            From `alone`.
        factor : ndarray, shape [T, R]
            What faults and phases make of it.
        """
        compute = alone * factor[:, None, :]
        wait, duration, step = (np.empty_like(compute) for _ in range(3))
        for j in range(len(self.topology.jobs)):
            mine = self.topology.rank_job == j
            last = compute[:, :, mine].max(axis=2, keepdims=True)
            transfer = TRANSFER * BASE[j] * np.exp(self.network.normal(0, 0.03, last.shape))
            ends = self.network.exponential(SKEW, (*last.shape[:2], int(mine.sum())))
            duration[:, :, mine] = last - compute[:, :, mine] + transfer + ends
            wait[:, :, mine] = duration[:, :, mine] - duration[:, :, mine].min(axis=2, keepdims=True)
            step[:, :, mine] = last + transfer
        return Steps(compute.mean(axis=1), wait.mean(axis=1), duration.mean(axis=1), step.mean(axis=1))


def pace(topology: Topology, alone: Floats, factor: Floats) -> Floats:
    """Return each job's mean step time without the collective's own share, shape [T, J]: the slowest rank's compute time."""
    compute = alone * factor[:, None, :]
    return np.stack([compute[:, :, topology.rank_job == j].max(axis=2).mean(axis=1) for j in range(len(topology.jobs))], axis=1)
