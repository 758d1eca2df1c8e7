"""Rivals: what the published methods in detectors/ share: which metrics they judge, their windows, and how an alarm is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from grayscope.catalogue import Metric
from grayscope.columns import Columns, Memory
from grayscope.crowds import owners
from grayscope.evidence import NOTHING, Evidence, Finding
from grayscope.quadrants import look_alikes
from grayscope.standing import Standing
from grayscope.tick import Tick

#: Strength of an alarm: the methods say yes or no, and what they say counts.
CERTAIN = 50.0
#: Members a group must have to be compared, where a method does not say: as for grayscope's own.
CROWD = 4
Rows = NDArray[np.intp]
Cells = NDArray[np.bool_]
Labels = NDArray[np.int32]


def served(standing: Standing) -> Rows:
    """Return the judged rows that say how fast the workload is served: what methods time that know nothing of the parts."""
    return _rows(standing, lambda m: not m.waits and m.side == "service")


def timed(standing: Standing) -> Rows:
    """Return the judged rows that time something, whoever sees it, and all that says how fast the workload is served."""
    return _rows(standing, lambda m: not m.waits and (m.side == "service" or m.unit == "s"))


def measures(standing: Standing) -> Rows:
    """Return the judged rows that tell of performance: how fast and how wide.

    Symptoms such as temperatures are left out: none of the methods was made for them, and their false alarms would be ours.
    """
    return _rows(standing, lambda m: not m.waits and (_tells_speed(m) or m.unit in ("lanes", "links")))


def loaded(standing: Standing) -> Rows:
    """Return the judged rows of what the workload gets for which the catalogue names a load, such as latency under throughput."""
    return _rows(standing, lambda m: not m.waits and m.side == "service" and m.load is not None)


def _tells_speed(metric: Metric) -> bool:
    return metric.side == "service" or metric.unit in ("s", "By/s", "Hz", "1/s")


def _rows(standing: Standing, wanted: Callable[[Metric], bool]) -> Rows:
    return np.array([i for i, m in enumerate(standing.metrics) if m is not None and standing.sign[i] and m.type == "gauge" and wanted(m)], np.intp)


def groups(tick: Tick, standing: Standing, rows: Rows) -> tuple[Labels, int]:
    """Return the peer group of each cell of `rows`, shape [K, S], and how many groups there are at most.

    Communicators are compared within their job, as all methods look at one job at a time: those of another move other volumes.
    """
    label = standing.label[standing.layout[rows]]
    n = int(label.max(initial=0)) + 1
    if tick.table != "comm" or not len(rows):
        return label, n
    label = np.unique(label + n * owners(tick.roster, tick.subjects, "job")[1], return_inverse=True)[1].reshape(label.shape).astype(np.int32)
    return label, int(label.max(initial=0)) + 1


def follow(memory: Memory, tick: Tick, standing: Standing) -> Columns:
    """Return the tick's memory; a cell that has changed its peers starts blank."""
    columns = memory.of(tick)
    moved = standing.moved_cells()
    if moved is not None:
        for name, field in columns.fields.items():
            if field.per_metric:
                columns.arrays[name][..., moved] = field.fill
    return columns


def slots(seconds: float, period: int, most: int) -> tuple[int, int]:
    """Return how many samples a window of `seconds` holds, and after how many ticks the next one is taken.

    Examples
    --------
    >>> slots(300, 10_000_000, 60), slots(300, 1_000_000, 60), slots(20, 60_000_000, 60)
    ((30, 1), (60, 5), (1, 1))
    """
    ticks = max(round(seconds * 1e6 / period), 1)
    stride = -(-ticks // most)
    return max(ticks // stride, 1), stride


def keep(columns: Columns, name: str, values: NDArray[np.float32], size: int, stride: int) -> bool:
    """Put this tick's values into the ring `name`; return whether it has just been filled once more."""
    if columns.ticks % stride:
        return False
    at = columns.ticks // stride % size
    columns.arrays[name][at] = values
    return at == 0


Told = Callable[[int, int], tuple[float, float, str]]
Named = Callable[[int, int], str]


def alarms(rival: str, tick: Tick, standing: Standing, rows: Rows, found: Cells, told: Told, names: Named | None = None) -> Evidence:
    """Return one finding for each cell that a method accuses.

    Parameters
    ----------
    rival : str
    rows : [K]
        Row of the tick for each row of `found`.
    found : [K, S]
    told : callable
        From (k, s) to the value, what was expected, and the method's own score in words.
    names : callable, optional
        From (k, s) to who is accused; default: the subject, a rank as its GPU.
    """
    if not found.any():
        return NOTHING
    where = np.argwhere(found).tolist()
    return Evidence(_alarm(rival, tick, standing, int(rows[k]), s, names(k, s) if names else called(tick, tick.subjects[s]), *told(k, s)) for k, s in where)


def _alarm(rival: str, tick: Tick, standing: Standing, m: int, s: int, name: str, value: float, expected: float, text: str) -> Finding:
    metric = standing.metrics[m]
    assert metric is not None
    side = "service" if metric.side == "load" else metric.side  # whoever works differently from its peers serves differently
    found = Finding(tick.time, name, side, rival, CERTAIN, mode_of(metric), metric.mechanism or "", tick.metrics[m])
    return found._replace(value=value, expected=expected, n_peers=standing.peers(m, s), why=f"{tick.metrics[m]}: {text}")


def called(tick: Tick, subject: str) -> str:
    """Return what a suspect is called: a rank by its GPU where that is known, everything else by its own name."""
    return (tick.roster.key(subject, "gpu") if tick.table == "rank" else "") or subject


def mode_of(metric: Metric) -> str:
    """Return the catalogue's mode; a generic one where that names a look-alike, which no rival tells from a fault.

    Examples
    --------
    >>> mode_of(Metric("x", "nic", side="service", mode="fabric_congestion")), mode_of(Metric("x", "drive", mode="slow_drive"))
    ('slow_component', 'slow_drive')
    """
    if metric.mode and metric.mode not in look_alikes():
        return metric.mode
    return "" if metric.side in ("redundancy", "health") else "slow_component"


def mixture(detectors: Iterable[object]) -> tuple[list[str], list[str]]:
    """Return the names of the rivals and of the others."""
    named = [(type(d).__name__.lower(), bool(getattr(d, "rival", False))) for d in detectors]
    return [n for n, is_rival in named if is_rival], [n for n, is_rival in named if not is_rival]
