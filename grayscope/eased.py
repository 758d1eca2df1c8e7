"""Eased: a page whose suspect nobody waits for any more stays a page as long as somebody may soon wait for it again.

What costs a job about as much as makes a page is above and below that in turn, and a receiver would ring each time. The state follows what is measured,
at once; how loud it is said follows an hour later, or after twice the longest pause so far: what comes back within that is the same trouble, and was told.
"""

from __future__ import annotations

from collections.abc import Sequence

from grayscope.again import LONGEST, WITHIN


def until(history: Sequence[tuple[int, str, str]]) -> int | None:
    """Return until when a page stays one though its suspect is only masked, microseconds; None where it is not, or was never more.

    Parameters
    ----------
    history : sequence of (time, state, severity)
        Oldest first.

    Examples
    --------
    >>> minute = 60_000_000
    >>> told = [(0, "masked", "ticket"), (10 * minute, "gray", "page"), (20 * minute, "masked", "page")]
    >>> until(told[:1]), until(told[:2]), until(told) // minute
    (None, None, 80)

    Once it was calm for two hours and came back, it is waited for twice as long.

    >>> until([*told, (80 * minute, "masked", "ticket"), (140 * minute, "gray", "page"), (150 * minute, "masked", "page")]) // minute
    390
    """
    longest = 0
    loud, since = False, None
    for time, state, _ in history:
        if state == "masked":
            since = time if loud and since is None else since
        else:
            loud = state in ("gray", "failed")
            if loud and since is not None:
                longest = max(longest, time - since)
            since = None
    return None if since is None else since + max(WITHIN, min(2 * longest, LONGEST))
