"""Stepped: a rank that became slower from one moment to the next, beside its peers.

What a healthy part takes wanders for minutes, so that a mean over minutes is not much steadier than a single value, and a small
slow-down drowns in it. But what wanders does not jump: the mean of the last few ticks less the mean of as many just before them
hardly knows of anything that is slower than that, and shows a jump whole. It is the matched filter for a step in noise with a long memory
(a Haar wavelet; Basseville and Nikiforov, Detection of Abrupt Changes, 1993).
"""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from grayscope.stretches import Plan, Reading, Stretches
from grayscope.tails import JUMP

#: Ticks that are one block, for a step within one is seen less clearly; blocks on each side of a step; where their tails leave the normal curve, as of
#: means over as many ticks.
BLOCK = 2
SPANS = (4, 8)
KNEES = (2.0, 2.25)
#: Share of a step that must be beyond what is usual: what only comes back from below it is no news.
NEWS = 0.5


def read(blocks: NDArray[np.float32], span: int) -> Reading:
    """Return the mean of the last `span` blocks less that of as many before.

    Examples
    --------
    >>> found = read(np.float32([0, 0, 0, 0, 1, 1, 1, 3]).reshape(-1, 1, 1), 4)
    >>> float(found.size[0, 0]), float(found.now[0, 0])  # of the mean of eight independent ticks less that of eight
    (3.0, 1.5)
    """
    before, now = blocks[-2 * span : -span].mean(axis=0), blocks[-span:].mean(axis=0)
    jump = now - before
    return Reading(jump * np.float32(math.sqrt(span * BLOCK / 2)), before, now, now >= NEWS * jump)


class Stepped(Stretches):
    """Compare the last few ticks of each rank with the few before.

    Evidence counts from the whole level on: a jump is seen once, and what is left of it beside the next look takes nothing back.

    Not for: what comes slowly (`became` sees that), the first 128 ticks of a part, and what others wait.

    Parameters
    ----------
    false_pages : float
        Accepted false pages per 1,000 subject-weeks.
    """

    plan: ClassVar[Plan] = Plan(
        BLOCK, SPANS, 2 * SPANS[-1], SPANS[0], KNEES, JUMP, read,
        "what it was just before beside the same peers", "what it was just before with no peers beside it",
    )  # fmt: skip
