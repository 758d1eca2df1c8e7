"""Said: what a source has told the roster, so that only news is told again: who is new, who changed, who is gone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from grayscope.roster import RosterRow

#: Names of which it is remembered that they were there before.
MOST = 1 << 20


class Said:
    """Remembers the row of every subject that is there.

    Examples
    --------
    >>> said = Said()
    >>> row = RosterRow("job:1/r0", "rank", keys={"gpu": "n1/gpu0"})
    >>> [len(said.news([row], t)) for t in (10, 20)]
    [1, 0]
    >>> said.ended(["job:1/r0", "job:1/r1"], 30)[0].until, said.news([row], 40)[0].since
    (30, 40)
    """

    def __init__(self) -> None:
        self.rows: dict[str, RosterRow] = {}
        self._ever: set[str] = set()

    def news(self, rows: Iterable[RosterRow], now: int) -> list[RosterRow]:
        """Return the rows that say something new; what was there before holds from `now` (microseconds)."""
        return [row for row in (self._changed(row, now) for row in rows) if row is not None]

    def ended(self, subjects: Iterable[str], now: int) -> list[RosterRow]:
        """Return the rows of subjects that are gone, ending `now`; those that were never told of have none."""
        rows = [self.rows.pop(name, None) for name in subjects]
        return [replace(row, until=now) for row in rows if row is not None]

    def _changed(self, row: RosterRow, now: int) -> RosterRow | None:
        before = self.rows.get(row.subject)
        if before is not None and (before.keys, before.crosses) == (row.keys, row.crosses):
            return None
        if len(self._ever) >= MOST:
            self._ever.clear()
        self.rows[row.subject] = row = replace(row, since=now) if row.subject in self._ever else row
        self._ever.add(row.subject)
        return row
