"""Eroica: when a job gets slower, which of its workers behaves unlike more of its peers than median + 5 MAD of them do.

Source: EROICA (Alibaba, NSDI 2026), in our reading of an account of it: a job whose last 50 iterations are on average more than 5 % above
the best (or that stalls fivefold) is profiled for 20 s; each function becomes a pattern of critical-path share, mean utilisation of what it
runs on and its standard deviation; two workers differ when the Manhattan distance of their patterns exceeds 0.4; a worker is abnormal when
the number of peers that it differs from exceeds median + 5 MAD over the workers. Not the original: functions and the critical path need its
profiler; here a worker is a rank, its functions are computing and collectives (share = time of it / time of a step, waiting included), and
the utilisation is that of the rank's GPU while it computes; that of the network is left out. Where counts hardly vary their MAD is zero and
victims that are unlike the culprit alone would be accused with it, so at least half of the peers must differ (assumed). A profile is
renewed as long as the job is slow, in its favour. Without iteration times nothing triggers a profile and it is silent. Blind by design: a
job that was slow from the start, and a worker less unlike than 0.4 (computing that takes a third longer comes near it).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from grayscope.columns import Field, Memory
from grayscope.crowds import Iterations, owners
from grayscope.evidence import NOTHING, Evidence
from grayscope.grouped import cells, highest, medians
from grayscope.rivals import CROWD, Rows, alarms, follow, groups, keep, slots
from grayscope.standing import Standing
from grayscope.tick import Tick
from grayscope.wording import number

Floats = NDArray[np.float32]
#: Iterations whose mean is watched, how far it may lie above the best, how far one alone may: as published.
ITERATIONS, SLOWER, STALL = 50, 1.05, 5.0
#: Seconds of a profile; samples of it at most; how many MADs above the median: as published but for the samples.
PROFILE, MOST, MADS = 20, 20, 5
#: What tells how busy a GPU is, best first.
BUSY = ("gpu_sm_active_ratio", "gpu_active_ratio")


class Eroica:
    """Profile the jobs that have become slower.

    Parameters
    ----------
    false_pages : float
        Unused: the method knows no rate of false alarms.
    differ : float
        Manhattan distance from which two workers differ.
    """

    rival: ClassVar[bool] = True

    def __init__(self, *, false_pages: float = 1.0, differ: float = 0.4) -> None:
        del false_pages
        self.differ = differ
        self.memory = Memory({"recent": Field(np.float32, np.nan, (MOST,))})
        self.busy = Memory({"busy": Field(np.float32, np.nan, (MOST,), per_metric=False)})
        self.steps = Memory({"steps": Field(np.float32, np.nan, (ITERATIONS,)), "best": Field(np.float32, np.nan)})
        self.iterations = Iterations()
        self.slow: list[str] = []

    def step(self, tick: Tick, standing: Standing) -> Evidence:
        """Return the abnormal workers of the jobs that are slow."""
        jobs = self.iterations.take(tick)
        if jobs is not None:
            self._time(jobs)
        if tick.table == "gpu":
            self._use(tick)
        rows = _functions(tick, standing)
        if not len(rows):
            return NOTHING
        columns = follow(self.memory, tick, standing)
        size = _samples(tick)
        keep(columns, "recent", tick.values, size, slots(PROFILE, tick.period, MOST)[1])
        profiled = np.isin(owners(tick.roster, tick.subjects, "job")[0], self.slow)
        if columns.ticks < size or not profiled.any():
            return NOTHING
        return self._profile(tick, standing, columns.arrays["recent"][:size], rows, profiled)

    def _time(self, jobs: Tick) -> None:
        """Follow the iterations of every job; those that are slow now are profiled."""
        columns = self.steps.of(jobs)
        a, now = columns.arrays, jobs.values[0]
        a["steps"][columns.ticks % ITERATIONS] = jobs.values
        newest = a["steps"][(columns.ticks - np.arange(ITERATIONS)) % ITERATIONS, 0]
        # A sample is the mean of all steps in it, so as many samples as hold 50 of them.
        there = np.isfinite(now)
        needed = np.clip(np.ceil(ITERATIONS * np.where(there, now, 1.0) * 1e6 / jobs.period), 1, ITERATIONS)
        taken = np.arange(ITERATIONS)[:, None] < needed
        whole = (np.isfinite(newest) | ~taken).all(axis=0)
        mean = np.where(whole, np.where(taken & np.isfinite(newest), newest, 0).sum(axis=0) / needed, np.nan).astype(np.float32)
        stalled = now > STALL * a["best"][0]
        a["best"][0] = np.fmin(a["best"][0], mean)
        slow = (mean > SLOWER * a["best"][0]) | stalled
        self.slow = sorted(job for job, is_slow in zip(jobs.subjects, slow.tolist(), strict=True) if is_slow)

    def _use(self, tick: Tick) -> None:
        """Note how busy the GPUs are."""
        row = next((tick.metrics.index(name) for name in BUSY if name in tick.metrics), None)
        columns = self.busy.of(tick)
        if row is not None:
            keep(columns, "busy", tick.values[row], _samples(tick), slots(PROFILE, tick.period, MOST)[1])

    def _used(self, tick: Tick) -> Floats:
        """Return how busy each rank's GPU was during the profile, shape [W, S]; zero for all where nothing tells that."""
        known = self.busy.tables.get("gpu")
        if known is None or not np.isfinite(known.arrays["busy"]).any():
            return np.zeros((1, len(tick.subjects)), np.float32)
        where = {name: i for i, name in enumerate(known.subjects)}
        own = np.array([where.get(gpu, -1) for gpu in owners(tick.roster, tick.subjects, "gpu")[0].tolist()], np.intp)
        busy = known.arrays["busy"][: _samples(tick)]
        return np.where(own >= 0, busy[:, own], np.float32(np.nan))

    def _profile(self, tick: Tick, standing: Standing, window: Floats, rows: Rows, profiled: NDArray[np.bool_]) -> Evidence:
        label, n = groups(tick, standing, rows)
        share, use, spread = self._patterns(tick, standing, window, rows)
        present = np.isfinite(share) & np.isfinite(use) & np.isfinite(tick.values[rows]) & profiled
        count, fence = self._differing(np.stack([share, use, spread]), present, label, n)
        centre = medians(tick.values[rows], label, n)[0]

        def told(k: int, s: int) -> tuple[float, float, str]:
            metric, value, expected = standing.metrics[rows[k]], float(tick.values[rows[k], s]), float(centre[k, label[k, s]])
            unit = metric.unit if metric else ""
            return value, expected, f"unlike {count[k, s]:.0f} of its peers, {fence[k, s]:.0f} may be; {number(value, unit)} beside {number(expected, unit)}"

        return alarms("eroica", tick, standing, rows, present & (count > fence), told)

    def _patterns(self, tick: Tick, standing: Standing, window: Floats, rows: Rows) -> tuple[Floats, Floats, Floats]:
        """Return share of a step, mean utilisation and its standard deviation of each function [K, S] over the window [W, M, S]."""
        step = self._step(tick)
        mean = np.where(np.isfinite(window[:, rows]).all(axis=0), window[:, rows].mean(axis=0), np.nan)
        share = (mean / np.where(step > 0, step, np.nan)).astype(np.float32)
        computing = np.array([not x.waits for m in rows.tolist() if (x := standing.metrics[m])], bool)[:, None]
        busy = self._used(tick)
        return share, np.where(computing, busy.mean(axis=0), np.float32(0)), np.where(computing, busy.std(axis=0), np.float32(0))

    def _step(self, tick: Tick) -> Floats:
        """Return the last iteration time of each rank's job, shape [S]."""
        steps = self.steps.tables["iterations"]
        last = dict(zip(steps.subjects, steps.arrays["steps"][steps.ticks % ITERATIONS, 0].tolist(), strict=True))
        return np.array([last.get(job, np.nan) for job in owners(tick.roster, tick.subjects, "job")[0].tolist()], np.float32)

    def _differing(self, pattern: Floats, present: NDArray[np.bool_], label: NDArray[np.int32], n: int) -> tuple[Floats, Floats]:
        """Return from how many peers each cell's pattern [3, K, S] differs, and how many it may."""
        count = np.where(present, np.float32(0), np.float32(np.nan))
        blank = np.where(present, pattern, np.float32(np.nan))
        wide = sum(_range(x, label, n) for x in blank) > self.differ
        for k, g in np.argwhere(wide).tolist():  # in health there are none
            who = np.flatnonzero((label[k] == g) & present[k])
            if len(who) >= CROWD:
                count[k, who] = _unlike(pattern[:, k, who], self.differ)
        median, size = medians(count, label, n)
        middle = cells(median, label)
        mad = cells(medians(np.abs(count - middle), label, n)[0], label)
        return count, np.maximum(middle + MADS * mad, cells(size, label) // 2).astype(np.float32)

    def snapshot(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return the whole state."""
        parts = {"#busy ": self.busy, "#steps ": self.steps}
        more = {f"{mark}{key}": array for mark, memory in parts.items() for key, array in memory.snapshot().items()}
        return self.memory.snapshot() | more | {"#jobs": np.array(json.dumps([self.iterations.table, self.slow]))}

    def restore(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Become what `snapshot` returned."""
        self.iterations.table, self.slow = json.loads(str(state["#jobs"]))
        for mark, memory in {"#busy ": self.busy, "#steps ": self.steps}.items():
            memory.restore({key.removeprefix(mark): array for key, array in state.items() if key.startswith(mark)})
        self.memory.restore({key: array for key, array in state.items() if not key.startswith("#")})


def _samples(tick: Tick) -> int:
    """Return how many samples a profile has; two at least: one has no spread."""
    return max(slots(PROFILE, tick.period, MOST)[0], 2)


def _functions(tick: Tick, standing: Standing) -> Rows:
    """Return the rows of the rank table that are a share of a step: computing, collectives."""
    if tick.table != "rank":
        return np.array([], np.intp)
    found = [m for m, x in enumerate(standing.metrics) if x and standing.sign[m] and x.type == "gauge" and x.unit == "s" and x.side == "service"]
    derived = "collective_wait_seconds" if "collective_duration_seconds" in tick.metrics else ""
    return np.array([m for m in found if tick.metrics[m] != derived], np.intp)


def _range(x: Floats, label: NDArray[np.int32], n: int) -> Floats:
    width = highest(x, label, n) + highest(-x, label, n)
    return np.where(np.isfinite(width), width, np.float32(0))


def _unlike(pattern: Floats, differ: float) -> NDArray[np.intp]:
    """Return for each worker of a pattern [3, S] from how many others it differs; in strips, so that memory stays small.

    Examples
    --------
    >>> _unlike(np.float32([[1, 1, 1, 0.7], [0.9, 0.9, 0.9, 0.7], [0, 0, 0, 0]]), 0.4).tolist()
    [1, 1, 1, 3]
    """
    strips = np.array_split(np.arange(pattern.shape[1]), max(pattern.shape[1] // 256, 1))
    apart = (np.abs(pattern[:, i][:, :, None] - pattern[:, None]).sum(axis=0) for i in strips)
    return np.concatenate([(d > differ).sum(axis=1) for d in apart])
