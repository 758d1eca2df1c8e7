"""Faults: what is planted: its place, its kind, its time and its strength; and the faults of the demo."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from grayscope.fleet.lottery import Lottery
from grayscope.fleet.noise import Floats, stream
from grayscope.fleet.topology import Topology


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong, or (state ``benign``) that only looks so.

    Parameters
    ----------
    subject : str
    mode : str
        One of `grayscope.modes`.
    state : str
        What it is meant to be; `grayscope.fleet.truth` measures what it was.
    began, ended : float
        Seconds since the fleet's first moment; None: to the end.
    strength : float
        Of its kind: share of clock lost, share of compute time added, rows per hour, lanes left, ...
    extra : float
        A second number, where the kind has one: each kind says which.
    also : tuple of str
        Other true names of it.
    form : str
        Which of the forms of its kind it has; empty: the usual one.
    fails : float or None
        The second from which on everybody can see it.
    by : str
        The mode whose base rate it follows, where it came with something else.

    Examples
    --------
    >>> Fault("n001/gpu0", "slow_rank", "gray", 1800.0, strength=0.08).during(np.array([0.0, 1800.0]), 1e9).tolist()
    [False, True]
    """

    subject: str
    mode: str
    state: str
    began: float
    ended: float | None = None
    strength: float = 1.0
    extra: float = 0.0
    also: tuple[str, ...] = ()
    form: str = ""
    fails: float | None = None
    by: str = ""

    def held(self, seconds: Floats) -> Floats:
        """Return 1 where it holds and 0 elsewhere, shape [T]."""
        return self.during(seconds, np.inf).astype(np.float64)

    def stream(self, seed: int, idea: str = "") -> np.random.Generator:
        """Return a random stream of its own."""
        return stream(seed, f"{self.mode} of {self.subject} at {self.began:.0f} {idea}")

    def during(self, seconds: Floats, duration: float) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Say at which moments it holds, shape [T]."""
        return np.asarray((seconds >= self.began) & (seconds < (duration if self.ended is None else self.ended)))


# -- the default ----------------------------------------------------------------------------------------------------


def planted(topology: Topology, lottery: Lottery, hours: float, seed: int) -> tuple[Fault, ...]:
    """Return the demo's faults: two that slow a job each and two that redundancy hides, at different times.

    A slow rank is planted where it hurts: in the half of its job's slowest stage that is not faster than the median,
    for a slow part that nobody waits for is no gray failure.
    """
    rng = stream(seed, "planted")
    slow, hot = _hurting(topology, lottery, 0, rng), _hurting(topology, lottery, len(topology.jobs) - 1, rng)
    if slow == hot:
        slow = _hurting(topology, lottery, 0, rng, but=hot)
    busy = [g for g in topology.rank_gpu.tolist() if g not in (slow, hot)]
    rows, lanes = (busy[i] for i in rng.choice(len(busy), 2, replace=len(busy) < 2)) if busy else (slow, hot)
    name, lead = topology.gpu_names, onset(hours, 0.0)
    return (
        Fault(name[hot], "thermal_throttle", "gray", lead + jitter(rng), None, float(rng.uniform(0.15, 0.20))),
        Fault(name[rows], "hbm_row_spares", "masked", onset(hours, 0.15) + jitter(rng), None, 7.0),
        Fault(name[slow], "slow_rank", "gray", onset(hours, 0.30) + jitter(rng), None, 0.08),
        Fault(topology.pcie_names[lanes], "pcie_width", "masked", onset(hours, 0.45) + jitter(rng), None, 8.0),
    )


def onset(hours: float, share: float) -> float:
    """Return a moment in seconds: half an hour (a quarter of a short run) passes first, then a share of what is left.

    Examples
    --------
    >>> onset(2.0, 0.0), onset(2.0, 0.5), onset(1.0, 0.0)
    (1800.0, 4500.0, 900.0)
    """
    lead = min(1800.0, 900.0 * hours)
    return lead + share * (3600.0 * hours - lead)


def jitter(rng: np.random.Generator) -> float:
    """Return up to two minutes, so that nothing begins on the full hour."""
    return float(rng.integers(0, 120))


def _hurting(topology: Topology, lottery: Lottery, job: int, rng: np.random.Generator, but: int = -1) -> int:
    ranks = np.flatnonzero((topology.rank_job == job) & (topology.rank_stage == topology.rank_stage[topology.rank_job == job].max()))
    gpus = topology.rank_gpu[ranks]
    gpus = gpus[gpus != but] if (gpus != but).any() else gpus
    worse = gpus[lottery.compute[gpus] >= np.median(lottery.compute[gpus])]
    return int(rng.choice(worse))
