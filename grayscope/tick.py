"""Tick: one table at one event time, settled."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from grayscope.event import Event
from grayscope.roster import View


@dataclass(frozen=True, slots=True, eq=False)
class Tick:
    """What stations after align see: everything stamped in (time - period, time].

    Parameters
    ----------
    table : str
    time : int
        Event time in microseconds, a multiple of `period`.
    period : int
        Nominal distance between rows of one subject, microseconds.
    roster : View
        The roster at `time`.
    subjects : tuple of str, length S
        Sorted; the same object from tick to tick while nobody comes or goes.
    metrics : tuple of str, length M
        Sorted; likewise the same object while nothing changes.
    values : ndarray of float32, shape [M, S]
        NaN means not reported.
    fresh : ndarray of bool, shape [S]
        True where the part is new since the previous tick: no past to inherit.
    events : tuple of Event
        Sorted; those since this table's previous tick.
    """

    table: str
    time: int
    period: int
    roster: View
    subjects: tuple[str, ...]
    metrics: tuple[str, ...]
    values: NDArray[np.float32]
    fresh: NDArray[np.bool_]
    events: tuple[Event, ...] = ()
