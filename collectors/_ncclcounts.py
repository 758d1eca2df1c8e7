"""Counts: how far each rank has come, how many records were lost, and what went wrong on the net, as totals."""

from __future__ import annotations

from collections.abc import Iterable

SEQUENCE, DROPPED = "collective_sequence", "nccl_records_dropped_total"
#: Subjects, and (subject, communicator) pairs that are remembered.
MOST = 1 << 18


class Counts:
    """Totals per rank. Communicators come and go: a new one's numbers add to the rank's total, none makes it fall.

    Progress is told by one source per rank, the first that speaks: RAS counts everything, Inspector what it recorded.

    Examples
    --------
    >>> c = Counts()
    >>> for n in (7, 8, 11):
    ...     c.reached("job:1/r0", "0x9f", n)
    >>> sorted(c.totals().values())
    [2.0, 11.0]
    """

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._totals: dict[tuple[str, str], float] = {}
        self._last: dict[tuple[str, str], int] = {}
        self._stated: dict[tuple[str, str], int] = {}
        self._by_ras: dict[str, bool] = {}
        self._members: dict[tuple[str, int, str], int] = {}
        self._several: set[tuple[str, int]] = set()
        self._seen: set[str] = set()
        self._shown: set[str] = set()

    def begin(self, ended: Iterable[str]) -> None:
        """Begin a look: nothing is shown yet; forget the ranks that have ended, or all if there are too many."""
        self._shown = set()
        gone = set(ended)
        if max(len(self._totals), len(self._last), len(self._stated), len(self._members), len(self._seen)) > MOST:
            self._forget()
        elif gone:
            self._totals = {k: v for k, v in self._totals.items() if k[0] not in gone}
            self._last = {k: v for k, v in self._last.items() if k[0] not in gone}
            self._stated = {k: v for k, v in self._stated.items() if k[0] not in gone}
            self._by_ras = {s: by for s, by in self._by_ras.items() if s not in gone}

    def lane(self, host: str, pid: int, comm: str, member: int) -> int:
        """Return the member where one process is several members of a communicator, else -1."""
        if self._members.setdefault((host, pid, comm), member) != member:
            self._several.add((host, pid))
        return member if (host, pid) in self._several else -1

    def reached(self, subject: str, comm: str, sequence: int) -> None:
        """Take note of a record's number; numbers that were left out are records lost."""
        last = self._last.get((subject, comm))
        self._shown.add(subject)
        if last is not None and sequence <= last:
            return
        self._last[subject, comm] = sequence
        if (subject, comm) not in self._stated:
            self._add(subject, DROPPED, max(0, sequence - last - 1) if last is not None else 0)
        if not self._by_ras.setdefault(subject, False):
            self._add(subject, SEQUENCE, sequence - (last or 0))

    def counted(self, subject: str, comm: str, count: int) -> None:
        """Take note of what RAS counts."""
        self._shown.add(subject)
        if self._by_ras.setdefault(subject, True):
            last = self._last.get((subject, f"ras {comm}"), 0)
            self._last[subject, f"ras {comm}"] = max(last, count)
            self._add(subject, SEQUENCE, max(0, count - last))

    def dropped(self, subject: str, comm: str, total: int) -> None:
        """Take note of what a dump says it lost; from then on it is believed, not the numbers' gaps."""
        self._shown.add(subject)
        self._add(subject, DROPPED, max(0, total - self._stated.get((subject, comm), total)))
        self._stated[subject, comm] = total

    def happened(self, subject: str, metric: str) -> None:
        """Count one event."""
        self._shown.add(subject)
        self._add(subject, metric, 1)

    def set(self, subject: str, metric: str, total: float) -> None:
        """Take a total as it is told."""
        self._shown.add(subject)
        self._totals[subject, metric] = total

    def show(self, subject: str) -> None:
        """Let a rank's totals be told though nothing is new."""
        self._shown.add(subject)

    def first(self, subject: str) -> bool:
        """Say whether a subject is asked about for the first time."""
        new = subject not in self._seen
        self._seen.add(subject)
        return new

    def totals(self) -> dict[tuple[str, str], float]:
        """Return the totals of everybody who is shown in this look."""
        return {key: total for key, total in self._totals.items() if key[0] in self._shown}

    def _add(self, subject: str, metric: str, n: float) -> None:
        self._totals[subject, metric] = self._totals.get((subject, metric), 0.0) + n
