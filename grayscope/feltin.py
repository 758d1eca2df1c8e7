"""Feltin: in which ranks or communicators a part would be felt if it spent its reserve."""

from __future__ import annotations

from grayscope.tick import Tick

#: Tables and mechanisms of what traffic crosses; all else that lies in a GPU slows its rank. A GPU's own counters of its wires are of these.
NETWORK = frozenset({"nvlink", "nic", "port", "leaf"})
CROSSED = frozenset({"nvlink_links", "nvlink_replay", "nvlink_fec", "nvlink_recovery", "rail_failover", "adaptive_routing"})
#: What its siblings carry on for it, so that it is felt where they are.
CARRIED = frozenset({"rail_failover"})
#: Tables whose parts all ranks of their machine read from: the usual one of them shows it, not the worst.
COMMON = "drive"


class FeltIn:
    """Which ranks run on each part and which communicators cross it; worked out again only when the roster has changed.

    Examples
    --------
    >>> import numpy as np
    >>> from grayscope.roster import Roster, RosterRow
    >>> rows = [RosterRow("job:1/r0", "rank", keys={"gpu": "n1/gpu0", "node": "n1"}), RosterRow("n1/gpu0", "gpu")]
    >>> tick = Tick("rank", 0, 1, Roster(rows).at(0), ("job:1/r0",), ("compute_seconds",), np.ones((1, 1), np.float32), np.zeros(1, bool))
    >>> FeltIn().of(tick, "n1/gpu0", "hbm_ecc"), FeltIn().of(tick, "n1/gpu0", "nvlink_replay")
    ([0], [])
    """

    def __init__(self) -> None:
        self._where: dict[str, tuple[object, object, dict[str, list[int]]]] = {}

    def elsewhere(self, tick: Tick, subject: str, mechanism: str) -> bool:
        """Say whether a part is felt in the other table: in communicators where traffic crosses it, else in ranks."""
        return (kind(tick, subject) in NETWORK or mechanism in CROSSED) is (tick.table == "rank")

    def of(self, tick: Tick, subject: str, mechanism: str) -> list[int]:
        """Return the ranks or communicators of a tick in which a part is felt, others' or not; none where it is felt in the other table."""
        if self.elsewhere(tick, subject, mechanism):
            return []
        where, parent, table = self._crossing(tick), subject.rpartition("/")[0], kind(tick, subject)
        if mechanism not in CARRIED:
            return where.get(subject, where.get(parent if "/" in parent or table == COMMON else "", []))
        siblings = [p for p in where if p.rpartition("/")[0] == parent and p in tick.roster.rows and kind(tick, p) == table]
        return sorted({s for p in siblings for s in where[p]})

    def _crossing(self, tick: Tick) -> dict[str, list[int]]:
        known = self._where.get(tick.table)
        if known is None or known[0] is not tick.roster or known[1] is not tick.subjects:
            where: dict[str, list[int]] = {}
            for s, name in enumerate(tick.subjects):
                for part in (tick.roster.key(name, "gpu"), tick.roster.key(name, "node")) if tick.table == "rank" else tick.roster.crosses(name):
                    if part:  # what runs on nothing that is known is nobody's
                        where.setdefault(part, []).append(s)
            known = self._where[tick.table] = (tick.roster, tick.subjects, where)
        return known[2]


def kind(tick: Tick, subject: str) -> str:
    """Return the table of a subject, empty where the roster does not know it."""
    row = tick.roster.rows.get(subject)
    return row.table if row else ""
