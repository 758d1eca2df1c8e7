"""Counters: running totals as sources print them: they start somewhere, wrap at their width, and start again with a driver."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from grayscope.fleet.noise import Floats

Resets = Sequence[tuple[int, NDArray[np.intp]]]


class Total:
    """One counter of many subjects that goes on from call to call.

    Parameters
    ----------
    start : ndarray, shape [S]
        Totals before the first call.
    bits : int or None
        Width at which it wraps.
    lasting : bool
        True: a driver reload leaves it as it is.
    clamped : bool
        True: it sticks at its largest value instead of wrapping.

    Examples
    --------
    >>> Total(np.array([6.0]), bits=3).next(np.ones((3, 1))).ravel().tolist()
    [7.0, 0.0, 1.0]
    """

    def __init__(self, start: Floats, *, bits: int | None = None, lasting: bool = False, clamped: bool = False) -> None:
        self.last = np.array(start, np.float64)
        self.bits, self.lasting, self.clamped = bits, lasting, clamped

    def next(self, increments: Floats, resets: Resets = (), born: Resets = ()) -> Floats:
        """Return the totals [T, S] after adding increments [T, S]; `resets` names (tick, subjects) that start again at 0, `born` new parts."""
        out: Floats = np.cumsum(np.concatenate([self.last[None], increments]), axis=0)[1:]  # from the last one on, so that no cut shows
        for tick, subjects in sorted((*(() if self.lasting else resets), *born), key=lambda r: r[0]):
            out[tick:, subjects] = np.cumsum(increments[tick:, subjects], axis=0)
        self.last = out[-1].copy()
        if self.bits is None:
            return out
        return np.asarray(np.minimum(out, 2.0**self.bits - 1) if self.clamped else np.mod(out, 2.0**self.bits), np.float64)
