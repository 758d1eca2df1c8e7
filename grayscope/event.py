"""Event: something that happened once, told in words."""

from __future__ import annotations

from dataclasses import dataclass

#: Sources that speak for people: what they plan and think is no sign of what time it is or of what a component did.
PEOPLE = frozenset({"maintenance", "feedback"})


@dataclass(frozen=True, slots=True, order=True)
class Event:
    """One row of the event stream.

    Parameters
    ----------
    time : int
        Microseconds since 1970 UTC.
    subject : str
        The component that it is about.
    source : str
        ``xid``, ``sxid``, ``aer``, ``edac``, ``mce``, ``ghes``, ``link``, ``module``, ``nvme``, ``disk``, ``kernel``, ``nccl``, ``health``,
        ``collector``; ``clock`` (a heartbeat), or one of `PEOPLE`: ``maintenance`` (`grayscope.maintenance`), ``feedback`` (`grayscope.feedback`).
    code : str
        The source's own code, such as ``"94"``.
    text : str
        Free text; untrusted.
    count : int
        How many identical events this row stands for.
    """

    time: int
    subject: str
    source: str
    code: str
    text: str = ""
    count: int = 1


def heartbeat(time: int, subject: str = "site") -> Event:
    """Return the event that says: time has passed here, even with nothing else to say.

    Examples
    --------
    >>> heartbeat(10_000_000).source
    'clock'
    """
    return Event(time, subject, "clock", "heartbeat")
