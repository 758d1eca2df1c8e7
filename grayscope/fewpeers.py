"""Fewpeers: how far everybody is from the peers, and in groups too small for a median from the other one or two.

That is not enough to find who is slow. What a known suspect costs it tells, as it stood otherwise before: many jobs have two machines.
And marks of congestion tell by it, for they accuse nobody: a crowd is on the way of all members, so the one with the fewest marks is the measure.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from grayscope.kernels import COUNT, LOG
from grayscope.medians import CROWD
from grayscope.standing import Standing
from grayscope.tick import Tick

Floats = NDArray[np.float32]


def distances(tick: Tick, standing: Standing, row: int) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the distances [S] of one row, larger is worse, and who [S] has only one or two peers: theirs are from the mean of those.

    Of ranks, and on scales other than logarithms, only what the peers' median tells.
    """
    far, values = standing.residual[row], tick.values[row]
    group = standing.label[standing.layout[row]]
    few = np.isnan(far) & (values > 0) & (standing.count[row][group] < CROWD)
    if tick.table == "rank" or int(standing.kind[row]) != LOG or not few.any():
        return far, np.zeros(len(far), bool)
    logs = np.log(np.where(few, values, np.float32(1))).astype(np.float64)
    others = np.bincount(group, few)[group] - 1
    few &= others > 0
    mean = (np.bincount(group, logs)[group] - logs) / np.maximum(others, 1)
    return np.where(few, int(standing.sign[row]) * (logs - mean), far).astype(np.float32), few


class Few(NamedTuple):
    """The groups of one row that are too small for a median: its scale and direction, members group by group, where each begins, and which it is."""

    row: int
    kind: int
    sign: int
    members: NDArray[np.intp]
    begins: NDArray[np.intp]
    groups: NDArray[np.intp]


def of(row: int, kind: int, sign: int, label: NDArray[np.int32]) -> Few:
    """Return those of `label` [S] with two members or three.

    Examples
    --------
    >>> few = of(0, COUNT, 1, np.int32([2, 0, 2, 1, 1, 1, 1]))
    >>> few.members.tolist(), few.begins.tolist(), few.groups.tolist()
    ([0, 2], [0], [2])
    """
    size = np.bincount(label)
    groups = np.flatnonzero((size > 1) & (size < CROWD))
    members = np.argsort(label, kind="stable")
    members = members[np.isin(label[members], groups)]
    return Few(row, kind, sign, members, np.cumsum(size[groups]) - size[groups], groups)


def medians(
    values: NDArray[np.float32], centre: NDArray[np.float32], count: NDArray[np.int32], few: tuple[Few, ...]
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Return the medians [M, G] and how many reported, those of `few` by their least bad member and as if they were enough.

    Where one of them does not report there is none: the others may be those that differ.
    """
    if not any(len(of.groups) for of in few):
        return centre, count
    centre, count = centre.copy(), count.copy()
    for row, kind, sign, members, begins, groups in (of for of in few if len(of.groups)):
        x = values[row, members]
        x = 2 * np.sqrt(np.maximum(x, 0) + np.float32(0.375)) if kind == COUNT else x
        least = (np.minimum if sign > 0 else np.maximum).reduceat(x, begins)
        there = np.isfinite(least)
        centre[row, groups[there]], count[row, groups[there]] = least[there], CROWD
    return centre, count
