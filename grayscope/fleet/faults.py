"""Faults: what is planted, and how each kind of it acts on a GPU in an hour."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from grayscope.errors import UsageError
from grayscope.fleet.lottery import Lottery
from grayscope.fleet.noise import Floats, stream, wave
from grayscope.fleet.topology import Topology
from grayscope.plugins import nearest


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

    def during(self, seconds: Floats, duration: float) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Say at which moments it holds, shape [T]."""
        return np.asarray((seconds >= self.began) & (seconds < (duration if self.ended is None else self.ended)))


@dataclass(slots=True)
class Effects:
    """What faults do to the GPUs in one hour; arrays of shape [T, G].

    `compute` and `clock` are factors, `heat` degrees, `hot` the share of time under thermal slowdown, `corrected`,
    `rows` and `link_errors` increments, `pending` 0 or 1, `lanes` the link's width.
    """

    seconds: Floats
    period: float
    seed: int
    compute: Floats
    clock: Floats
    heat: Floats
    hot: Floats
    corrected: Floats
    rows: Floats
    pending: Floats
    lanes: Floats
    link_errors: Floats
    moments: list[tuple[float, Fault]] = field(default_factory=list)  # of rows that were remapped: each is an Xid 63

    @classmethod
    def none(cls, seconds: Floats, gpus: int, period: float, seed: int) -> Effects:
        """Return an hour in which nothing is wrong."""
        one, zero = np.ones((len(seconds), gpus)), np.zeros((len(seconds), gpus))
        return cls(seconds, period, seed, one, one.copy(), zero, zero.copy(), zero.copy(), zero.copy(), zero.copy(), 16 * one, zero.copy())


def effects(faults: Sequence[Fault], topology: Topology, seconds: Floats, period: float, seed: int) -> Effects:
    """Return what all faults together do to the GPUs at `seconds`, shape [T]."""
    out = Effects.none(seconds, len(topology.gpu_names), period, seed)
    for fault in faults:
        if fault.mode in SHAPES:
            SHAPES[fault.mode](fault, out, gpu_of(fault, topology))
    return out


def gpu_of(fault: Fault, topology: Topology) -> int:
    """Return the GPU, as an index, that a fault sits in or next to."""
    owner = "/".join(fault.subject.split("/")[:2])
    if owner not in topology.gpu_names:
        raise UsageError(f"fault {fault.mode}: no GPU is called {owner!r}: {nearest(owner, topology.gpu_names)}")
    return topology.gpu_names.index(owner)


# -- kinds ----------------------------------------------------------------------------------------------------------


def _thermal_throttle(fault: Fault, out: Effects, g: int) -> None:
    """Heat builds up over six minutes; from a third of it on the clock gives way, in a saw of the control loop."""
    age = out.seconds - fault.began
    level = np.clip(age / 360.0, 0, 1) * _held(fault, out)
    bite = np.clip((level - 0.3) / 0.7, 0, 1) * (1 + 0.1 * wave(out.seconds, 140.0))
    clock = 1 - fault.strength * bite
    out.heat[:, g] += 17.0 * level
    out.hot[:, g] = np.clip(0.85 * bite, 0, 1)
    out.clock[:, g] *= clock
    out.compute[:, g] *= clock**-0.9


def _slow_rank(fault: Fault, out: Effects, g: int) -> None:
    """The same work takes longer, and no counter of the device says why."""
    out.compute[:, g] *= 1 + fault.strength * _held(fault, out)


def _hbm_row_spares(fault: Fault, out: Effects, g: int) -> None:
    """Rows go one after another; before each there is a burst of corrected errors, after it a remap waits for the reset."""
    rng = stream(out.seed, f"rows of {fault.subject}")
    gaps = 3600.0 / fault.strength * rng.uniform(0.6, 1.4, 4096)
    moments = fault.began + 60.0 + np.cumsum(gaps) - gaps[0]
    bursts = rng.geometric(1 / 150.0, 4096)
    first, last = out.seconds[0] - out.period - 60.0, out.seconds[-1] + 60.0
    now = (moments >= first) & (moments <= last) & (moments < (np.inf if fault.ended is None else fault.ended))
    for moment, burst in zip(moments[now].tolist(), bursts[now].tolist(), strict=True):
        minute = (out.seconds > moment - 60) & (out.seconds <= moment)
        out.corrected[minute, g] += np.ceil(burst * out.period / 60.0)
        tick = (out.seconds >= moment) & (out.seconds < moment + out.period)
        out.rows[tick, g] += 1
        if tick.any():
            out.moments.append((moment, fault))
    out.pending[:, g] = np.maximum(out.pending[:, g], _held(fault, out) * (out.seconds >= moments[0]))


def _pcie_width(fault: Fault, out: Effects, g: int) -> None:
    """Bad lanes: corrected errors for five minutes, then the link trains again at fewer lanes and is quiet."""
    held = _held(fault, out)
    errors = stream(out.seed, f"lanes of {fault.subject}").poisson(2.0, int(300 / out.period) + 1)
    age = np.floor((out.seconds - (fault.began - 300)) / out.period).astype(np.intp)
    before = (age >= 0) & (out.seconds < fault.began)
    out.link_errors[before, g] += errors[age[before]]
    out.lanes[held > 0, g] = fault.strength


SHAPES: dict[str, Callable[[Fault, Effects, int], None]] = {
    "thermal_throttle": _thermal_throttle,
    "slow_rank": _slow_rank,
    "hbm_row_spares": _hbm_row_spares,
    "pcie_width": _pcie_width,
}


def _held(fault: Fault, out: Effects) -> Floats:
    return fault.during(out.seconds, np.inf).astype(np.float64)


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
