"""Moment: what all parts of the fleet share in one hour: when it is, who works, how hard, and whose driver came back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from grayscope.fleet.noise import Floats

#: The first moment: 2026-01-05 00:00 UTC, microseconds.
START = 1_767_571_200_000_000


def stamp(seconds: float) -> int:
    """Return the event time, in microseconds, of a moment in seconds since the first one."""
    return START + round(seconds * 1e6)


@dataclass(frozen=True, slots=True)
class Moment:
    """One hour of the fleet.

    Parameters
    ----------
    seconds : ndarray, shape [T]
        Since the fleet's first moment.
    working : ndarray of bool, shape [T, G]
        GPUs that have a rank.
    busy : ndarray, shape [T, G]
        Share of a step in which the GPU has work of its own; the rest is waiting for others.
    traffic : ndarray, shape [T, G]
        Steps per second, 0 without a rank.
    boots : sequence of (tick, GPUs)
        Nodes, named by all their GPUs, that start at that tick: even their hosts and NICs count from nought.
    born : sequence of (tick, GPUs)
        Other parts that took a place at that tick: nothing of them was counted before.
    spinning : ndarray of bool, shape [T, G], or None
        GPUs that wait for ever in a collective, and look busy.
    resets : sequence of (tick, GPUs)
        Drivers that came back at that tick.
    """

    seconds: Floats
    working: NDArray[np.bool_]
    busy: Floats
    traffic: Floats
    resets: tuple[tuple[int, NDArray[np.intp]], ...] = ()
    spinning: NDArray[np.bool_] | None = None
    born: tuple[tuple[int, NDArray[np.intp]], ...] = ()
    boots: tuple[tuple[int, NDArray[np.intp]], ...] = ()

    def hosts(self, gpus: int) -> tuple[tuple[int, NDArray[np.intp]], ...]:
        """Return (tick, nodes) of those that start, given how many GPUs a node has."""
        return tuple((tick, np.unique(some // gpus)) for tick, some in self.boots)
