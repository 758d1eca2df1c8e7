"""Alertstate: what one Alertmanager is to know, and what of it is due: state that is repeated, not a queue that is emptied."""

from __future__ import annotations

from dataclasses import dataclass, replace

from grayscope.alert import Alert
from grayscope.incident import SEVERITIES

Key = tuple[tuple[str, str], ...]
#: Alerts held; seconds for which one that is over is repeated, as the receiver may have lost it in a restart.
MOST, KEPT = 10_000, 900.0
NEVER = float("inf")


def key_of(alert: Alert) -> Key:
    """Return the identity of an alert."""
    return tuple(sorted(alert.labels.items()))


@dataclass(frozen=True, slots=True)
class Held:
    """One alert as it was told last: when it is due, whether it was taken in this form, and when it was told."""

    alert: Alert
    due: float
    told: float
    taken: bool = False


class Alertstate:
    """Alerts by identity. Not safe for threads: whoever shares it locks it.

    Parameters
    ----------
    resend : float
        Seconds after which what was taken is told again.
    age : float
        Seconds after which something that is over and was never taken is given up.
    most : int
        Alerts held; beyond it what is over goes first, then the calmest, oldest first.
    """

    def __init__(self, resend: float, age: float, most: int = MOST) -> None:
        self.resend, self.age, self.most = resend, age, most
        self.held: dict[Key, Held] = {}
        self.sent = self.lost = 0

    def put(self, alert: Alert, now: float) -> None:
        """Take an alert's newest form; what says nothing new waits for its turn."""
        key = key_of(alert)
        old = self.held.get(key)
        if old is not None and old.alert == alert:
            return
        self.held.pop(key, None)
        self.held[key] = Held(alert, now, now)
        if len(self.held) > self.most:
            self._drop(min(self.held, key=lambda k: _rank(self.held[k].alert)))

    def forget(self, keys: set[Key]) -> None:
        """Tell no more about some: they are somebody else's."""
        for key in keys:
            self.held.pop(key, None)

    def due(self, now: float) -> list[Held]:
        """Return what is to be told now, the gravest first; what is over and has been told long enough is forgotten.

        Of one incident, what is over goes before what fires: an end that comes after its page, of a ticket that was never told, makes
        Alertmanager call a second time.
        """
        for key, held in list(self.held.items()):
            if not held.alert.firing and now - held.told >= (KEPT if held.taken else self.age):
                del self.held[key]
                self.lost += not held.taken
        due = sorted((h for h in self.held.values() if h.due <= now), key=lambda h: _rank(h.alert), reverse=True)
        place: dict[object, int] = {}
        for i, held in enumerate(due):
            place.setdefault(_incident(held.alert), i)
        return sorted(due, key=lambda h: (place[_incident(h.alert)], h.alert.firing))

    def next(self) -> float:
        """Return when something is due."""
        return min((h.due for h in self.held.values()), default=NEVER)

    def took(self, held: Held, now: float) -> None:
        """Note that it was taken."""
        if self.held.get(key := key_of(held.alert)) is held:
            self.held[key] = replace(held, due=now + self.resend, taken=True)
        self.sent += not held.taken

    def refused(self, held: Held) -> None:
        """Note that it is not wanted in this form: it is not told again until it changes."""
        if self.held.get(key := key_of(held.alert)) is held:
            self.held[key] = replace(held, due=NEVER, taken=True)
        self.lost += not held.taken

    def waiting(self) -> int:
        """Return how many were not taken yet."""
        return sum(not h.taken for h in self.held.values())

    def _drop(self, key: Key) -> None:
        self.lost += not self.held.pop(key).taken


def _incident(alert: Alert) -> object:
    return alert.labels.get("incident") or key_of(alert)


def _rank(alert: Alert) -> tuple[bool, int, int]:
    """Return what comes first: what fires, the graver, and what may inhibit the others."""
    severity, table = alert.labels.get("severity", ""), alert.labels.get("table", "")
    return alert.firing, SEVERITIES.index(severity) if severity in SEVERITIES else -1, {"leaf": 2, "node": 1}.get(table, 0)
