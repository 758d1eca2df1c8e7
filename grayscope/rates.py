"""Rates: counters become increments here, and nowhere else; a reset never looks like a burst, a wrap never like silence.

What a source gives is a running total that may wrap at its width, stick at its largest value, start again with the
driver, or be cleared by a stranger. Compared are 64-bit values in the source's own unit, before any scaling:

- it grew: the difference;
- it stands at the largest value of a clamping counter: unknown, for it may have gone on (`saturated`);
- it fell from the upper half of a wrapping counter to a point less than half the range ahead: the way round (`wrapped`);
- it fell otherwise: it started again (`reset`). What it shows was counted since then, so that is the increment, if the
  cell has counted as much between two rows before; else it may be another part's total, and is unknown;
- first sight, or not reported: unknown.

Increments forget what was there before we looked, so a stock's total (a counter of which the catalogue knows the budget)
is shown beside them, as a state: `gpu_rows_remapped` beside `gpu_rows_remapped_total`. So is what two counters say only together (`formed`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grayscope.batch import Batch
from grayscope.catalogue import Catalogue
from grayscope.formed import Formed
from grayscope.totals import Totals

Floats = NDArray[np.float64]
#: What exporters print for "blank" begins here (formats: 2**63 less 16, and the 64-bit float blank).
BLANK, BLANK_FLOAT = 9.2e18, (140737488355328.0, 140737488355332.0)


@dataclass(frozen=True, slots=True, eq=False)
class Raw:
    """Rows as a source gives them: like `Batch`, but counters are totals and units are the source's.

    Parameters
    ----------
    table : str
    times : ndarray of int64, shape [T]
        Microseconds, strictly increasing.
    subjects : tuple of str, length S
    metrics : tuple of str, length M
        Canonical names.
    factors : ndarray of float64, shape [M]
        From the source's unit to ours.
    values : ndarray of float64 (or float32), shape [T, M, S]
        NaN means not reported.
    arrived : ndarray of int64, shape [T, S], optional
    """

    table: str
    times: NDArray[np.int64]
    subjects: tuple[str, ...]
    metrics: tuple[str, ...]
    factors: Floats
    values: NDArray[np.floating[Any]]
    arrived: NDArray[np.int64] | None = None


class Rates:
    """Turns `Raw` into `Batch`; remembers the last total of every counter.

    Parameters
    ----------
    catalogue : Catalogue
        Says which metrics are counters, how wide they are and whether they wrap or clamp.
    cumulative : bool
        False: counters are increments already, only units are scaled.
    counts : dict, optional
        Where resets, wraps and the like are counted.

    Examples
    --------
    >>> from grayscope.catalogue import Catalogue
    >>> rates = Rates(Catalogue.load())
    >>> totals = np.array([10, 12, 3], np.float64).reshape(3, 1, 1)
    >>> raw = Raw("pcie", np.array([0, 10, 20]), ("n1/gpu0/pcie",), ("pcie_replays_total",), np.ones(1), totals)
    >>> rates.batch(raw).values.ravel().tolist(), rates.counts["reset"]
    ([nan, 2.0, nan], 1)
    """

    def __init__(self, catalogue: Catalogue, *, cumulative: bool = True, counts: dict[str, int] | None = None) -> None:
        self.catalogue, self.cumulative = catalogue, cumulative
        self.counts = {} if counts is None else counts
        for what in ("reset", "wrapped", "saturated", "blank", "not_finite"):
            self.counts.setdefault(what, 0)
        self._last: dict[str, Totals] = {}
        self._latest: tuple[tuple[str, ...], _Counters] | None = None
        self._formed = Formed(cumulative=cumulative)
        self._stocks: dict[tuple[str, ...], tuple[list[int], tuple[str, ...]]] = {}  # of the latest layout only
        self._width: dict[str, tuple[float, bool] | None] = {}

    def batch(self, raw: Raw) -> Batch:
        """Return the same rows with counters as increments since the subject's previous row, in our units."""
        values = self._finite(raw.values)
        out = np.empty(values.shape, np.float32)
        counters = self._counters(raw.metrics) if self.cumulative else None
        with np.errstate(over="ignore"):
            out[...] = values
            for m in np.flatnonzero(raw.factors != 1.0).tolist():
                out[:, m, :] = values[:, m, :] * raw.factors[m]
            if counters is not None and len(counters.rows):
                self._increments(counters, raw, values, out)
        metrics, out = self._formed.beside(raw, values, *self._with_totals(raw, values, out))
        overflow = np.isinf(out)
        if overflow.any():
            self.counts["not_finite"] += int(overflow.sum())
            out[overflow] = np.nan
        return Batch(raw.table, raw.times, raw.subjects, metrics, out, raw.arrived)

    def _with_totals(self, raw: Raw, values: NDArray[np.floating[Any]], out: NDArray[np.float32]) -> tuple[tuple[str, ...], NDArray[np.float32]]:
        """Return names and values with the stocks' totals added."""
        if raw.metrics not in self._stocks:
            named = [(m, shown) for m, name in enumerate(raw.metrics) if self.cumulative and (shown := self._shown(name)) and shown not in raw.metrics]
            self._stocks = {raw.metrics: ([m for m, _ in named], (*raw.metrics, *(shown for _, shown in named)))}
        rows, metrics = self._stocks[raw.metrics]
        if not rows:
            return raw.metrics, out
        totals = (values[:, rows, :] * raw.factors[rows, None]).astype(np.float32)
        return metrics, np.concatenate([out, totals], axis=1)

    def _shown(self, name: str) -> str | None:
        """Return the name under which a stock's total is shown, None for all other metrics."""
        metric, shown = self.catalogue.get(name), name.replace("_total", "", 1)
        stock = metric is not None and metric.type == "counter" and metric.budget is not None
        return shown if stock and self.catalogue.get(shown) is not None else None

    def _finite(self, values: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
        """Drop infinities and the exporters' signs for blank, counted."""
        with np.errstate(invalid="ignore"):
            odd = np.abs(values) >= BLANK_FLOAT[0]
        if not odd.any():
            return values
        infinite = np.isinf(values)
        blank = odd & ((np.abs(values) >= BLANK) | ((values >= BLANK_FLOAT[0]) & (values < BLANK_FLOAT[1]))) & ~infinite
        self.counts["not_finite"] += int(infinite.sum())
        self.counts["blank"] += int(blank.sum())
        return np.where(infinite | blank, np.nan, values)

    def _counters(self, metrics: tuple[str, ...]) -> _Counters:
        """Return which of some metrics are counters, and how they end; of the latest layout it is known."""
        if self._latest is None or self._latest[0] is not metrics:
            self._latest = metrics, self._found(metrics)
        return self._latest[1]

    def _found(self, metrics: tuple[str, ...]) -> _Counters:
        known = [self._ends(name) for name in metrics]
        there = [(m, name, end) for m, (name, end) in enumerate(zip(metrics, known, strict=True)) if end is not None]
        rows, names = np.array([m for m, _, _ in there], np.intp), tuple(name for _, name, _ in there)
        return _Counters(rows, names, np.array([e[0] for _, _, e in there]), np.array([e[1] for _, _, e in there], bool))

    def _ends(self, name: str) -> tuple[float, bool] | None:
        """Return a counter's range and whether it sticks at its end, None for all other metrics."""
        if name not in self._width:
            metric = self.catalogue.get(name)
            counts = metric is not None and metric.type == "counter"
            self._width[name] = (2.0 ** (metric.bits or 64), metric.overflow == "clamp") if counts and metric is not None else None
        return self._width[name]

    def _increments(self, counters: _Counters, raw: Raw, values: NDArray[np.floating[Any]], out: NDArray[np.float32]) -> None:
        """Write the increments of all counters of a table into `out`, row after row."""
        memory = self._last.setdefault(raw.table, Totals())
        where = memory.places(counters.names, raw.subjects)
        last, peak = memory.last[where], memory.peak[where]
        factors = raw.factors[counters.rows, None]
        for t in range(len(values)):
            now = values[t, counters.rows, :].astype(np.float64, copy=False)
            step = now - last
            if (step < 0).any():
                self._fallen(step, now, last, peak, counters)
            if counters.clamps.any():
                full = counters.clamps[:, None] & (now == counters.modulus[:, None] - 1) & np.isfinite(step)
                self.counts["saturated"] += int(full.sum())
                step[full] = np.nan
            out[t, counters.rows, :] = step * factors
            np.fmax(peak, step, out=peak)
            last = np.where(np.isfinite(now), now, last)
        memory.last[where], memory.peak[where] = last, peak

    def _fallen(self, step: Floats, now: Floats, last: Floats, peak: Floats, counters: _Counters) -> None:
        """Settle in place the cells whose total is smaller than before."""
        fell = np.nonzero(step < 0)
        modulus, clamps = counters.modulus[fell[0]], counters.clamps[fell[0]]
        round_trip = step[fell] + modulus
        around = (last[fell] >= modulus / 2) & (last[fell] < modulus) & (round_trip < modulus / 2)
        around &= ~clamps & (modulus < 2.0**64)
        since = np.where((now[fell] >= 0) & (now[fell] <= np.fmax(peak[fell], 0)), now[fell], np.nan)
        step[fell] = np.where(around, round_trip, since)
        self.counts["wrapped"] += int(around.sum())
        self.counts["reset"] += int((~around).sum())

    def forget(self, subjects: set[str]) -> None:
        """Forget the totals of parts that were replaced: the new part's totals are not theirs."""
        for memory in self._last.values():
            memory.forget(subjects)
        self._formed.forget(subjects)


@dataclass(frozen=True, slots=True, eq=False)
class _Counters:
    """The counters among the metrics of a layout: row, name, range, and whether each sticks at its end, all of shape [C]."""

    rows: NDArray[np.intp]
    names: tuple[str, ...]
    modulus: Floats
    clamps: NDArray[np.bool_]
