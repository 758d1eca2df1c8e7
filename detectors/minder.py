"""Minder: the one machine of a job whose window of a metric is unlike all others', for four minutes on end.

Source: Minder (ByteDance, NSDI 2025): per metric and window of 8 samples the sum of distances of each machine to all others, normalised
over the machines; the largest above a threshold is the candidate; one that stays candidate for 4 minutes is faulty. Seven metrics are tried
in a fixed order, most telling first, and the first that names a machine ends the search. Not the original: the LSTM-VAE per metric, which
was trained on normal data, is left out (windows are compared as they are, which the paper found worse); a machine's value is the mean of
its parts; the sum of distances is taken as the distance to the median window, which names the same machine at a fraction of the cost; it is
normalised by the *other* machines, or a small job could never alarm; the threshold is unpublished (3 is assumed); min-max scaling cancels
out; NVLink and engine activity have stand-ins where they are missing. It is evaluated with every tick rather than every 8 minutes, in its
favour. Blind by design: jobs on fewer than four machines, two faults at once, what moves none of the seven metrics, which part of the
machine it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from grayscope.columns import Columns, Field, Memory
from grayscope.crowds import Machines, owners
from grayscope.evidence import NOTHING, Evidence
from grayscope.grouped import cells, highest, medians, sums
from grayscope.rivals import CROWD, Cells, Labels, Rows, alarms, follow, slots
from grayscope.standing import Standing
from grayscope.tick import Tick
from grayscope.wording import number

#: Samples of a window, and seconds for which a machine must stay the candidate: as published.
WINDOW, CONTINUITY = 8, 240
#: The published metrics under our names, most telling first: PFC (receive pauses stand for it), CPU, GPU duty cycle, power, graphics engine
#: (SM activity stands for it), tensor activity, NVLink.
ORDER = (
    "nic_port_pause_seconds_total", "host_cpu_busy_ratio", "gpu_active_ratio", "gpu_power_watts", "gpu_sm_active_ratio", "gpu_tensor_active_ratio",
    "gpu_nvlink_transferred_bytes_per_second", "nvlink_transferred_bytes_total",
)  # fmt: skip


class Minder:
    """Follow the most distant machine of every group and metric.

    Parameters
    ----------
    false_pages : float
        Unused: the method knows no rate of false alarms.
    similarity : float
        Threshold of the normalised distance, in standard deviations of the other machines' distances.
    """

    rival: ClassVar[bool] = True

    def __init__(self, *, false_pages: float = 1.0, similarity: float = 3.0) -> None:
        del false_pages
        self.similarity = np.float32(similarity)
        self.memory = Memory({"square": Field(np.float32, 0.0, (WINDOW,)), "held": Field(np.int32, 0)})

    def step(self, tick: Tick, standing: Standing) -> Evidence:
        """Return the machines that have been candidates for long enough."""
        rows = _rows(tick, standing)
        if not len(rows):
            return NOTHING
        columns = follow(self.memory, tick, standing)
        label, n = _tasks(tick, rows)
        machines = Machines(tick, standing, rows, label)
        values = machines.of(tick.values[rows])
        centre, count = medians(values, label, n)
        distance = self._distance(columns, rows, values - cells(centre, label))
        score = _normalised(np.where(machines.first, distance, np.float32(np.nan)), label, n)
        held = self._hold(columns, rows, score, label, n, cells(count, label) >= CROWD)
        needed = slots(CONTINUITY, tick.period, 1 << 30)[0]

        def told(k: int, s: int) -> tuple[float, float, str]:
            metric, value, expected = standing.metrics[rows[k]], float(values[k, s]), float(centre[k, label[k, s]])
            beside = (
                f"{number(value, unit)} beside {number(expected, unit)}" if (unit := metric.unit if metric else "") else f"{value:.4g} beside {expected:.4g}"
            )
            return value, expected, f"the most distant machine of its job for {int(held[k, s])} ticks ({beside}, score {score[k, s]:.1f})"

        return alarms("minder", tick, standing, rows, _first((held >= needed) & np.isfinite(values), label), told, machines.name)

    @staticmethod
    def _distance(columns: Columns, rows: Rows, apart: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return how far each cell's window lies from the median window; what was not reported is as near as the last one was."""
        square = columns.arrays["square"]
        at, before = columns.ticks % WINDOW, (columns.ticks - 1) % WINDOW
        square[at, rows] = np.where(np.isfinite(apart), np.square(apart), square[before, rows])
        return np.asarray(np.sqrt(square[:, rows].sum(axis=0)), np.float32)

    def _hold(self, columns: Columns, rows: Rows, score: NDArray[np.float32], label: NDArray[np.int32], n: int, crowd: Cells) -> NDArray[np.int32]:
        """Count for how long each cell has been its group's candidate."""
        candidate = (score == cells(highest(score, label, n), label)) & (score > self.similarity) & crowd
        held = np.where(candidate, columns.arrays["held"][rows] + 1, 0).astype(np.int32)
        columns.arrays["held"][rows] = held
        return held

    def snapshot(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return the whole state."""
        return self.memory.snapshot()

    def restore(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Become what `snapshot` returned."""
        self.memory.restore(state)


def _rows(tick: Tick, standing: Standing) -> Rows:
    """Return the rows in the order in which they are tried."""
    names = [name.partition("{")[0] for name in tick.metrics]
    return np.array([m for wanted in ORDER for m, name in enumerate(names) if name == wanted and standing.metrics[m] is not None], np.intp)


def _tasks(tick: Tick, rows: Rows) -> tuple[Labels, int]:
    """Return the job of each cell [K, S]: Minder watches all machines of a task together."""
    job = owners(tick.roster, tick.subjects, "job")[1].astype(np.int32)
    return np.tile(job, (len(rows), 1)), int(job.max(initial=0)) + 1


def _normalised(distance: NDArray[np.float32], label: NDArray[np.int32], n: int) -> NDArray[np.float32]:
    """Return each cell's distance in standard deviations of the others' of its group."""
    d = distance.astype(np.float64)
    there = np.isfinite(d)
    others = cells(sums(np.where(there, 1.0, np.nan), label, n), label) - 1
    total, squares = (cells(sums(x, label, n), label) for x in (d, d * d))
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = (total - d) / others
        variance = np.maximum((squares - d * d) / others - mean * mean, 0.0)
        z = (d - mean) / np.sqrt(np.maximum(variance, np.square(1e-6 * mean)))
    return np.where(np.isfinite(z) & (others >= CROWD - 1), z, 0.0).astype(np.float32)


def _first(found: Cells, label: Labels) -> Cells:
    """Return what the first metric found that found anything in the cell's job; the search ends there."""
    earlier = np.zeros_like(found)
    for k in range(1, len(found)):
        before = np.unique(label[:k][found[:k]])
        earlier[k] = np.isin(label[k], before)
    return np.asarray(found & ~earlier)
