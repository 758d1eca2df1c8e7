"""Traffic: what ports moved from look to look: their share of the node's bytes."""

from __future__ import annotations

from collections.abc import Sequence

from ._ports import Port
from ._samples import Samples

#: Bytes per second of a group of ports below which shares say nothing.
BUSY = 1e6
WORDS = ("port_xmit_data", "port_rcv_data")


class Traffic:
    """Remembers the totals of the last look.

    A share is told among ports of one kind of link and card, from two on, while together they move something: a rail that failed over
    carries nothing while its port is up.
    """

    def __init__(self) -> None:
        self._moved: dict[str, float] = {}
        self._now: dict[str, float] = {}
        self._then = 0

    def note(self, port: Port, value: float | None) -> None:
        """Take note of one of a port's data counters (words of four bytes)."""
        if value is not None:
            self._now[port.subject] = self._now.get(port.subject, 0.0) + 4 * value

    def shares(self, found: Sequence[Port], now: int, samples: Samples) -> None:
        """Add every port's share of what its like moved since the last look."""
        gained = {s: total - self._moved[s] for s, total in self._now.items() if s in self._moved}
        seconds = (now - self._then) * 1e-6
        self._moved, self._now, self._then = self._now, {}, now
        groups: dict[tuple[str, str], list[Port]] = {}
        for port in found:
            if gained.get(port.subject, -1) >= 0:
                groups.setdefault((port.layer, port.keys.get("sku", "")), []).append(port)
        for group in groups.values():
            total = sum(gained[p.subject] for p in group)
            if len(group) > 1 and total > BUSY * seconds > 0:
                for port in group:
                    samples.add(port.subject, "nic_port_traffic_share_ratio", gained[port.subject] / total, **port.keys)
