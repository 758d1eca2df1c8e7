"""Eroica: when a job gets slower, who behaves unlike more of its peers than median + 5 MAD of them do.

Source: EROICA (Alibaba, NSDI 2026), in our reading of an account of it: a job whose last 50 iterations are on average more than 5 % above
the best (or that stalls fivefold) is profiled for 20 s; each function becomes a pattern of critical-path share, mean utilisation and its
standard deviation; two workers differ when the Manhattan distance of their patterns exceeds 0.4; a worker is abnormal when the number of
peers that it differs from exceeds median + 5 MAD over the workers. Not the original: functions and the critical path need its profiler
and are left out; the pattern here is the mean and the standard deviation of a metric over 20 s (two samples at least): times beside a
known step time as shares of it, all else as shares of the largest in the group. The job's iterations are `step_seconds` of the rank table;
without that nothing triggers a profile and it is silent, unless it is told to profile always.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from grayscope.columns import Field, Memory
from grayscope.evidence import NOTHING, Evidence
from grayscope.grouped import cells, highest, medians
from grayscope.rivals import CROWD, Cells, Jobs, Rows, alarms, follow, groups, keep, measures, slots
from grayscope.standing import Standing
from grayscope.tick import Tick
from grayscope.wording import number

Floats = NDArray[np.float32]
#: Iterations whose mean is watched, how far it may lie above the best, how far one alone may: as published.
ITERATIONS, SLOWER, STALL = 50, 1.05, 5.0
#: Seconds of a profile; samples of it at most; how many MADs above the median.
PROFILE, MOST, MADS = 20, 20, 5


class Eroica:
    """Profile the jobs that have become slower.

    Parameters
    ----------
    false_pages : float
        Unused: the method knows no rate of false alarms.
    differ : float
        Manhattan distance from which two workers differ.
    always : bool
        Profile also where no step times are known, which the original never does.
    """

    rival: ClassVar[bool] = True

    def __init__(self, *, false_pages: float = 1.0, differ: float = 0.4, always: bool = False) -> None:
        del false_pages
        self.differ, self.always = differ, always
        self.memory = Memory({"recent": Field(np.float32, np.nan, (MOST,)), "steps": Field(np.float32, np.nan, (ITERATIONS,), per_metric=False),
                              "best": Field(np.float32, np.nan, per_metric=False)})  # fmt: skip
        self.timed = False  # some job's iterations are known
        self.slow: list[str] = []
        self.jobs = Jobs()

    def step(self, tick: Tick, standing: Standing) -> Evidence:
        """Return the abnormal workers of the jobs that are slow."""
        rows = measures(standing, waits=True)
        timed = "step_seconds" in tick.metrics
        if not len(rows) and not timed:
            return NOTHING
        columns = follow(self.memory, tick, standing)
        if timed:
            self._time(tick, columns.arrays, tick.metrics.index("step_seconds"), columns.ticks)
        # Two samples at least: one has no spread.
        size, stride = slots(PROFILE, tick.period, MOST)
        size = max(size, 2)
        keep(columns, "recent", tick.values, size, stride)
        unknown = self.always and not self.timed
        profiled = np.ones(len(tick.subjects), bool) if unknown else np.isin(self.jobs.of(tick), self.slow)
        if not len(rows) or columns.ticks < size or not profiled.any():
            return NOTHING
        label, n = groups(standing, rows)
        mean, spread = _pattern(tick, standing, columns.arrays["recent"][:size], rows, profiled)
        count, fence = self._differing(mean, spread, label, n)
        centre = medians(tick.values[rows], label, n)[0]

        def told(k: int, s: int) -> tuple[float, float, str]:
            metric, value, expected = standing.metrics[rows[k]], float(tick.values[rows[k], s]), float(centre[k, label[k, s]])
            unit = metric.unit if metric else ""
            return value, expected, f"unlike {count[k, s]:.0f} of its peers, {fence[k, s]:.0f} may be; {number(value, unit)} beside {number(expected, unit)}"

        return alarms("eroica", tick, standing, rows, (count > fence) & np.isfinite(tick.values[rows]), told)

    def _time(self, tick: Tick, a: dict[str, np.ndarray[Any, Any]], row: int, ticks: int) -> None:
        """Follow the iterations of every job; those that are slow now are profiled."""
        self.timed = True
        steps = a["steps"]
        steps[ticks % ITERATIONS] = tick.values[row]
        full = np.isfinite(steps).all(axis=0)
        mean = np.where(full, np.where(np.isfinite(steps), steps, 0.0).mean(axis=0), np.nan).astype(np.float32)
        a["best"][:] = np.fmin(a["best"], mean)
        slow = (mean > SLOWER * a["best"]) | (tick.values[row] > STALL * mean)
        self.slow = sorted(set(self.jobs.of(tick)[slow].tolist()))

    def _differing(self, mean: Floats, spread: Floats, label: NDArray[np.int32], n: int) -> tuple[Floats, Floats]:
        """Return from how many peers each cell differs, and how many it may."""
        count = np.zeros(mean.shape, np.float32)
        present = np.isfinite(mean)
        wide = _range(mean, label, n) + _range(spread, label, n) > self.differ
        for k, g in np.argwhere(wide).tolist():  # in health there are none
            who = np.flatnonzero((label[k] == g) & present[k])
            if len(who) >= CROWD:
                count[k, who] = _unlike(mean[k, who], spread[k, who], self.differ)
        count = np.where(present, count, np.float32(np.nan))
        middle = cells(medians(count, label, n)[0], label)
        mad = cells(medians(np.abs(count - middle), label, n)[0], label)
        return count, (middle + MADS * mad).astype(np.float32)

    def snapshot(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return the whole state."""
        return self.memory.snapshot() | {"#jobs": np.array(json.dumps([self.timed, self.slow]))}

    def restore(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Become what `snapshot` returned."""
        self.timed, self.slow = json.loads(str(state["#jobs"]))
        self.memory.restore({key: array for key, array in state.items() if key != "#jobs"})


def _pattern(tick: Tick, standing: Standing, window: Floats, rows: Rows, profiled: Cells) -> tuple[Floats, Floats]:
    """Return mean and standard deviation of each cell over the window [W, M, S], as shares."""
    label, n = groups(standing, rows)
    samples = window[:, rows]
    whole = np.isfinite(samples).all(axis=0) & profiled
    samples = np.where(whole, samples, 0.0)
    mean, spread = (np.where(whole, x, np.nan).astype(np.float32) for x in (samples.mean(axis=0), samples.std(axis=0)))
    scale = cells(highest(np.abs(mean), label, n), label)
    if "step_seconds" in tick.metrics:
        step = window[:, tick.metrics.index("step_seconds")].mean(axis=0)
        times = [k for k, m in enumerate(rows.tolist()) if (metric := standing.metrics[m]) and metric.unit == "s"]
        scale[times] = step
    scale = np.where(scale > 0, scale, np.float32(np.nan))
    return (mean / scale).astype(np.float32), (spread / scale).astype(np.float32)


def _range(x: Floats, label: NDArray[np.int32], n: int) -> Floats:
    width = highest(x, label, n) + highest(-x, label, n)
    return np.where(np.isfinite(width), width, np.float32(0))


def _unlike(mean: Floats, spread: Floats, differ: float) -> NDArray[np.intp]:
    """Return for each worker from how many others it differs; in strips, so that memory stays small.

    Examples
    --------
    >>> _unlike(np.float32([1, 1, 1, 0.5]), np.zeros(4, np.float32), 0.4).tolist()
    [1, 1, 1, 3]
    """
    strips = np.array_split(np.arange(len(mean)), max(len(mean) // 256, 1))
    apart = (np.abs(mean[i][:, None] - mean) + np.abs(spread[i][:, None] - spread) for i in strips)
    return np.concatenate([(d > differ).sum(axis=1) for d in apart])
