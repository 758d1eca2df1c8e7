"""Linkstate: ports that went down or came up since the last look, also those that did both in between."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from grayscope.event import Event


class Links:
    """Remembers who was up, and how often carriers were lost.

    Examples
    --------
    >>> links = Links()
    >>> list(links.events({"n1/eth0": True}, {"n1/eth0": 4.0}, 0))
    []
    >>> [(e.code, e.count) for e in links.events({"n1/eth0": True}, {"n1/eth0": 6.0}, 10)]
    [('down', 2), ('up', 1)]
    """

    def __init__(self) -> None:
        self.up: dict[str, bool] = {}
        self._downs: dict[str, float] = {}

    def events(self, up: Mapping[str, bool | None], downs: Mapping[str, float], now: int, names: Mapping[str, str] | None = None) -> Iterator[Event]:
        """Yield what changed.

        Parameters
        ----------
        up : mapping of str to bool or None
            Whether each subject's port is up; None says that nobody wants it to be.
        downs : mapping of str to float
            How often its carrier was lost since boot, where that is counted.
        now : int
            Microseconds.
        names : mapping of str to str, optional
            What people call a subject's port.
        """
        for subject, is_up in up.items():
            was_up, lost = self.up.get(subject), self._lost(subject, downs)
            text = f"port {(names or {}).get(subject, subject.rpartition('/')[2])}"
            if was_up and (is_up is False or lost):
                yield Event(now, subject, "link", "down", text if is_up is False else f"{text}, and up again", max(lost, 1))
            if is_up and (was_up is False or (was_up and lost)):
                yield Event(now, subject, "link", "up", text)
            if is_up is not None:
                self.up[subject] = is_up
        self._downs.update(downs)

    def _lost(self, subject: str, downs: Mapping[str, float]) -> int:
        """Return how often the carrier was lost since the last look; a count that fell is another card's."""
        before, after = self._downs.get(subject), downs.get(subject)
        return int(max(after - before, 0)) if before is not None and after is not None else 0
