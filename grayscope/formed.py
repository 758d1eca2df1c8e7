"""Formed: ratios of two counters where a source tells only the counters: bit errors before their correction, of all bits received.

Both counters are compared with the last row that had both, so that a hole in one of them is no burst of the other. Half an event is added: none at
all is a bound and no infinite margin, and the same bound for all: who receives less, or is asked more often, has lost nothing. Where either started
again, or too little was received to say anything, there is no ratio.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from grayscope.totals import Totals

if TYPE_CHECKING:
    from grayscope.rates import Raw

Floats = NDArray[np.float64]


class Ratio(NamedTuple):
    """A ratio, its two counters (of events, of what they are events of), and how much of the second says anything."""

    name: str
    counters: tuple[str, str]
    least: float


RATIOS = (Ratio('nic_port_bit_error_ratio{stage="raw"}', ("nic_port_fec_corrected_bits_total", "nic_port_received_bits_total"), 1e9),)


class Formed:
    """Adds what is missing to rows; remembers the last totals of both counters.

    Parameters
    ----------
    cumulative : bool
        False: the counters are increments already.

    Examples
    --------
    >>> from grayscope.rates import Raw
    >>> errors, bits = RATIOS[0].counters
    >>> totals = np.array([[0, 0], [15, 2e9], [np.nan, 4e9], [25, 6e9]]).reshape(4, 2, 1)
    >>> raw = Raw("nic", np.arange(4), ("n1/nic0",), (errors, bits), np.ones(2), totals)
    >>> metrics, values = Formed().beside(raw, totals, raw.metrics, totals.astype(np.float32))
    >>> metrics[-1], [f"{v:.3g}" for v in values[:, -1, 0].tolist()]
    ('nic_port_bit_error_ratio{stage="raw"}', ['nan', '7.75e-09', 'nan', '2.62e-09'])
    """

    def __init__(self, *, cumulative: bool = True) -> None:
        self.cumulative = cumulative
        self._last: dict[tuple[str, str], Totals] = {}
        self._asked: tuple[tuple[str, ...], list[Ratio], tuple[str, ...]] | None = None

    def beside(
        self, raw: Raw, values: NDArray[np.floating[Any]], metrics: tuple[str, ...], out: NDArray[np.float32]
    ) -> tuple[tuple[str, ...], NDArray[np.float32]]:
        """Return the names and values `metrics`, `out` of rows, with the ratios added that they lack.

        Parameters
        ----------
        raw : Raw
        values : ndarray of floating, shape [T, M, S]
            Its totals, without what means nothing.
        metrics : tuple of str, length N
            What rows are made of: those of `raw`, then others.
        out : ndarray of float32, shape [T, N, S]
            Increments of the counters.
        """
        if self._asked is None or self._asked[0] is not metrics:
            lacking = [r for r in RATIOS if {*r.counters} <= {*raw.metrics} and not {r.name, r.name.partition("{")[0]} & {*metrics}]
            self._asked = metrics, lacking, (*metrics, *(r.name for r in lacking))
        _, lacking, names = self._asked
        if not lacking:
            return metrics, out
        return names, np.concatenate([out, *(self._column(r, raw, values, out) for r in lacking)], axis=1)

    def _column(self, ratio: Ratio, raw: Raw, values: NDArray[np.floating[Any]], out: NDArray[np.float32]) -> NDArray[np.float32]:
        rows = [raw.metrics.index(name) for name in ratio.counters]
        gained = self._gained(ratio, raw, values[:, rows, :].astype(np.float64)) if self.cumulative else out[:, rows, :].astype(np.float64)
        if self.cumulative:
            gained *= raw.factors[rows, None]
        events, of = gained[:, :1], gained[:, 1:]
        with np.errstate(invalid="ignore", divide="ignore"):
            formed = np.maximum((events + 0.5) / of, 0.5 / ratio.least)
            return np.where((events >= 0) & (of >= ratio.least), formed, np.nan).astype(np.float32)

    def _gained(self, ratio: Ratio, raw: Raw, totals: Floats) -> Floats:
        """Return what both counters [T, 2, S] gained since the last row that had both; NaN where one is not there."""
        memory = self._last.setdefault((raw.table, ratio.name), Totals())
        where = memory.places(ratio.counters, raw.subjects)
        last, gained = memory.last[where], np.full(totals.shape, np.nan)
        for t, now in enumerate(totals):
            both = np.isfinite(now).all(axis=0)
            gained[t] = np.where(both, now - last, np.nan)
            last = np.where(both, now, last)
        memory.last[where] = last
        return gained

    def forget(self, subjects: set[str]) -> None:
        """Forget the totals of parts that were replaced."""
        for memory in self._last.values():
            memory.forget(subjects)
