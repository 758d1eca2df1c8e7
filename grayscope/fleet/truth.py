"""Truth: what was really wrong, measured and not only meant: the job is run once more without the fault, and with it alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from grayscope.fleet import decoys as looks
from grayscope.fleet.faults import Fault, effects
from grayscope.fleet.lottery import Lottery
from grayscope.fleet.noise import Floats, ticking
from grayscope.fleet.topology import Topology
from grayscope.fleet.work import Work, pace
from grayscope.modes import Modes

#: A fault is gray where it changes a job's step time by this share ...
GRAY = 0.01
#: ... over so many seconds; gaps shorter than two of these are bridged.
WINDOW = 300.0
#: Modes that act on how long a rank computes.
SLOWS = frozenset({"thermal_throttle", "slow_rank"})


def truth_rows(
    topology: Topology, lottery: Lottery, faults: Sequence[Fault], seed: int, period: float, hours: Sequence[tuple[int, int]], stamp: Callable[[float], int]
) -> list[dict[str, Any]]:
    """Return the rows of truth.parquet, by time.

    Parameters
    ----------
    hours : sequence of (first tick, ticks)
    stamp : callable
        From seconds to microseconds of event time.
    """
    slowing = [f for f in faults if f.mode in SLOWS]
    change = _changes(topology, lottery, faults, slowing, seed, period, hours)
    duration = period * sum(ticks for _, ticks in hours)
    rows: list[dict[str, Any]] = []
    for fault in faults:
        spans = [(fault.began, fault.ended, fault.state)]
        if fault.mode in SLOWS:
            spans = list(_spans(fault, change[slowing.index(fault)], period, duration))
        rows += (_row(fault, *span, stamp) for span in spans)
    return sorted(rows, key=lambda r: (r["began"], r["subject"]))


def _changes(
    topology: Topology, lottery: Lottery, faults: Sequence[Fault], slowing: Sequence[Fault], seed: int, period: float, hours: Sequence[tuple[int, int]]
) -> list[Floats]:
    """Return per slowing fault the paces [T, 2, J]: with and without it, whichever pair of the two differs more."""
    work = Work(topology, lottery, seed, period)
    found: list[list[Floats]] = [[] for _ in slowing]
    for first, ticks in hours:
        seconds = ticking(first, ticks, period)
        alone, phases = work.alone(seconds), looks.phases(faults, topology, seconds)

        def paced(some: Sequence[Fault], seconds: Floats = seconds, alone: Floats = alone, phases: Floats = phases) -> Floats:
            factor = effects(some, topology, seconds, period, seed).compute[:, topology.rank_gpu]
            return pace(topology, alone, phases * factor)

        everything, nothing = paced(slowing), paced(())
        for parts, fault in zip(found, slowing, strict=True):
            others = [f for f in slowing if f is not fault]
            parts.append(np.stack([everything, paced(others), paced([fault]), nothing], axis=1))
    return [np.concatenate(parts) for parts in found]


def _spans(fault: Fault, paces: Floats, period: float, duration: float) -> Iterator[tuple[float, float | None, str]]:
    """Yield (began, ended, state): gray where a window's pace changes enough, masked where the slack of others hides it."""
    end = duration if fault.ended is None else min(fault.ended, duration)
    edges = np.arange(fault.began, end, WINDOW)
    at = np.clip(np.ceil(np.append(edges, end) / period).astype(np.intp), 0, len(paces))
    gray = []
    for a, b in pairwise(at.tolist()):
        mean = paces[a : max(b, a + 1)].mean(axis=0)
        gray.append(bool((np.abs(mean[0] / mean[1] - 1).max() >= GRAY) or (np.abs(mean[2] / mean[3] - 1).max() >= GRAY)))
    for k in range(1, len(gray) - 1):  # a single window in between is a gap under ten minutes
        gray[k] = gray[k] or (gray[k - 1] and gray[k + 1])
    start = 0
    for k in range(1, len(gray) + 1):
        if k == len(gray) or gray[k] != gray[start]:
            last = k == len(gray)
            yield float(edges[start]), fault.ended if last else float(edges[k]), "gray" if gray[start] else "masked"
            start = k


def _row(fault: Fault, began: float, ended: float | None, state: str, stamp: Callable[[float], int]) -> dict[str, Any]:
    mode = Modes.load().modes[fault.mode]
    return {
        "subject": fault.subject, "mode": fault.mode, "state": state, "began": stamp(began), "ended": None if ended is None else stamp(ended),
        "mechanism": mode.mechanism, "exhausted_at": _exhausted(fault, stamp), "also": None, "note": NOTES.get(fault.mode),
    }  # fmt: skip


def _exhausted(fault: Fault, stamp: Callable[[float], int]) -> int | None:
    """Return when the spares are used up at the planted rate; 512 rows is what one GPU has."""
    return stamp(fault.began + 512 / fault.strength * 3600) if fault.mode == "hbm_row_spares" else None


NOTES = {
    "thermal_throttle": "hot GPU: its clock gives way, its job waits",
    "slow_rank": "same work takes longer, no counter of the device says why",
    "hbm_row_spares": "rows of memory are replaced one after another",
    "pcie_width": "the link trained again with fewer lanes",
    "phase_change": "all ranks of the job slower together: an evaluation",
    "monitoring_gap": "nothing arrived from anybody",
    "silent": "the node's agent stopped, its job went on",
    "driver_reload": "the node's driver was loaded again, its counters started again",
    "workload_imbalance": "the second pipeline stage has more to do",
}
