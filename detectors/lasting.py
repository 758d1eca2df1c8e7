"""Lasting: a rank that has been a little slower for an hour than it was before, beside its peers.

In noise with a memory of minutes the mean of some minutes says little, and that of an hour comes late: by then the slowness has become a part of what
is usual. But what is usual is a mean of the past, so each value's distance from it is, for healthy parts, news that the values before did not tell
(a recursive residual; Brown, Durbin and Evans, Techniques for testing the constancy of regression relationships over time, 1975), and one that got
slower stays ahead of its past for as long as it has one. Their plain mean over the last hour keeps nearly all that can be known of such a change: after
n ticks of past and d more it is n ln(1 + d / n) / sqrt(d) standard errors of a value for each by which it is slower, where the best test has
sqrt(n d / (n + d)): 18.7 and 19.5 for 600 and 1,024. The running mean of `became` over as many ticks counts what lay before for longer.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from grayscope.stretches import Plan, Reading, Stretches
from grayscope.tails import CLOSE

#: Ticks of a block; blocks of a mean (512 and 1,024 ticks); where their tails leave the normal curve.
BLOCK = 16
SPANS = (32, 64)
KNEES = (3.0, 3.0)
#: Share of the mean that the last few blocks must show: what is over is no news.
STILL, LATELY = 0.25, 4


def read(blocks: NDArray[np.float32], span: int) -> Reading:
    """Return the mean of the last `span` blocks, where half of them came.

    Examples
    --------
    >>> found = read(np.float32([9, 1, 1, np.nan, 1]).reshape(-1, 1, 1), 4)
    >>> round(float(found.size[0, 0]), 2), float(found.now[0, 0])  # three blocks of 16 ticks
    (6.93, 1.0)
    """
    last = blocks[-span:]
    there = np.isfinite(last)
    n = there.sum(axis=0)
    now = np.where(2 * n >= span, _mean(last, there), np.float32(np.nan))
    lately = _mean(last[-LATELY:], there[-LATELY:])
    size = now * np.sqrt(BLOCK * n).astype(np.float32)
    return Reading(size, np.zeros_like(now), now, lately >= STILL * now)


def _mean(blocks: NDArray[np.float32], there: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the mean of the blocks that are there, 0 without any."""
    mean: NDArray[np.float32] = np.where(there, blocks, np.float32(0)).sum(axis=0) / np.maximum(there.sum(axis=0), 1).astype(np.float32)
    return mean


class Lasting(Stretches):
    """Watch the mean of each rank's last 512 and 1,024 ticks beside its own past.

    Not for: ranks without peers, of which an hour of another pace is most often other work; the first 512 ticks of a part; what others wait; and what
    healthy parts do for an hour as well.

    Parameters
    ----------
    false_pages : float
        Accepted false pages per 1,000 subject-weeks.
    """

    plan: ClassVar[Plan] = Plan(BLOCK, SPANS, SPANS[-1], 1, KNEES, CLOSE, read, "its own past beside the same peers, for long")
