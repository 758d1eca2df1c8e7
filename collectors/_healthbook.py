"""Healthbook: what several checks say of one component as one health: the worst of them, told when it changes."""

from __future__ import annotations

from grayscope.event import Event

#: From best to worst.
LEVELS = ("healthy", "degraded", "unhealthy")
#: Pairs of component and check that are kept; names come from outside.
MOST = 100_000
MINUTE = 60_000_000
#: Rows per node, and minutes that a trace goes on after its last event: a verdict takes some ticks.
ROWS, AFTER = 20_000, 20


class Healthbook:
    """Keeps the latest word of every check on every component.

    One check that is content again does not clear what another one still says.

    Examples
    --------
    >>> book = Healthbook()
    >>> [
    ...     e.code if (e := book.tell(t, "n1", check, level, "")) else ""
    ...     for t, (check, level) in enumerate([("a", "unhealthy"), ("b", "degraded"), ("a", "healthy")])
    ... ]
    ['unhealthy', '', 'degraded']
    """

    def __init__(self) -> None:
        self.lost = 0
        self._said: dict[str, dict[str, tuple[str, str]]] = {}
        self._told: dict[str, str] = {}
        self._size = 0

    def tell(self, time: int, subject: str, check: str, level: str, text: str) -> Event | None:
        """Take one check's word; return the event of a component whose health changed by it."""
        checks = self._said.setdefault(subject, {})
        if check not in checks:
            if self._size >= MOST:
                self.lost += 1
                return None
            self._size += 1
        checks[check] = (level, text)
        worst = max((said[0] for said in checks.values()), key=LEVELS.index)
        if worst == self._told.get(subject, "healthy"):
            return None
        self._told[subject] = worst
        why = text if level == worst else next((t for said, t in checks.values() if said == worst), "")
        return Event(time, subject, "health", worst, f"{check}: {why}" if level == worst else why)


def minutes(first: int, last: int) -> list[int]:
    """Return the times at which a node that only tells events has rows, so that time passes in its trace.

    Examples
    --------
    >>> len(minutes(0, 60_000_000)), minutes(90_000_000, 90_000_000)[0]
    (22, 60000000)
    """
    start, stop = first // MINUTE * MINUTE, last + AFTER * MINUTE
    return list(range(start, stop + 1, max(MINUTE, (stop - start) // ROWS // MINUTE * MINUTE)))
