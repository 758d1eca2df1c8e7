"""Mates: peers of parts of which a machine has only one or two: their like in other machines, less what the machine does.

Two drives are no crowd, and the drives of other machines do other work. What all parts of a machine show together is taken
to be its work; what one of them shows beyond that is its own. So a machine whose parts are all slow is not seen here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from grayscope.shifts import Names
from grayscope.tick import Tick

#: Members that a group of peers needs, and what makes parts of different machines alike.
CROWD, LIKE = 4, ("sku", "slot")
#: Least spread, as a share, among parts of different machines: none does just the work of another.
STRANGERS = np.float32(0.1)
MARK = "batch:"


def grouped(tick: Tick, keys: tuple[str, ...]) -> tuple[NDArray[np.int32], Names]:
    """Return the peer group of each subject [S] and the groups' names; where no machine has a crowd, its like in all machines are the peers."""
    label, names = tick.roster.labels(tick.subjects, keys)
    if "node" not in keys or not len(label) or np.bincount(label).max() >= CROWD:
        return label, names
    wider = (*(k for k in keys if k != "node"), *LIKE)
    label, names = tick.roster.labels(tick.subjects, wider)
    told = [dict(zip(wider, name, strict=True)) for name in names]
    return label, tuple(tuple(t[k] if k != "node" else f"{MARK}{','.join(f'{x}={t[x]}' for x in LIKE)}" for k in keys) for t in told)


def strangers(keys: tuple[str, ...], names: Names) -> bool:
    """Say whether groups of these keys hold parts of different machines instead.

    Examples
    --------
    >>> strangers(("node",), (("n1",), ("n2",))), strangers(("node",), (("batch:sku=a,slot=0",),)), strangers((), ((),))
    (False, True, False)
    """
    return "node" in keys and any(name[keys.index("node")].startswith(MARK) for name in names)


def less_shared(residual: NDArray[np.float32], wide: NDArray[np.bool_], mates: NDArray[np.int32]) -> None:
    """Take away, in place, what all parts of a machine show beside those of other machines: its work, and no part's fault.

    Parameters
    ----------
    residual : ndarray of float32, shape [M, S]
    wide : ndarray of bool, shape [M]
        Metrics that are compared between machines.
    mates : ndarray of int32, shape [S]
        The machine of each subject.

    Examples
    --------
    >>> r = np.array([[0.5, 2.5, -0.2, -0.2, 0.7]], np.float32)
    >>> less_shared(r, np.array([True]), np.array([0, 0, 1, 1, 2], np.int32))
    >>> [round(x, 1) for x in r.tolist()[0]]
    [-2.0, 2.0, 0.0, 0.0, 0.7]
    """
    machines = int(mates.max()) + 1
    for m in np.flatnonzero(wide).tolist():
        r = residual[m]
        order = np.lexsort((r, mates))  # NaN last
        starts = np.searchsorted(mates[order], np.arange(machines))
        members = np.bincount(mates, weights=np.isfinite(r), minlength=machines)
        lowest = order[np.minimum(starts, len(order) - 1)]
        least = np.where(members > 1, r[lowest], np.float32(0)).astype(np.float32)
        # Less the best of the *others*: the best itself would be at 0 for ever, and what is usual could not be measured.
        second = r[order[np.minimum(starts + 1, len(order) - 1)]]
        own = np.zeros(len(r), bool)
        own[lowest[members > 1]] = True
        residual[m] = r - np.where(own, second[mates], least[mates])


def with_mates(doubt: NDArray[np.bool_], mates: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Return who [S] is doubted, or lies in a machine with one that is.

    What is beside one in trouble seems better than it is: learned as its past, it would seem to become worse when the other is well again.

    Examples
    --------
    >>> with_mates(np.array([True, False, False]), np.array([0, 0, 1], np.int32)).tolist()
    [True, True, False]
    """
    return np.bincount(mates, doubt)[mates] > 0 if doubt.any() else doubt
