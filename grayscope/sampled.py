"""Sampled: the median of what each cell has shown, from a sample that is spread evenly over its past.

What a path takes has a floor and excursions that only go up, often for a third of the time: a mean, even one of clipped
values, lies somewhere between and moves with every excursion; the median lies on the floor. It needs values, not a
sum, so some are kept: every one at first, and whenever the room is full every other one is dropped and from then on only
half as many are taken. At the widest gap the oldest makes room.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from grayscope.columns import Array, Field

Floats = NDArray[np.float32]
#: Values that are kept of each cell; most values between two of them: a past of 2,048 ticks.
KEPT, WIDEST = 32, 64
import os
QQ = float(os.environ.get("QQ","0.5"))
FIELDS = {"kept": Field(np.float32, np.nan, (KEPT,)), "middle": Field(np.float32, 0.0), "age": Field(np.int32, 0)}


def learn(values: Floats, memory: dict[str, Array]) -> None:
    """Take one value of each cell [M, S] that has one, NaN otherwise, into its sample, and work out the medians that this changes.

    Examples
    --------
    >>> memory = {name: field.blank(1, 1) for name, field in FIELDS.items()}
    >>> for t in range(3000):
    ...     learn(np.float32([[9.0 if t % 3 == 0 else 2.0]]), memory)
    >>> memory["middle"].tolist(), memory["age"].tolist()
    ([[2.0]], [[3000]])
    """
    kept, age = memory["kept"], memory["age"]
    came = np.isfinite(values)
    gap = spacing(age)
    due = came & (age % gap == 0)
    full = due & (age == KEPT * gap // 2) & (gap > 1)
    if full.any():
        kept[: KEPT // 2, full] = kept[::2, full]
        kept[KEPT // 2 :, full] = np.nan
    if due.any():
        m, s = np.nonzero(due)
        kept[(age // gap)[due] % KEPT, m, s] = values[due]
        memory["middle"][due] = np.nanquantile(kept[:, m, s], QQ, axis=0)
    age += came


def spacing(age: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return how many values lie between two that are kept, after so many.

    Examples
    --------
    >>> spacing(np.int32([0, 31, 32, 64, 2047, 2048, 10**6])).tolist()
    [1, 1, 2, 4, 64, 64, 64]
    """
    doubled = np.frexp((age // KEPT).astype(np.float32))[1]
    return np.minimum(np.left_shift(1, doubled), WIDEST).astype(np.int32)
