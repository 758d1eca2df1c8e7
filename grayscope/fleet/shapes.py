"""Shapes: how strongly something acts over time: ramps, saws, bursts that breed bursts, and counts drawn from a rate."""

from __future__ import annotations

import numpy as np

from grayscope.fleet.effects import Effects
from grayscope.fleet.faults import Fault
from grayscope.fleet.noise import Floats

#: Share of a step's computing that goes into transfers inside the node, and that waits for memory: both assumed.
INSIDE, MEMORY = 0.15, 0.35
#: Ticks whose chances are drawn together; means beyond which counts are as good as normal, and the largest count below that.
BLOCK, FEW, MOST = 360, 50.0, 200


def ramp(fault: Fault, seconds: Floats, over: float) -> Floats:
    """Return 0 before it begins, 1 when `over` seconds have passed, and 0 again after it ended, shape [T].

    Examples
    --------
    >>> ramp(Fault("n001", "fan_degraded", "gray", 10.0), np.array([0.0, 15.0, 30.0]), 10.0).tolist()
    [0.0, 0.5, 1.0]
    """
    return np.asarray(np.clip((seconds - fault.began) / max(over, 1e-9), 0, 1) * fault.held(seconds))


def slower(loss: Floats | float) -> Floats:
    """Return by which factor time grows when a share of speed is lost."""
    return np.asarray(1 / (1 - np.clip(loss, 0.0, 0.95)))


def counts(fault: Fault, out: Effects, rate: Floats, idea: str = "") -> Floats:
    """Return counts per tick, shape [T], drawn at `rate` [T] per second: the same ones however time is cut."""
    tick = np.round(out.seconds / out.period).astype(np.int64)
    first, last = int(tick[0]) // BLOCK, int(tick[-1]) // BLOCK
    drawn = [fault.stream(out.seed, f"{idea} {block}") for block in range(first, last + 1)]
    chance, normal = (np.concatenate([np.asarray(make(rng)) for rng in drawn])[tick - first * BLOCK] for make in (_even, _normal))
    return quantile(rate * out.period, chance, normal)


def _even(rng: np.random.Generator) -> Floats:
    return rng.random(BLOCK)


def _normal(rng: np.random.Generator) -> Floats:
    return rng.standard_normal(BLOCK)


def quantile(mean: Floats, chance: Floats, normal: Floats) -> Floats:
    """Return the Poisson count that is not exceeded with some chance; beyond a mean of 50 from a normal deviate instead.

    Examples
    --------
    >>> quantile(np.array([0.0, 2.0, 2.0, 1e4]), np.array([0.9, 0.1, 0.9, 0.5]), np.array([0.0, 0.0, 0.0, 1.0])).tolist()
    [0.0, 0.0, 4.0, 10100.0]
    """
    mean = np.asarray(mean, np.float64)
    few = np.minimum(mean, FEW)
    term = np.exp(-few)
    below, found = term.copy(), np.zeros(len(mean))
    for k in range(1, MOST):
        more = chance > below
        if not more.any():
            break
        found[more] = k
        term = term * few / k
        below += term
    return np.asarray(np.where(mean > FEW, np.maximum(np.round(mean + np.sqrt(mean) * normal), 0.0), found))


def instants(fault: Fault, seed: int, rate: float, *, children: float = 0.0, gap: float = 600.0, most: int = 4096) -> Floats:
    """Return the moments of a process in which events breed events: clusters come at `rate` per hour.

    Parameters
    ----------
    children : float
        Mean number of further events in a cluster.
    gap : float
        Mean seconds between them.
    """
    rng = fault.stream(seed, "instants")
    starts = fault.began + np.cumsum(rng.exponential(3600.0 / rate, most))
    more = rng.geometric(1 / (1 + children), most) - 1 if children else np.zeros(most, np.int64)
    later = np.repeat(starts, more) + rng.exponential(gap * (1 + children) / 2, int(more.sum()))
    found = np.sort(np.concatenate([starts, later]))
    return np.asarray(found[found < (np.inf if fault.ended is None else fault.ended)])


def at_ticks(out: Effects, moments: Floats, sizes: Floats) -> Floats:
    """Return the sum of `sizes` of those `moments` that fall between the tick before and each tick, shape [T]."""
    tick = np.ceil((moments - out.seconds[0]) / out.period - 1e-9).astype(np.int64)
    inside = (tick >= 0) & (tick < len(out.seconds))
    return np.asarray(np.bincount(tick[inside], sizes[inside], len(out.seconds)).astype(np.float64))


def telegraph(fault: Fault, out: Effects, on: float, off: float, ago: float = 0.0) -> Floats:
    """Return 1 in episodes of about `on` seconds with pauses of about `off`, 0 between them, shape [T]; it begins with one; `ago`: as it was so many
    seconds before."""
    rng = fault.stream(out.seed, "telegraph")
    lengths = np.stack([rng.exponential(on, 2048), rng.exponential(off, 2048)], axis=1).ravel()
    edges = fault.began + np.concatenate([[0.0], np.cumsum(lengths)])
    seconds = out.seconds - ago
    number = np.searchsorted(edges, seconds, side="right") - 1
    return np.asarray((number % 2 == 0) * fault.held(seconds))
