"""Begun: parts that begin to spend at once would each be the other's excuse; what each did before they began is none.

Two pasts that fade at different speeds leave, taken from each other, what was before the shorter one. How much each part spent then, and how
much parts differed, says what to expect of it now; a growth that the others share is expected, too.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from grayscope.binomial import log_tail
from grayscope.uneven import ALONE, within

Floats = NDArray[np.float64]
#: Share of the parts that may stand out together: well below the tenth that may have all the events of a healthy fleet.
SHARE = 1 / 16
#: A gap is wider than this factor between two rates, or there is none: more parts than may stand out together are accused all or not at all.
GAP = 2.0
#: Events of a group that tell whether all of it spends more than before.
TELLING = 3.0


def apart(events: Floats, ticks: Floats, label: NDArray[np.int32], trusted: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return who [S] may stand out together: the few with the highest rates, beside their groups, down to the widest gap between two rates.

    Examples
    --------
    >>> counts = np.array([9.0, 8.0, *[0.0] * 30])
    >>> apart(counts, np.full(32, 99.0), np.zeros(32, np.int32), np.ones(32, bool)).nonzero()[0].tolist()
    [0, 1]
    """
    found = np.zeros(len(events), np.bool_)
    known = np.flatnonzero(trusted & (ticks > 0))
    most = int(SHARE * len(known))
    if most < 2:
        return found
    seen, watched = _sums(events[known], label[known]), _sums(ticks[known], label[known])
    e, n, g = events[known], ticks[known], label[known]
    usual = n * (seen[g] - e) / np.maximum(watched[g] - n, 1.0)
    far = np.log((e + ALONE) / (usual + ALONE))
    first = np.argsort(-far, kind="stable")[: most + 1]
    gaps = far[first][:-1] - far[first][1:]
    last = int(np.argmax(gaps))
    found[known[first[: last + 1]]] = last > 0 and gaps[last] > np.log(GAP)
    return found


def begun(
    suspects: NDArray[np.intp], events: Floats, ticks: Floats, label: NDArray[np.int32], trusted: NDArray[np.bool_]
) -> Iterator[tuple[int, float, float]]:
    """Yield (subject, ln of the tail probability, expected events) for those of the suspects that stand out together, against what each did before.

    Parameters
    ----------
    suspects : ndarray of int
    events, ticks : ndarray, shape [2, S]
        In which there were events, and all: of the shorter past, and of the longer one.
    """
    together = apart(events[0], ticks[0], label, trusted)
    some = suspects[together[suspects]]
    if not len(some):
        return
    old, there = np.maximum(events[1] - events[0], 0.0), np.maximum(ticks[1] - ticks[0], 0.0)
    size = 1.0 / within(old, there, label, trusted, -1, int(label.max()) + 1)
    rate = (old[trusted].sum() + ALONE) / max(there[trusted].sum(), 1.0)
    more = _growth(events[0], ticks[0], old, there, label, trusted & ~together)
    for s in some.tolist():
        usual = more[label[s]] * ticks[0, s] * (size + old[s]) / (size / rate + there[s])
        yield s, log_tail(int(events[0, s]), usual, usual + usual * usual / (size + old[s])), float(usual)


def _growth(events: Floats, ticks: Floats, old: Floats, there: Floats, label: NDArray[np.int32], others: NDArray[np.bool_]) -> Floats:
    """Return by how much each group [G], or all, spend more than before: at least 1."""
    now, n, before, m = (_sums(np.where(others, x, 0.0), label) for x in (events, ticks, old, there))
    every = _ratio(now.sum(), n.sum(), before.sum(), m.sum())
    return np.where(now >= TELLING, np.maximum(every, _ratio(now, n, before, m)), every)


def _ratio(now: Floats, n: Floats, before: Floats, m: Floats) -> Floats:
    return np.maximum(((now + ALONE) / np.maximum(n, 1.0)) / ((before + ALONE) / np.maximum(m, 1.0)), 1.0)


def _sums(x: Floats, label: NDArray[np.int32]) -> Floats:
    return np.asarray(np.bincount(label, weights=x, minlength=int(label.max()) + 1), np.float64)
