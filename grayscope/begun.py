"""Begun: parts that begin to spend at once would each be the other's excuse; what each did before they began is none.

Two pasts that fade at different speeds leave, taken from each other, what was before the shorter one. How much each part spent then, and how
much parts differed, says what to expect of it now; a growth that the others share is expected, too.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from grayscope.binomial import log_tail
from grayscope.uneven import ALONE, alike, within

Floats = NDArray[np.float64]
#: Share of the parts that may each be accused, well below the tenth that may have all the events of a healthy fleet; and that may begin together.
FEW, MANY = 1 / 16, 0.4
#: A gap is wider than this factor, or there is none: more parts than may begin together are accused all or not at all.
GAP = 2.0
#: Events of a group that tell whether all of it spends more than before; ticks of a past that is one.
TELLING, YOUNG = 3.0, 32.0
#: Share of the others, if more than one, who are known to do what the suspects do now, and how much of it they have done: errors come in spells, and with load.
KNOWN, LIKE = 1 / 256, 0.5


class Begun(NamedTuple):
    """Who began to spend: subjects, ln of each one's tail probability, events that its own past lets expect; and whether few enough to be accused each."""

    subjects: list[int]
    tails: list[float]
    usual: list[float]
    few: bool


NOBODY = Begun([], [], [], few=True)


def apart(far: Floats) -> NDArray[np.intp]:
    """Return who stands out together: the few that are the furthest, down to the widest gap between two; nobody where there is none, or but one.

    Examples
    --------
    >>> apart(np.array([0.1, 9.0, 0.0, 8.0, 0.2, 0.3])).tolist(), apart(np.array([0.1, 9.0, 0.0, 0.3])).tolist()
    ([1, 3], [])
    """
    most = int(MANY * len(far))
    first = np.argsort(-far, kind="stable")[: most + 1]
    if most < 2:
        return first[:0]
    gaps = far[first][:-1] - far[first][1:]
    last = int(np.argmax(gaps))
    return first[: last + 1] if last > 0 and gaps[last] > math.log(GAP) else first[:0]


class Past(NamedTuple):
    """What was before the shorter past, [S]: ticks with events, and all; the most events that a shorter past has held."""

    events: Floats
    ticks: Floats
    most: Floats


def begun(suspects: NDArray[np.intp], events: Floats, ticks: Floats, past: Past, label: NDArray[np.int32], trusted: NDArray[np.bool_]) -> Begun:
    """Return those of the suspects that stand out together, against what each did before.

    Parameters
    ----------
    suspects : ndarray of int
    events, ticks : ndarray, shape [S]
        Of the shorter past: those with events, and all.
    past : Past
    """
    known = np.flatnonzero(trusted & (ticks > 0) & (past.ticks >= YOUNG))
    if not len(suspects) or not len(known):
        return NOBODY
    old, there = past.events, past.ticks
    size = 1.0 / within(alike(old, there, np.zeros_like(label), trusted, 1))  # as a mean of all is what they lean on, by how much all differ
    rate = (old[known].sum() + ALONE) / max(there[known].sum(), 1.0)
    usual = ticks * (size + old) / (size / rate + there)
    together = np.zeros(len(old), np.bool_)
    together[known[apart(np.log((events[known] + ALONE) / (usual[known] + ALONE)))]] = True
    others = np.sort(past.most[known[~together[known]]])
    usual = usual * _growth(events, ticks, old, there, label, trusted & ~together)[label]
    some = [s for s in suspects[together[suspects]].tolist() if len(others) - np.searchsorted(others, LIKE * events[s]) <= max(1, KNOWN * len(others))]
    tails = [log_tail(int(events[s]), usual[s], usual[s] + usual[s] * usual[s] / (size + old[s])) for s in some]
    return Begun(some, tails, usual[some].tolist(), int(together.sum()) <= FEW * len(known))


def _growth(events: Floats, ticks: Floats, old: Floats, there: Floats, label: NDArray[np.int32], others: NDArray[np.bool_]) -> Floats:
    """Return by how much each group [G], or all, spend more than before: at least 1."""
    now, n, before, m = (_sums(np.where(others, x, 0.0), label) for x in (events, ticks, old, there))
    every = _ratio(now.sum(), n.sum(), before.sum(), m.sum())
    return np.where(now >= TELLING, np.maximum(every, _ratio(now, n, before, m)), every)


def _ratio(now: Floats, n: Floats, before: Floats, m: Floats) -> Floats:
    return np.maximum(((now + ALONE) / np.maximum(n, 1.0)) / ((before + ALONE) / np.maximum(m, 1.0)), 1.0)


def _sums(x: Floats, label: NDArray[np.int32]) -> Floats:
    return np.asarray(np.bincount(label, weights=x, minlength=int(label.max()) + 1), np.float64)
