"""Eased: a page whose suspect nobody waits for any more stays a page for an hour: somebody may soon wait for it again.

What costs a job about as much as makes a page is above and below that in turn, and a receiver would ring each time. The state follows what is measured,
at once; how loud it is said follows later.
"""

from __future__ import annotations

from collections.abc import Sequence

from grayscope.again import WITHIN
from grayscope.incident import SEVERITIES


def until(history: Sequence[tuple[int, str, str]]) -> int | None:
    """Return until when a page stays one though its suspect is only masked, microseconds; None where it is not, or was not gray before.

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
    >>> until([*told, (80 * minute, "masked", "ticket")]) // minute, until([*told[:2], (15 * minute, "failed", "page"), told[2]])
    (80, None)
    """
    since = None
    for time, state, _ in reversed(history):
        if state != "masked":
            return since + WITHIN if since is not None and state == "gray" else None
        since = time
    return None


def is_eased(state: str, severity: str) -> bool:
    """Say whether an incident is a page though its suspect is only masked at the moment."""
    return (state, severity) == ("masked", "page")


def loudness(state: str, severity: str) -> int:
    """Return the rank of a severity among others: a page that is eased is no graver than a ticket.

    Examples
    --------
    >>> loudness("gray", "page") > loudness("masked", "page") == loudness("failed", "ticket") > loudness("unknown", "notice")
    True
    """
    return SEVERITIES.index("ticket" if is_eased(state, severity) else severity)
