"""Crowds: what subjects belong to: machines as one value each, jobs and the time of their iterations."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from grayscope.grouped import sums
from grayscope.roster import View
from grayscope.standing import Standing
from grayscope.tick import Tick


@lru_cache(maxsize=32)
def owners(view: View, subjects: tuple[str, ...], key: str) -> tuple[NDArray[np.str_], NDArray[np.int64]]:
    """Return what each subject belongs to by a key of the roster, shape [S], and the same as numbers.

    Examples
    --------
    >>> owners(View(0, {}), ("n1/gpu0", "n2/gpu0", "n1/gpu1"), "node")[1].tolist()
    [0, 1, 0]
    """
    names = np.array(view.column(subjects, key), np.str_)
    return names, np.unique(names, return_inverse=True)[1].astype(np.int64)


class Machines:
    """One value per machine and peer group instead of one per part.

    The value stands at the machine's first part and all others are NaN, so memory, medians and alarms work as they do for parts.
    What is compared inside one machine (its drives) keeps its parts.

    Parameters
    ----------
    tick : Tick
    standing : Standing
    rows : [K]
        Rows of the tick.
    label : [K, S]
        Peer group of each of their cells.
    """

    def __init__(self, tick: Tick, standing: Standing, rows: NDArray[np.intp], label: NDArray[np.int32]) -> None:
        self.subjects = tick.subjects
        self.nodes, number = owners(tick.roster, tick.subjects, "node")
        self.inside = np.array([bool((x := standing.metrics[m]) and "node" in x.peers) for m in rows.tolist()], bool)
        self.counts = np.array([bool((x := standing.metrics[m]) and x.type == "counter") for m in rows.tolist()], bool)
        self.member, self.first = np.empty(label.shape, np.int32), np.ones(label.shape, bool)
        self.member[:] = np.arange(label.shape[1])
        for k in np.flatnonzero(~self.inside).tolist():
            _, first, member = np.unique(label[k] * np.int64(len(number) + 1) + number, return_index=True, return_inverse=True)
            self.member[k], self.first[k] = member, np.isin(np.arange(len(number)), first)

    def of(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the mean of each machine's parts that reported, shape [K, S]."""
        there, width = np.isfinite(values), values.shape[1]
        total, count = sums(values, self.member, width), sums(np.where(there, 1.0, np.nan), self.member, width)
        value = np.take_along_axis(np.where(count > 0, total / np.maximum(count, 1), np.nan), self.member, axis=1)
        return np.where(self.first, value, np.nan).astype(np.float32)

    def name(self, k: int, s: int) -> str:
        """Return who the cell speaks for."""
        return self.subjects[s] if self.inside[k] else str(self.nodes[s])


class Iterations:
    """The iteration time of every job: from the table of jobs, else the median of its ranks. What tells first goes on telling."""

    def __init__(self) -> None:
        self.table = ""

    def take(self, tick: Tick) -> Tick | None:
        """Return a tick with one subject per job and one metric, seconds, where the tick given is of the table that tells them."""
        row = next((m for m, name in enumerate(tick.metrics) if name in ("job_step_seconds", "step_seconds")), None)
        if row is None or tick.table != (self.table or tick.table):
            return None
        self.table = tick.table
        of = np.array(tick.subjects, np.str_) if tick.table == "job" else owners(tick.roster, tick.subjects, "job")[0]
        there = np.isfinite(tick.values[row]) & (tick.values[row] > 0)
        jobs = tuple(sorted(set(of.tolist()) - {""}))
        mine = [tick.values[row][there & (of == job)] for job in jobs]
        values = np.array([[np.median(x) if len(x) else np.nan for x in mine]], np.float32)
        return Tick("iterations", tick.time, tick.period, tick.roster, jobs, ("iteration_seconds",), values, np.zeros(len(jobs), bool))
