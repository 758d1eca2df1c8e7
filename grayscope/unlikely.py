"""Unlikely: who has had more events than the others of its group let expect, by a law that knows how little is known of them.

A negative binomial law whose mean and spread are those of all the others. Where healthy parts differ much among each other it is wide by itself, and
one that differs as they do is nothing special.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from grayscope.binomial import log_tail
from grayscope.medians import CROWD
from grayscope.uneven import ALONE, alike, between, within

Floats = NDArray[np.float64]


def unlikely(
    suspects: NDArray[np.intp], events: Floats, ticks: Floats, label: NDArray[np.int32], trusted: NDArray[np.bool_], needed: float, few: float | None = None,
    room: Floats | None = None,
) -> Iterator[tuple[int, float, float, float]]:  # fmt: skip
    """Yield (subject, ln of the tail probability, expected events, lent) for those of the `suspects` that may reach -`needed`, against their own groups.

    The law is the predictive one: it knows that the group's rate was itself estimated from few events, and that healthy
    parts differ, by as much as all others that are `trusted` do within their groups. Before a group has seen much, its
    rate is that of all groups, for as many events as groups differ little: that is worth as many peers more (`lent`) as it
    takes to watch so long. They make one of two worth what one of four is, not more, and nobody who is alone.
    By how much more than that there may be of each suspect, because traffic does not tell all, is `room`.
    """
    if not len(suspects):
        return
    seen, watched = (np.bincount(label, weights=np.where(trusted, x, 0.0), minlength=int(label.max()) + 1) for x in (events, ticks))
    members = np.bincount(label, weights=ticks > 0)
    g, own = label[suspects], trusted[suspects]
    among, exposed = seen[g] - own * events[suspects], np.maximum(watched[g] - own * ticks[suspects], 1.0)
    # Half an event more than was seen: none so far is not impossible. Cheap first, with a mean that what follows does not fall below.
    rest = (seen.sum() - own * events[suspects] + ALONE) / np.maximum(watched.sum() - own * ticks[suspects], 1.0)
    room = np.ones(len(suspects)) if room is None else room
    n, mean = np.floor(events[suspects]), room * ticks[suspects] / (exposed / (among + ALONE) + 1.0 / rest)
    # No law with this mean has a thinner tail than Poisson's, and that one is not thin enough.
    far = (members[g] >= 2) & (n > mean) & (n * np.log(n / mean) - (n - mean) + 3.0 >= np.where(members[g] < CROWD, needed if few is None else few, needed))
    if not far.any():
        return
    of = alike(events, ticks, label, trusted, len(seen))
    for s, count, others, there, more in zip(*(x[far].tolist() for x in (suspects, n, among, exposed, room)), strict=True):
        leaving = float(events[s]), int(of.row[s])
        inside = within(of, *leaving)
        known, over = between(of, inside, *leaving)
        usual = (others + known) / (there + over) * (float(ticks[s]) * more)
        size = 1.0 / (1.0 / (others + known) + inside)
        yield s, log_tail(int(count), usual, usual + usual * usual / size), usual, over / float(ticks[s])
