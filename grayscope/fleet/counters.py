"""Counters: running totals as sources print them: they start somewhere, wrap at their width, and start again with a driver."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from grayscope.fleet.noise import Floats


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

    Examples
    --------
    >>> Total(np.array([6.0]), bits=3).next(np.ones((3, 1))).ravel().tolist()
    [7.0, 0.0, 1.0]
    """

    def __init__(self, start: Floats, *, bits: int | None = None, lasting: bool = False) -> None:
        self.last = np.array(start, np.float64)
        self.bits, self.lasting = bits, lasting

    def next(self, increments: Floats, resets: Sequence[tuple[int, NDArray[np.intp]]] = ()) -> Floats:
        """Return the totals [T, S] after adding increments [T, S]; `resets` names (tick, subjects) that start again at 0."""
        out = self.last + np.cumsum(increments, axis=0)
        for tick, subjects in () if self.lasting else resets:
            before = out[tick - 1, subjects] if tick else self.last[subjects]
            out[tick:, subjects] -= before
        self.last = out[-1].copy()
        return out if self.bits is None else np.mod(out, 2.0**self.bits)
