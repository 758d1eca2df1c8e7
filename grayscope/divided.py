"""Divided: peer groups that are two populations, with a hole between them, whoever is accused and however many.

What is usual in a group is learned from all of it: once a good part is elsewhere, the middle and the spread are neither population's, and what
should stand out stands out late or never. The shape tells at once: values in one heap leave no wide hole in their middle. Were they spread as
flat as can be, a hole of a given share of their range would come by chance with a known tail (the law of the largest spacing; Pyke, Spacings,
1965), and in any heap holes in the middle are narrower. Independent faults, each of its own size, make no second heap either: it would be wider
than the hole.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
#: Members of the smaller population, at least, and their share of the group: fewer are culprits, each by itself.
FEW, SHARE = 4, 0.1
#: Members at the worse end that may belong to neither: a third matter does not hide the two.
BEYOND = 2


class Division(NamedTuple):
    """A group's worse population, and -ln of the chance that one population has such a hole."""

    group: int
    members: list[int]
    surprise: float


def divisions(levels: Floats, label: NDArray[np.int32], least: float, surprise: float) -> Iterator[Division]:
    """Yield the groups of which a part, at most half, lies beyond a hole that is wider than either part.

    Parameters
    ----------
    levels : ndarray of float32, shape [S]
        How each member stands, larger is worse; NaN for those that say nothing.
    label : ndarray of int32, shape [S]
        Group of each.
    least : float
        How far apart the two must be to mean anything.
    surprise : float
        Least -ln(chance).

    Examples
    --------
    >>> heap = np.linspace(0.0, 0.02, 12)
    >>> [d.members for d in divisions(np.float32([*heap, 0.1, 0.101, 0.103, 0.1]), np.zeros(16, np.int32), 0.03, 10.0)]
    [[12, 13, 14, 15]]
    >>> [d.members for d in divisions(np.float32([*heap, 0.06, 0.09, 0.12, 0.15]), np.zeros(16, np.int32), 0.03, 10.0)]
    []
    """
    who = np.flatnonzero(np.isfinite(levels))
    if len(who) < 2 * FEW:
        return
    low = levels[who].min()
    far = (levels[who] - low).astype(np.float64)
    who = who[np.argsort(far + label[who] * (far.max() + 1.0), kind="stable")]  # by group, and by level in each
    x, g = levels[who], label[who]
    starts = np.flatnonzero(np.r_[True, g[1:] != g[:-1]])
    sizes = np.diff(np.r_[starts, len(g)])
    first, size = np.repeat(starts, sizes), np.repeat(sizes, sizes)
    below = np.arange(len(x)) - first + 1  # members up to and with this one, below the hole after it
    hole = np.r_[x[1:] - x[:-1], np.float32(0)]
    found = set[int]()
    for i in np.flatnonzero((hole >= least) & (hole >= x - x[first]) & (2 * below >= size) & (size - below >= FEW)).tolist():
        start, end = int(first[i]), int(first[i] + size[i])
        for last in range(end - 1, end - 2 - BEYOND, -1):
            above, top = last - i, float(x[last] - x[start])
            fits = above >= max(FEW, SHARE * (end - start)) and hole[i] >= x[last] - x[i + 1]
            if fits and int(g[i]) not in found and (worth := _surprise(float(hole[i]) / top, last - start + 1)) >= surprise:
                found.add(int(g[i]))
                yield Division(int(g[i]), sorted(who[i + 1 : last + 1].tolist()), worth)


def _surprise(share: float, n: int) -> float:
    """Return -ln of the chance that the widest of the holes between `n` values has this share of their range.

    Examples
    --------
    >>> round(_surprise(0.5, 20), 1), _surprise(1.0, 8)
    (9.5, inf)
    """
    return -math.log(n - 1) - (n - 2) * math.log1p(-share) if share < 1 else math.inf
