"""Greyhound: a change point in the iteration time of 10 % or more, then who takes 10 % longer than the median of its peers.

Source: Greyhound, earlier FALCON (HKUST and Alibaba, USENIX ATC 2025): Bayesian online change-point detection on a job's iteration time at
a probability above 0.9, verified by means before and after that differ by 10 %; then its compute and communication are profiled, and
suspects are the members that take more than 1.10 times the median of their group. Not the original: that finds iterations in the sequence
of NCCL calls, profiles with CUDA events on demand and validates suspects with GEMM and point-to-point tests, all left out; here iterations
are a job's step times and a profile is the mean of the last samples of every rank's and communicator's own times, waiting left out. Where
nothing tells a job's iterations each time is its own. The rule as printed, on the probability of run length zero, never fires in the
textbook recursion (it equals the hazard), so the probability of a run of two to five samples is taken. Hazard 0.01, the prior's noise of 1
% and runs of 40 samples at most are assumed. The released code uses another method (BEAST). Blind by design: slowness below 10 %, slowness
from the start, all members equally slow.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from grayscope.columns import Columns, Field, Memory
from grayscope.crowds import Iterations, owners
from grayscope.evidence import NOTHING, Evidence
from grayscope.grouped import cells, medians
from grayscope.rivals import CROWD, Cells, Rows, alarms, follow, groups, keep, served
from grayscope.standing import Standing
from grayscope.tick import Tick
from grayscope.wording import number

Floats = NDArray[np.float64]
#: Probability of a change, its size, and how much longer than the median a suspect takes: as published.
SURE, CHANGE, SUSPECT = 0.9, 0.10, 1.10
#: Hazard; a change is a run of so many samples (one alone has no mean to verify); longest run that is told apart (it forgets).
HAZARD, FEW, SHORT, LONGEST = 0.01, 2, 5, 40
#: Prior of a new run on the logarithm: a noise of 1 %, a mean within about 10 % of the old one.
KAPPA, ALPHA, BETA = 0.01, 1.0, 1e-4
#: Marks the state of the runs.
RUNS = "#runs "
RUN = np.arange(LONGEST, dtype=np.float64)[:, None, None]
K, A = KAPPA + RUN, ALPHA + RUN / 2
#: The part of a Student density that depends on the run's length alone.
LEVEL = np.array([math.lgamma(a + 0.5) - math.lgamma(a) - 0.5 * math.log(2 * math.pi * a) for a in A.ravel().tolist()])[:, None, None]


class Greyhound:
    """Follow the runs of every iteration time.

    Parameters
    ----------
    false_pages : float
        Unused: the method knows no rate of false alarms.
    change : float
        Least change of the iteration time that counts.
    """

    rival: ClassVar[bool] = True

    def __init__(self, *, false_pages: float = 1.0, change: float = CHANGE) -> None:
        del false_pages
        self.change = math.log(1 + change)
        runs = (LONGEST,)
        self.runs = Memory(
            {
                "p": Field(np.float64, 0.0, runs), "mean": Field(np.float64, 0.0, runs), "beta": Field(np.float64, BETA, runs),
                "seen": Field(np.int32, 0), "base": Field(np.float64, np.nan), "now": Field(np.float64, np.nan), "slow": Field(np.bool_, 0),
            }
        )  # fmt: skip
        self.profile = Memory({"recent": Field(np.float32, np.nan, (SHORT,))})
        self.iterations = Iterations()

    def step(self, tick: Tick, standing: Standing) -> Evidence:
        """Return the suspects of every job whose iterations have become slower."""
        jobs = self.iterations.take(tick)
        if jobs is not None:
            self._advance(self.runs.of(jobs).arrays, np.array([0]), _logarithm(jobs.values), np.array([1], np.int8))
        rows = served(standing)
        if not len(rows):
            return NOTHING
        columns = follow(self.profile, tick, standing)
        keep(columns, "recent", tick.values, SHORT, 1)
        slow, change, now = self._changed(tick, standing, columns, rows)
        slow = slow & np.isfinite(tick.values[rows])
        if not slow.any():
            return NOTHING
        label, n = groups(tick, standing, rows)
        median, count = medians(now, label, n)
        centre = cells(median, label)
        above = np.where((standing.sign[rows] > 0)[:, None], now > SUSPECT * centre, SUSPECT * now < centre)

        def told(k: int, s: int) -> tuple[float, float, str]:
            metric, value, expected = standing.metrics[rows[k]], float(now[k, s]), float(centre[k, s])
            unit = metric.unit if metric else ""
            text = f"{change[k, s]:.0%} slower iterations; {number(value, unit)} beside {number(expected, unit)} of its peers"
            return value, expected, text

        return alarms("greyhound", tick, standing, rows, slow & above & (cells(count, label) >= CROWD), told)

    def _changed(self, tick: Tick, standing: Standing, columns: Columns, rows: Rows) -> tuple[Cells, Floats, NDArray[np.float32]]:
        """Return for each cell whether the iterations that it takes part in have become slower, by how much, and what it takes now."""
        if not self.iterations.table:
            a = follow(self.runs, tick, standing).arrays
            self._advance(a, rows, _logarithm(tick.values[rows]), standing.sign[rows])
            return a["slow"][rows], np.expm1(np.abs(a["now"][rows] - a["base"][rows])), np.exp(a["now"][rows]).astype(np.float32)
        jobs = self.runs.tables["iterations"]
        job = owners(tick.roster, tick.subjects, "job")[0]
        a, slow, change = jobs.arrays, np.zeros(len(job), bool), np.full(len(job), np.nan)
        for j in np.flatnonzero(a["slow"][0]).tolist():
            mine = job == jobs.subjects[j]
            slow[mine], change[mine] = True, math.expm1(abs(float(a["now"][0, j] - a["base"][0, j])))
        return np.tile(slow, (len(rows), 1)), np.tile(change, (len(rows), 1)), _mean(columns.arrays["recent"][:, rows])

    def _advance(self, a: dict[str, np.ndarray[Any, Any]], rows: Rows, x: Floats, sign: NDArray[np.int8]) -> None:
        """Add one sample to the runs of each series, then judge whether one has just begun."""
        there = np.isfinite(x)
        seen = a["seen"][rows]
        base = np.where(seen > 0, a["base"][rows], x)
        p, mean, beta = a["p"][:, rows], a["mean"][:, rows], a["beta"][:, rows]
        p[0] = np.where(seen > 0, p[0], 1.0)
        mean[0] = base  # a new run is expected near the old one
        new = _grow(p, mean, beta, np.where(there, x, 0.0))
        for name, array, old in zip(("p", "mean", "beta"), new, (a["p"][:, rows], a["mean"][:, rows], a["beta"][:, rows]), strict=True):
            a[name][:, rows] = np.where(there, array, old)
        a["seen"][rows] = seen + there
        p, mean = a["p"][:, rows], a["mean"][:, rows]
        short = p[: SHORT + 1].sum(axis=0)
        likely = np.take_along_axis(mean, p[1:].argmax(axis=0)[None] + 1, axis=0)[0]
        before = np.take_along_axis(mean, p[SHORT + 1 :].argmax(axis=0)[None] + SHORT + 1, axis=0)[0]
        slow = a["slow"][rows]
        calm = ~slow & (short < 0.5)
        a["base"][rows] = np.where(calm & there, before, base)
        worse = (likely - base) * sign[:, None]
        begun = (p[FEW : SHORT + 1].sum(axis=0) > SURE) & (seen >= LONGEST) & (worse >= self.change)
        a["slow"][rows] = np.where(there, (slow | begun) & (worse >= self.change), slow)
        a["now"][rows] = np.where(there, likely, a["now"][rows])

    def snapshot(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return the whole state."""
        runs = {f"{RUNS}{key}": array for key, array in self.runs.snapshot().items()}
        return self.profile.snapshot() | runs | {"#iterations": np.array(self.iterations.table)}

    def restore(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Become what `snapshot` returned."""
        self.iterations.table = str(state["#iterations"])
        self.runs.restore({key.removeprefix(RUNS): array for key, array in state.items() if key.startswith(RUNS)})
        self.profile.restore({key: array for key, array in state.items() if not key.startswith("#")})


def _mean(window: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean of what there is along the first axis."""
    there = np.isfinite(window)
    n = there.sum(axis=0)
    return np.where(n > 0, np.where(there, window, 0).sum(axis=0) / np.maximum(n, 1), np.nan).astype(np.float32)


def _logarithm(values: NDArray[np.float32]) -> Floats:
    return np.log(np.where(values > 0, values, np.nan).astype(np.float64))


def _grow(p: Floats, mean: Floats, beta: Floats, x: Floats) -> tuple[Floats, Floats, Floats]:
    """Return run-length probabilities and each run's mean and spread after a sample x, shapes [R, K, S] (Adams and MacKay, 2007)."""
    apart = x - mean
    square = np.square(apart) * (K / (K + 1))
    width = beta * (K + 1) / K
    density = np.exp(LEVEL - 0.5 * np.log(width) - (A + 0.5) * np.log1p(square / (2 * beta)))
    weight = p * np.maximum(density, 1e-300)
    weight /= weight.sum(axis=0)
    mean, beta = mean + apart / (K + 1), beta + square / 2
    grown = np.empty_like(p), np.empty_like(p), np.empty_like(p)
    for new, old in zip(grown, (weight * (1 - HAZARD), mean, beta), strict=True):
        new[1:] = old[:-1]
    grown[0][0], grown[1][0], grown[2][0] = HAZARD, 0.0, BETA
    _merge(grown, weight, mean, beta)
    return grown


def _merge(grown: tuple[Floats, Floats, Floats], weight: Floats, mean: Floats, beta: Floats) -> None:
    """Let the longest run go on for ever, at its fixed length: it forgets at that pace."""
    p, m, b = grown
    old = weight[-1] > weight[-2]
    p[-1] = (weight[-2] + weight[-1]) * (1 - HAZARD)
    m[-1] = np.where(old, mean[-1], mean[-2])
    forgetting = (A[-1] - ALPHA) / (A[-1] - ALPHA + 0.5)
    b[-1] = np.where(old, beta[-1] * forgetting, beta[-2])
