"""Machinewide: what a machine does to all its ranks, told apart from what one of its parts does besides.

A braked machine slows all its ranks alike. Where one of them also runs on fewer lanes it is the last for both reasons, and where two machines are braked
each hides behind the other: without either the job would wait as long. What each costs is what the job would wait for it if there were nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from grayscope.feltin import FeltIn, kind
from grayscope.kernels import LOG
from grayscope.modes import Modes
from grayscope.standing import Standing
from grayscope.tick import Tick

Floats = NDArray[np.float32]
#: Ranks that a machine must have for what they share to be known.
LEAST = 4


class Wide(NamedTuple):
    """Machines under suspicion with their ranks; by how much each rank [S] is worse than usual, NaN elsewhere, and how much all of its machine share."""

    ranks: dict[str, list[int]]
    gained: Floats
    shared: Floats

    def besides(self, places: Mapping[str, list[int]]) -> Floats:
        """Return by how much ranks [S] that are also the places of smaller suspects are worse than their machine makes them."""
        narrow = np.zeros(len(self.shared), bool)
        narrow[[s for subject, mine in places.items() if subject not in self.ranks for s in mine]] = True
        return np.where(narrow & np.isfinite(self.gained), np.maximum(self.gained - self.shared, np.float32(0)), np.float32(0))

    def worst(self, subject: str, values: Floats) -> tuple[int, float, bool]:
        """Return a machine's last rank, -1 where none reported, by how much the machine makes it worse, and that this is known."""
        s = max((s for s in self.ranks[subject] if values[s] > 0), key=lambda s: (float(values[s]), s), default=-1)
        return s, float(self.shared[s]) if s >= 0 else 0.0, True


def wide(tick: Tick, suspects: Iterable[tuple[str, str]], felt_in: FeltIn, gain: Callable[[int], float]) -> Wide:
    """Return what machines under suspicion do to all their ranks: that by which at least half of them are worse than usual.

    What shows itself as a condition of its parts is of this kind (a brake, heat); a lost bond member is felt by whoever sends through it.

    Parameters
    ----------
    suspects : iterable of (str, str)
        Components and the modes that they are suspected of.
    gain : callable
        By how much a rank is worse than usual, on the metric's scale; NaN where that is not known.
    """
    ranks, nothing = dict[str, list[int]](), np.zeros(len(tick.subjects), np.float32)
    gained, shared = np.full_like(nothing, np.nan), nothing
    modes = Modes.load().modes
    for subject, mode in suspects if tick.table == "rank" else ():
        if kind(tick, subject) != "node" or "condition" not in modes[mode].sides:
            continue
        told = {s: more for s in felt_in.of(tick, subject, "") if math.isfinite(more := gain(s))}
        if len(told) >= LEAST:
            ranks[subject], gained[[*told]] = [*told], [*told.values()]
            shared[[*told]] = max(sorted(told.values())[(len(told) - 1) // 2], 0.0)
    return Wide(ranks, gained, shared)


def without(values: Floats, more: Floats, standing: Standing, row: int) -> Floats:
    """Return what ranks [S] would take if they were not so much worse."""
    return values * np.exp(-more) if int(standing.kind[row]) == LOG else values - int(standing.sign[row]) * more
