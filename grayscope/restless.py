"""Restless: how much noisier than most a part is by itself, told by how far it moves from tick to tick."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Parts are noisy each in its own way. How far one moves from tick to tick tells, for no lasting fault changes that: the median
#: move is followed by small steps, the last of them this share, and believed from so many moves on.
STEP, MOVES = 0.01, 32
#: Median move, in usual spreads, of noise with an autocorrelation of 0.9: what moves less owes its spread to something else.
MOVING = 0.3


def restless(move: NDArray[np.float32], moves: NDArray[np.int32]) -> NDArray[np.float32]:
    """Return by what share the noise of each cell [M, S] is larger than that of most; none counts as steadier than they.

    Examples
    --------
    >>> restless(np.float32([[1.0, 1.0, 1.0, 2.0, 0.5]]), np.full((1, 5), 100, np.int32)).tolist()
    [[0.0, 0.0, 0.0, 1.0, 0.0]]
    """
    known = moves >= MOVES
    some = known.sum(axis=1) >= 4
    usual = np.full(len(move), np.inf, np.float32)
    usual[some] = np.nanmedian(np.where(known, move, np.float32(np.nan))[some], axis=1)
    more: NDArray[np.float32] = np.where(known, move / np.maximum(usual, np.float32(MOVING))[:, None] - 1, np.float32(0.0))
    return np.maximum(more, np.float32(0.0))
