"""Rivals: what the published methods in detectors/ share: which metrics they judge, their windows, and how an alarm is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from grayscope.catalogue import Metric
from grayscope.columns import Columns, Memory
from grayscope.evidence import NOTHING, Evidence, Finding
from grayscope.judge import look_alikes
from grayscope.standing import Standing
from grayscope.tick import Tick

#: Strength of an alarm: the methods say yes or no, and what they say counts.
CERTAIN = 50.0
#: Members a group must have to be compared, where a method does not say: as for grayscope's own.
CROWD = 4
Rows = NDArray[np.intp]
Cells = NDArray[np.bool_]


def paces(standing: Standing) -> Rows:
    """Return the judged rows that say how fast something goes: times and rates, and all gauges of what the workload gets."""
    return _rows(standing, lambda m: not m.waits and _tells_speed(m))


def measures(standing: Standing, *, waits: bool = False) -> Rows:
    """Return the judged rows that tell of performance: how fast and how wide; what contains waiting only if asked for.

    Symptoms such as temperatures are left out: none of the methods was made for them, and their false alarms would be ours.
    """
    return _rows(standing, lambda m: (waits or not m.waits) and (_tells_speed(m) or m.unit in ("lanes", "links")))


def loaded(standing: Standing) -> Rows:
    """Return the judged rows for which the catalogue names a load."""
    return _rows(standing, lambda m: not m.waits and m.load is not None)


def _tells_speed(metric: Metric) -> bool:
    return metric.side == "service" or metric.unit in ("s", "By/s", "Hz", "1/s")


def _rows(standing: Standing, wanted: Callable[[Metric], bool]) -> Rows:
    return np.array([i for i, m in enumerate(standing.metrics) if m is not None and standing.sign[i] and m.type == "gauge" and wanted(m)], np.intp)


def groups(standing: Standing, rows: Rows) -> tuple[NDArray[np.int32], int]:
    """Return the peer group of each cell of `rows`, shape [K, S], and how many groups there are at most."""
    label = standing.label[standing.layout[rows]]
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


class Jobs:
    """The job of each subject, worked out again only when the roster has changed."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[object, object, NDArray[np.str_]]] = {}

    def of(self, tick: Tick) -> NDArray[np.str_]:
        """Return the jobs, shape [S]; ``""`` or the node's own where a part has none."""
        known = self._known.get(tick.table)
        if known is None or known[0] is not tick.roster or known[1] is not tick.subjects:
            known = self._known[tick.table] = (tick.roster, tick.subjects, np.array([tick.roster.key(s, "job") for s in tick.subjects], np.str_))
        return known[2]


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


def alarms(rival: str, tick: Tick, standing: Standing, rows: Rows, found: Cells, told: Told) -> Evidence:
    """Return one finding for each cell that a method accuses.

    Parameters
    ----------
    rival : str
    rows : [K]
        Row of the tick for each row of `found`.
    found : [K, S]
    told : callable
        From (k, s) to the value, what was expected, and the method's own score in words.
    """
    if not found.any():
        return NOTHING
    return Evidence(_alarm(rival, tick, standing, int(rows[k]), s, *told(k, s)) for k, s in np.argwhere(found).tolist())


def _alarm(rival: str, tick: Tick, standing: Standing, m: int, s: int, value: float, expected: float, text: str) -> Finding:
    metric = standing.metrics[m]
    assert metric is not None
    side = "service" if metric.side == "load" else metric.side  # whoever works differently from its peers serves differently
    found = Finding(tick.time, called(tick, tick.subjects[s]), side, rival, CERTAIN, mode_of(metric), metric.mechanism or "", tick.metrics[m])
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
