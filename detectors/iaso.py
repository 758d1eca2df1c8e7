"""Iaso: a score per node that grows while peers have more trouble with it and falls off slowly; who stands alone with it is slow.

Source: IASO (Nutanix, USENIX ATC 2019), in the form of the reimplementation by the University of Chicago: with r = metric / peers' median -
1 the score falls by 100 * epoch / recovery time where r <= 0 and grows by the factor 1 + min(r, r0) / r0 elsewhere, between 1 and 100; each
minute the 30th percentile of the last 10 minutes is clustered by DBSCAN (eps 3, two members make a cluster), and what belongs to no cluster
is slow. Not the original: that scores timeouts of requests among peers and acts on the result; here the signals are timeouts that ports and
ranks count, and the times that the workload sees, averaged per node (what is compared inside a node, such as drives, keeps its parts). A
timeout where the peers' median is none counts as r0. r0 = 1 and a recovery time of 10 minutes are assumed (an epoch is one tick); only
outliers above their group's median count. Blind by design: it knows no load and no spread, so whoever stays a little above the median
climbs (it floods on raw latency); two slow ones are a cluster, and so healthy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from grayscope.columns import Field, Memory
from grayscope.crowds import Machines
from grayscope.evidence import NOTHING, Evidence
from grayscope.grouped import cells, medians, quantiles
from grayscope.rivals import CROWD, Cells, Rows, alarms, follow, groups, keep, served, slots
from grayscope.standing import Standing
from grayscope.tick import Tick
from grayscope.wording import number

#: Bounds of the score; its percentile that is clustered; seconds of its window and between two clusterings.
LOW, HIGH, SHARE, WINDOW, EVERY = 1.0, 100.0, 0.3, 600, 60
#: DBSCAN: largest distance of neighbours. Two make a cluster, so noise is whoever has no neighbour at all.
EPS = 3.0
MOST = 60
#: Counters of requests that went unanswered.
TIMEOUTS = frozenset({'nic_port_retransmits_total{cause="ack_timeout"}', 'nic_port_retransmits_total{cause="adaptive_timeout"}', "nccl_net_events_total"})


class Iaso:
    """Keep the score of every cell and look for those that stand alone.

    Parameters
    ----------
    false_pages : float
        Unused: the method knows no rate of false alarms.
    excess : float
        r0: excess over the peers' median that doubles the score in one epoch.
    recovery : float
        Seconds in which the score falls from 100 to 0.
    """

    rival: ClassVar[bool] = True

    def __init__(self, *, false_pages: float = 1.0, excess: float = 1.0, recovery: float = 600.0) -> None:
        del false_pages
        self.excess, self.recovery = excess, recovery
        self.memory = Memory({"score": Field(np.float32, LOW), "recent": Field(np.float32, np.nan, (MOST,)), "slow": Field(np.float32, np.nan)})

    def step(self, tick: Tick, standing: Standing) -> Evidence:
        """Return whoever stood alone in the last clustering."""
        rows = _rows(standing)
        if not len(rows):
            return NOTHING
        columns = follow(self.memory, tick, standing)
        a = columns.arrays
        label, n = groups(tick, standing, rows)
        nodes = Machines(tick, standing, rows, label)
        values = nodes.of(tick.values[rows])
        median, count = medians(values, label, n)
        centre, crowd = cells(median, label), cells(count, label) >= CROWD
        excess = _excess(values, centre, standing.sign[rows])
        excess = np.where(nodes.counts[:, None] & (centre == 0), np.where(values > 0, np.float32(self.excess), np.float32(0)), excess)
        self._score(tick, a, rows, np.where(crowd & np.isfinite(values), excess, np.float32(np.nan)))
        size, stride = slots(WINDOW, tick.period, MOST)
        keep(columns, "recent", a["score"], size, stride)
        if columns.ticks % slots(EVERY, tick.period, 1 << 30)[0] == 0:
            level = quantiles(a["recent"][:size, rows], (SHARE,))[0]
            level = np.where(np.isfinite(values) & crowd, level, np.float32(np.nan))
            a["slow"][rows] = np.where(_alone(level, label) & (level > cells(medians(level, label, n)[0], label)), level, np.float32(np.nan))

        def told(k: int, s: int) -> tuple[float, float, str]:
            metric = standing.metrics[rows[k]]
            unit = metric.unit if metric else ""
            value, expected = float(values[k, s]), float(centre[k, s])
            return value, expected, f"score {a['slow'][rows[k], s]:.0f} of 100 stands alone; now {number(value, unit)} beside {number(expected, unit)}"

        return alarms("iaso", tick, standing, rows, np.isfinite(a["slow"][rows]) & np.isfinite(values), told, nodes.name)

    def _score(self, tick: Tick, a: dict[str, np.ndarray[Any, Any]], rows: NDArray[np.intp], excess: NDArray[np.float32]) -> None:
        score = a["score"][rows]
        fallen = score - np.float32(HIGH * tick.period / 1e6 / self.recovery)
        grown = score * (1 + np.minimum(excess, self.excess) / self.excess)
        new = np.clip(np.where(excess <= 0, fallen, grown), LOW, HIGH)
        a["score"][rows] = np.where(np.isfinite(excess), new, score)

    def snapshot(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return the whole state."""
        return self.memory.snapshot()

    def restore(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Become what `snapshot` returned."""
        self.memory.restore(state)


def _rows(standing: Standing) -> Rows:
    """Return the rows of timeouts and of what the workload is served with."""
    told = [m for m, x in enumerate(standing.metrics) if x and x.type == "counter" and standing.sign[m] and x.name in TIMEOUTS]
    return np.array([*told, *served(standing)], np.intp)


def _excess(values: NDArray[np.float32], centre: NDArray[np.float32], sign: NDArray[np.int8]) -> NDArray[np.float32]:
    """Return how much worse than the median, as a share of it; NaN where a ratio means nothing."""
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.where((sign > 0)[:, None], values / centre, centre / values)
    return np.where((values >= 0) & (centre > 0) & np.isfinite(ratio), ratio - 1, np.float32(np.nan)).astype(np.float32)


def _alone(level: NDArray[np.float32], label: NDArray[np.int32]) -> Cells:
    """Return who has no other of its group within `EPS`; in one dimension only the nearest on either side matter.

    Examples
    --------
    >>> _alone(np.float32([[1, 2, 50, 9]]), np.int32([[0, 0, 0, 1]])).tolist()
    [[False, False, True, True]]
    """
    there = np.where(np.isfinite(level), level, np.float32(1e9))
    order = np.lexsort((there, label), axis=1)
    x, g = np.take_along_axis(there, order, axis=1), np.take_along_axis(label, order, axis=1)
    near = (g[:, 1:] == g[:, :-1]) & (np.diff(x, axis=1) <= EPS)
    edge = np.zeros((len(x), 1), bool)
    neighbours = np.concatenate([edge, near], axis=1) | np.concatenate([near, edge], axis=1)
    alone = np.empty_like(neighbours)
    np.put_along_axis(alone, order, ~neighbours, axis=1)
    return np.asarray(alone & np.isfinite(level))
