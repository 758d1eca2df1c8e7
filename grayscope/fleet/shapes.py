"""Shapes: how strongly something acts over time: ramps, saws, bursts that breed bursts, and counts drawn from a rate."""

from __future__ import annotations

import numpy as np

from grayscope.fleet.effects import Effects
from grayscope.fleet.faults import Fault
from grayscope.fleet.noise import Floats

#: Share of a step's computing that goes into transfers inside the node, and that waits for memory: both assumed.
INSIDE, MEMORY = 0.15, 0.35


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
    """Return counts per tick, shape [T], drawn at `rate` [T] per second."""
    return fault.stream(out.seed, f"{idea} {out.seconds[0]:.0f}").poisson(rate * out.period).astype(np.float64)


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
    """Return the sum of `sizes` of those `moments` that fall into each tick, shape [T]."""
    tick = np.floor((moments - out.seconds[0]) / out.period + 1e-9).astype(np.int64)
    inside = (tick >= 0) & (tick < len(out.seconds))
    return np.asarray(np.bincount(tick[inside], sizes[inside], len(out.seconds)).astype(np.float64))


def telegraph(fault: Fault, out: Effects, on: float, off: float) -> Floats:
    """Return 1 in episodes of about `on` seconds with pauses of about `off`, 0 between them, shape [T]; it begins with one."""
    rng = fault.stream(out.seed, "telegraph")
    lengths = np.stack([rng.exponential(on, 2048), rng.exponential(off, 2048)], axis=1).ravel()
    edges = fault.began + np.concatenate([[0.0], np.cumsum(lengths)])
    number = np.searchsorted(edges, out.seconds, side="right") - 1
    return np.asarray((number % 2 == 0) * fault.held(out.seconds))
