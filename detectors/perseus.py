"""Perseus: latency regressed on load over a group's pooled samples; who is beyond the bound again and again gathers risk over days.

Source: Perseus (Alibaba and Shanghai Jiao Tong University, FAST 2023), in the form of the reimplementation by the University of Chicago:
polynomial of degree 4, slowdown ratio = latency / upper prediction bound, windows of 5 minutes whose upper half has a median above 1 are
slowdown events, daily risk by mean ratio and number of events (table below), summed over 15 days; at 50 a drive is slow. Not the original,
which works on whole past days: the fit here covers the last two hours and is renewed every ten minutes; PCA and DBSCAN before it are
replaced by leaving out what lies beyond three spreads of a first fit; the bound is that of a 95 % prediction interval with many samples
(assumed); windows do not overlap; the risk of the running day counts as soon as it is there. Whatever the workload gets that has a load is
regressed, on its peer group (a host's drives, as published) or, where no host has four, on all of the same kind. Blind by design: slightly
slow ones need days, a load outside the fitted range says nothing, and most of a group being slow moves the bound.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from grayscope.columns import Columns, Field, Memory
from grayscope.crowds import owners
from grayscope.evidence import NOTHING, Evidence
from grayscope.grouped import quantiles
from grayscope.rivals import CROWD, Rows, alarms, follow, groups, keep, loaded, slots
from grayscope.standing import Standing
from grayscope.tick import Tick

Floats = NDArray[np.float64]
DEGREE, SIGMAS, TRIM = 4, 1.96, 3.0
#: Seconds covered by a fit and between two fits; samples of a cell in it, and pooled ones that are needed.
COVERED, RENEWED, SAMPLES, ENOUGH = 7200, 600, 60, 50
#: Seconds of a window, and its samples at most.
WINDOW, MOST = 300, 30
#: Share of a window's samples below the median of the upper half.
UPPER = 0.75
DAY, DAYS = 86_400_000_000, 15
#: Risk of a day: rows by mean ratio of its events, columns by their number, as published.
RATIOS, EVENTS = (5.0, 2.0), (24, 12, 6)
RISK = np.array([[100, 25, 10], [25, 10, 5], [10, 5, 1]], np.float32)
#: A fit: coefficients, then mean and spread of the load, its range, the residuals' spread.
FIT = DEGREE + 6


class Perseus:
    """Gather the risk of every cell that has a load.

    Parameters
    ----------
    false_pages : float
        Unused: the method knows no rate of false alarms.
    cut : float
        Risk at which a component is slow; lower ones decide sooner.
    """

    rival: ClassVar[bool] = True

    def __init__(self, *, false_pages: float = 1.0, cut: float = 50.0) -> None:
        del false_pages
        self.cut = cut
        self.memory = Memory(
            {
                "samples": Field(np.float32, np.nan, (SAMPLES,)), "ratios": Field(np.float32, np.nan, (MOST,)), "fit": Field(np.float64, np.nan, (FIT,)),
                "events": Field(np.int32, 0), "excess": Field(np.float32, 0.0), "days": Field(np.float32, 0.0, (DAYS,)),
            }
        )  # fmt: skip
        self.day: dict[str, int] = {}

    def step(self, tick: Tick, standing: Standing) -> Evidence:
        """Return whoever has gathered enough risk."""
        where = {name: m for m, name in enumerate(tick.metrics)}
        rows = loaded(standing)
        load = np.array([where.get((standing.metrics[m].load or "") if standing.metrics[m] else "", -1) for m in rows.tolist()], np.intp)
        rows, load = rows[load >= 0], load[load >= 0]
        if not len(rows):
            return NOTHING
        columns = follow(self.memory, tick, standing)
        a = columns.arrays
        self._turn(tick, columns)
        size, stride = slots(COVERED, tick.period, SAMPLES)
        keep(columns, "samples", tick.values, size, stride)
        if columns.ticks % slots(RENEWED, tick.period, 1 << 30)[0] == 0:
            self._fit(tick, standing, a, rows, load, size)
        bound, ratio = _slowdown(a["fit"][:, rows], tick.values[rows].astype(np.float64), tick.values[load].astype(np.float64), standing.sign[rows])
        whole = np.full(tick.values.shape, np.nan, np.float32)
        whole[rows] = ratio
        size, stride = slots(WINDOW, tick.period, MOST)
        if keep(columns, "ratios", whole, size, stride):
            _count(a, rows, size)
        risk = a["days"][:, rows].sum(axis=0)
        expected = np.where(np.isfinite(bound), bound, np.nan)

        def told(k: int, s: int) -> tuple[float, float, str]:
            events, mean = int(a["events"][rows[k], s]), float(a["excess"][rows[k], s]) / max(int(a["events"][rows[k], s]), 1)
            return (
                float(tick.values[rows[k], s]), float(expected[k, s]),
                f"risk {risk[k, s]:.0f} of {self.cut:g} needed in {DAYS} days; today {events} events, {mean:.2f} of the bound under this load",
            )  # fmt: skip

        return alarms("perseus", tick, standing, rows, (risk >= self.cut) & np.isfinite(tick.values[rows]), told)

    def _turn(self, tick: Tick, columns: Columns) -> None:
        """Begin a new day: the oldest of the last 15 is forgotten."""
        day = tick.time // DAY
        a = columns.arrays
        for _ in range(min(day - self.day.get(tick.table, day), DAYS)):
            a["days"] = np.concatenate([np.zeros_like(a["days"][:1]), a["days"][:-1]])
            a["events"][:], a["excess"][:] = 0, 0.0
        self.day[tick.table] = day

    @staticmethod
    def _fit(tick: Tick, standing: Standing, a: dict[str, np.ndarray[Any, Any]], rows: Rows, load: Rows, size: int) -> None:
        """Fit every metric of every group on its pooled samples; a few hundred small fits every ten minutes."""
        label, n = groups(tick, standing, rows)
        kind = owners(tick.roster, tick.subjects, "sku")[1]
        for k, (m, u) in enumerate(zip(rows.tolist(), load.tolist(), strict=True)):
            members = [np.flatnonzero(label[k] == g) for g in range(n)]
            if not any(len(w) >= CROWD for w in members):  # hosts with few drives: all of a kind together
                members = [np.flatnonzero(kind == g) for g in range(int(kind.max(initial=0)) + 1)]
            for who in (w for w in members if len(w) >= CROWD):
                x, y = (a["samples"][:size, row][:, who].astype(np.float64).ravel() for row in (u, m))
                a["fit"][:, m, who] = _regression(x, y)[:, None]

    def snapshot(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return the whole state."""
        return self.memory.snapshot() | {f"{table}|#day": np.array(day) for table, day in self.day.items()}

    def restore(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Become what `snapshot` returned."""
        self.day = {key.partition("|")[0]: int(day) for key, day in state.items() if key.endswith("|#day")}
        self.memory.restore({key: array for key, array in state.items() if not key.endswith("|#day")})


def _regression(x: Floats, y: Floats) -> Floats:
    """Return the fit of y on x, twice: the second time without what the first found far away; NaN where there is too little."""
    there = np.isfinite(x) & np.isfinite(y)
    x, y = x[there], y[there]
    if len(x) < ENOUGH:
        return np.full(FIT, np.nan)
    mean, spread = x.mean(), max(x.std(), 1e-9 * abs(x.mean()), 1e-30)
    powers = np.vander((x - mean) / spread, DEGREE + 1)
    inside = np.ones(len(x), bool)
    for _ in range(2):
        solved = np.linalg.lstsq(powers[inside], y[inside], rcond=None)[0]
        apart = y - powers @ solved
        width = apart[inside].std()
        inside = np.abs(apart - np.median(apart)) <= TRIM * max(width, 1e-30)
        if inside.sum() < ENOUGH:
            return np.full(FIT, np.nan)
    return np.array([*solved, mean, spread, x.min(), x.max(), apart[inside].std()])


def _slowdown(fit: Floats, y: Floats, x: Floats, sign: NDArray[np.int8]) -> tuple[Floats, Floats]:
    """Return the prediction bound of each cell at its load, and how far it is reached: above 1 is beyond it."""
    *coefficients, mean, spread, least, most, width = fit
    u = (np.clip(x, least, most) - mean) / spread  # no extrapolation: a polynomial says nothing outside
    bound = np.zeros_like(u)
    for c in coefficients:
        bound = bound * u + c
    bound = bound + sign[:, None] * SIGMAS * width
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.where((sign > 0)[:, None], y / bound, bound / y)
    return bound, np.where((bound > 0) & (y > 0), ratio, np.nan)


def _count(a: dict[str, np.ndarray[Any, Any]], rows: Rows, size: int) -> None:
    """Close a window: note an event where the median of its upper half is beyond the bound, and today's risk so far."""
    upper = quantiles(a["ratios"][:size, rows], (UPPER,))[0]
    event = upper > 1
    a["events"][rows] += event
    a["excess"][rows] += np.where(event, upper, np.float32(0))
    events = a["events"][rows]
    mean = a["excess"][rows] / np.maximum(events, 1)
    row = np.where(mean >= RATIOS[0], 0, np.where(mean >= RATIOS[1], 1, 2))
    column = np.where(events >= EVENTS[0], 0, np.where(events >= EVENTS[1], 1, 2))
    a["days"][0, rows] = np.where(events >= EVENTS[2], RISK[row, column], 0)
