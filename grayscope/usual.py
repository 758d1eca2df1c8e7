"""Usual: how far each part usually is from its peers, learned from windows in which nothing was suspicious."""

from __future__ import annotations

from dataclasses import dataclass, field

#: Windows over which the usual distance is learned; kept names at most.
PAST, NAMES = 64, 1 << 17


@dataclass(slots=True)
class Usual:
    """Usual distance from the peers of each name, and from how many windows it is known.

    Examples
    --------
    >>> usual = Usual()
    >>> usual.learn("n1/gpu0", 0.25), usual.learn("n1/gpu0", 0.75)
    (None, None)
    >>> usual.of("n1/gpu0"), usual.of("n1/gpu1")
    ((0.5, 2), (0.0, 0))
    """

    known: dict[str, tuple[float, int]] = field(default_factory=dict)

    def of(self, name: str) -> tuple[float, int]:
        """Return the usual distance of a name and the number of windows that told it; nothing is known of others."""
        return self.known.get(name, (0.0, 0))

    def learn(self, name: str, distance: float) -> None:
        """Take one more window."""
        usual, n = self.known.pop(name, (0.0, 0))
        self.known[name] = usual + (distance - usual) / min(n + 1, PAST), n + 1
        while len(self.known) > NAMES:
            del self.known[next(iter(self.known))]
