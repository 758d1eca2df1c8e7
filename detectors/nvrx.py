"""Nvrx: how fast each rank is beside the fastest one and beside its own best, in the manner of NVIDIA's resiliency extension.

Source: the straggler detection of nvidia-resiliency-ext (NVIDIA, 2024-26): relative score = time of the best rank / own time, individual
score = own best time / own time now, of the medians over a report interval; below 0.75 is a straggler, so a loss of speed under a quarter
is silent by default. Its NVLink check: a port is bad when more than 15 of the last 30 windows of 60 s counted any error. Not the original:
that times sections and CUDA kernels inside the job; here any time, and any rate that the workload gets, stands for a section,
waiting left out, and is compared within one job and role; a rate counts as its inverse. Left out: the weighting of kernels by their share of time (each
metric is scored by itself). Blind by design: what costs less than a quarter of the speed, and a group that shares its fault from the start.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from grayscope.columns import Columns, Field, Memory
from grayscope.evidence import Evidence
from grayscope.grouped import cells, highest, quantiles
from grayscope.rivals import Rows, alarms, follow, groups, keep, slots, timed
from grayscope.standing import Standing
from grayscope.tick import Tick
from grayscope.wording import number

#: Seconds of a report interval, as in the examples and in the settings of frameworks that use it; samples kept of it at most.
INTERVAL, MOST = 300, 30
#: NVLink: windows of so many seconds, how many are remembered, how many of them may be flagged.
WINDOW, REMEMBERED, FLAGGED = 60, 30, 15


class Nvrx:
    """Score every time and rate against the best of the peers and against the own best.

    Parameters
    ----------
    false_pages : float
        Unused: the method knows no rate of false alarms.
    threshold : float
        Score below which a rank is a straggler.
    """

    rival: ClassVar[bool] = True

    def __init__(self, *, false_pages: float = 1.0, threshold: float = 0.75) -> None:
        del false_pages
        self.threshold = threshold
        self.memory = Memory(
            {
                "recent": Field(np.float32, np.nan, (MOST,)),
                "speed": Field(np.float32, np.nan),  # of the last report, as a time would have its inverse
                "best": Field(np.float32, np.nan),  # own, of all reports
                "relative": Field(np.float32, np.nan),
                "individual": Field(np.float32, np.nan),
                "errors": Field(np.bool_, 0),  # any in the current window
                "history": Field(np.uint32, 0),  # one bit per window
            }
        )

    def step(self, tick: Tick, standing: Standing) -> Evidence:
        """Return the stragglers of the last report and the bad NVLink ports."""
        times, ports = timed(standing), _ports(standing)
        if not len(times) and not len(ports):
            return Evidence()
        columns = follow(self.memory, tick, standing)
        size, stride = slots(INTERVAL, tick.period, MOST)
        if keep(columns, "recent", tick.values, size, stride) and len(times):
            self._report(tick, standing, columns, times, size)
        if len(ports):
            _watch(tick, columns, ports)
        return Evidence.join([self._stragglers(tick, standing, columns, times), self._bad(tick, standing, columns, ports)])

    def _report(self, tick: Tick, standing: Standing, columns: Columns, rows: Rows, size: int) -> None:
        """Take the medians of the interval and score them."""
        a = columns.arrays
        values = quantiles(a["recent"][:size, rows], (0.5,))[0]
        values = np.where(values > 0, values, np.float32(np.nan))
        speed = np.where((standing.sign[rows] > 0)[:, None], 1 / values, values).astype(np.float32)
        label, n = groups(tick, standing, rows)
        a["best"][rows] = np.fmax(a["best"][rows], speed)
        a["speed"][rows] = speed
        a["relative"][rows] = speed / cells(highest(speed, label, n), label)
        a["individual"][rows] = speed / a["best"][rows]

    def _stragglers(self, tick: Tick, standing: Standing, columns: Columns, rows: Rows) -> Evidence:
        a = columns.arrays
        relative, individual = a["relative"][rows], a["individual"][rows]
        score = np.fmin(relative, individual)

        def told(k: int, s: int) -> tuple[float, float, str]:
            slower, value = standing.sign[rows[k]] > 0, float(a["speed"][rows[k], s])
            than, share = ("the best of its peers", float(relative[k, s])) if relative[k, s] <= individual[k, s] else ("its own best", float(individual[k, s]))
            value, best = (1 / value, share / value) if slower else (value, value / share)
            metric = standing.metrics[rows[k]]
            unit = metric.unit if metric else ""
            return value, best, f"score {share:.2f} below {self.threshold:g}: {number(value, unit)} beside {number(best, unit)} of {than}"

        return alarms("nvrx", tick, standing, rows, score < self.threshold, told)

    def _bad(self, tick: Tick, standing: Standing, columns: Columns, rows: Rows) -> Evidence:
        flagged = _popcount(columns.arrays["history"][rows])
        text = f"of the last {REMEMBERED} windows of {WINDOW} s had errors, {FLAGGED} may have some"
        return alarms(
            "nvrx", tick, standing, rows, flagged > FLAGGED, lambda k, s: (float(flagged[k, s]), float(FLAGGED), f"{flagged[k, s]} {text}")
        )  # fmt: skip

    def snapshot(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return the whole state."""
        return self.memory.snapshot()

    def restore(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Become what `snapshot` returned."""
        self.memory.restore(state)


def _ports(standing: Standing) -> Rows:
    """Return the rows that count errors of NVLinks."""
    found = [m for m, x in enumerate(standing.metrics) if x and x.type == "counter" and x.side == "redundancy" and standing.sign[m]]
    return np.array([m for m in found if (x := standing.metrics[m]) and x.name.startswith(("nvlink_", "gpu_nvlink_"))], np.intp)


def _watch(tick: Tick, columns: Columns, rows: Rows) -> None:
    """Note errors; at the end of a window add its bit to the history."""
    a = columns.arrays
    a["errors"][rows] |= tick.values[rows] > 0
    if columns.ticks % slots(WINDOW, tick.period, 1 << 30)[0] == 0:
        a["history"][rows] = ((a["history"][rows] << np.uint32(1)) | a["errors"][rows]) & np.uint32((1 << REMEMBERED) - 1)
        a["errors"][rows] = False


def _popcount(words: NDArray[np.uint32]) -> NDArray[np.uint8]:
    return np.bitwise_count(words)
