"""Work: the synchronous job: every rank computes, the slowest sets the pace, and the others wait inside the collective.

So the culprit has the longest compute time and the *shortest* wait; its victims wait long and look idle, all together.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from grayscope.fleet.lottery import Lottery
from grayscope.fleet.noise import Drift, Floats, Streams, stream, wave
from grayscope.fleet.topology import Topology

#: Steps that one sample averages over; each has its own slowest rank: assumed.
STEPS = 4
#: The collective's own time as a share of a step's computing: assumed.
TRANSFER = 0.12
#: Seconds by which ranks leave one collective apart: assumed.
SKEW = 5e-5
#: How much slower a job counts that stands still, so that a mean over some minutes stays a number.
STANDSTILL = 100.0


class Service(Protocol):
    """Gives `network` and `far` [T, G], `stall` and `stop` [T, J] by name; [1, 1] where nothing is touched."""

    def __getitem__(self, field: str, /) -> Floats:
        """Return one of them."""
        ...


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
    split : bool
        As in `Streams`.
    """

    def __init__(self, topology: Topology, lottery: Lottery, seed: int, period: float, *, split: bool = False) -> None:
        ranks, jobs = len(topology.rank_gpu), len(topology.jobs)
        self.topology = topology
        self.lottery = lottery
        self.rank_drift = Drift(stream(seed, "rank drift"), ranks, 0.007, 600 / period)
        self.job_drift = Drift(stream(seed, "sequence lengths"), jobs, 0.015, 120 / period)
        self.jitter = stream(seed, "steps")
        self.network = Streams(seed, "network", split=split)

    def alone(self, seconds: Floats) -> Floats:
        """Return the compute time that no fault has touched, shape [T, K, R] for K steps per sample; call once per hour in order."""
        ticks, ranks = len(seconds), len(self.topology.rank_gpu)
        base = np.atleast_2d(self.topology.job_base[self.topology.rank_job] * self.lottery.compute[..., self.topology.rank_gpu])[:, None, :]
        slow = (1 + self.rank_drift.next(ticks)) * (1 + self.job_drift.next(ticks))[:, self.topology.rank_job]
        day = 1 + 0.01 * wave(seconds, 86_400.0) + 0.008 * wave(seconds, 2_700.0)
        quick = np.exp(self.jitter.normal(0, 0.01, (ticks, STEPS, ranks)))
        return np.asarray(base * (slow * day[:, None])[:, None, :] * quick)

    def hour(self, alone: Floats, factor: Floats, service: Service, there: NDArray[np.bool_]) -> Steps:
        """Return what the ranks saw.

        Parameters
        ----------
        alone : ndarray, shape [T, K, R]
            From `alone`.
        factor : ndarray, shape [T, R]
            What faults and phases make of it.
        service : Service
        there : ndarray of bool, shape [T, R]
            Which ranks take part; what the others would have seen has no meaning.
        """
        compute = alone * factor[:, None, :]
        wait, duration, step = (np.empty_like(compute) for _ in range(3))
        for j, mine in enumerate(members(self.topology)):
            in_step = there[:, None, mine]
            last = np.where(in_step, compute[:, :, mine], 0.0).max(axis=2, keepdims=True)
            noise = np.exp(self.network(f"time of {j}").normal(0, 0.03, last.shape))
            transfer = TRANSFER * self.topology.job_base[j] * noise * slowest(self.topology, mine, wires(service), there)[:, None, None]
            stalled = (last + transfer) * stretch(service["stall"], j)[:, None, None]
            ends = self.network(f"ends of {j}").exponential(SKEW, (*last.shape[:2], compute[:, :, mine].shape[2]))
            duration[:, :, mine] = last - compute[:, :, mine] + transfer + stalled + ends
            wait[:, :, mine] = duration[:, :, mine] - np.where(in_step, duration[:, :, mine], np.inf).min(axis=2, keepdims=True)
            step[:, :, mine] = last + transfer + stalled
        return Steps(compute.mean(axis=1), wait.mean(axis=1), duration.mean(axis=1), step.mean(axis=1))


def members(topology: Topology) -> list[slice]:
    """Return which ranks each job has; ranks come job by job."""
    edges = np.searchsorted(topology.rank_job, np.arange(len(topology.jobs) + 1))
    return [slice(int(a), int(b)) for a, b in pairwise(edges)]


def slowest(topology: Topology, mine: slice, network: Floats, there: NDArray[np.bool_]) -> Floats:
    """Return the factor on a job's collective, shape [T]: a ring is as slow as its slowest port."""
    gpus = topology.rank_gpu[mine]
    if network.shape[1] == 1 or len(np.unique(gpus // topology.gpus)) < 2:  # a job on one node needs no network
        return np.ones(len(there))
    return np.asarray(np.where(there[:, mine], network[:, gpus], 1.0).max(axis=1))


def wires(service: Service) -> Floats:
    """Return the factor on what each port sends to the rest of its job, shape [T, G] or [1, 1]: its own and that of the spine it crosses."""
    return np.asarray(service["network"] * service["far"])


def stretch(stall: Floats, j: int) -> Floats:
    """Return what standing still for a share of the time adds to a step, as a share of it, shape [T] or [1]."""
    share = np.clip(stall[:, j if stall.shape[1] > 1 else 0], 0.0, 0.9)
    return np.asarray(share / (1 - share))


def pace(topology: Topology, j: int, alone: Floats, factor: Floats, service: Service, there: NDArray[np.bool_]) -> Floats:
    """Return a job's mean step time without noise of the network, shape [T]; NaN where nobody works.

    Parameters
    ----------
    j : int
    alone, factor : ndarray, shapes [T, K, members] and [T, members]
        As in `Work.hour`, of the job's ranks.
    service : Service
    there : ndarray of bool, shape [T, R]
    """
    mine = members(topology)[j]
    compute = np.where(there[:, None, mine], alone * factor[:, None], 0.0).max(axis=2).mean(axis=1)
    step = compute + TRANSFER * topology.job_base[j] * slowest(topology, mine, wires(service), there)
    stop = service["stop"][:, j if service["stop"].shape[1] > 1 else 0]
    step = step * (1 + stretch(service["stall"], j)) * np.where(stop > 0, STANDSTILL, 1.0)
    return np.where(there[:, mine].any(axis=1), step, np.nan)
