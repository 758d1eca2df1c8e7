"""Fewpeers: how far everybody is from the peers, and in groups too small for a median from the other one or two.

That is not enough to find who is slow. What a known suspect costs it tells, as it stood otherwise before: many jobs have two machines.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from grayscope.kernels import LOG
from grayscope.medians import CROWD
from grayscope.standing import Standing
from grayscope.tick import Tick


def distances(tick: Tick, standing: Standing, row: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
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
