"""Rosters: who is new and whose keys changed, read off the labels of series."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np

from grayscope.roster import IDENTITY, RosterRow

from ._series import Look, Series, as_numbers

#: Subjects that are told about; names come from outside.
MOST_SUBJECTS = 1 << 20
#: Number of the subject, table, keys.
Identity = tuple[int, str, tuple[tuple[str, str], ...]]


class Changes:
    """Compares look with look: `rows` returns what the roster does not know yet.

    Series of one subject may tell different keys; at each moment they tell together, and where they contradict each other the
    series that was met last is believed.

    Parameters
    ----------
    series : Series
    """

    def __init__(self, series: Series) -> None:
        self.series = series
        self._said: dict[str, dict[str, str]] = {}
        self._last = np.empty(0, np.int32)
        self._numbered: object = None  # whose numbers those are

    def rows(self, look: Look) -> list[RosterRow]:
        """Return roster rows for subjects that are new or whose keys changed since they were last told."""
        if not len(look.series):
            return []
        identity = as_numbers(self.series.of_identity)[look.series]
        present = np.unique(identity)
        same = self._numbered is self.series.identities and np.array_equal(present, self._last)
        if same and look.times.min() == look.times.max():
            return []
        self._last, self._numbered = present, self.series.identities
        keys = list(self.series.identities)
        subject = np.array([k[0] for k in keys], np.int64)[identity]
        order = np.lexsort((identity, look.times, subject))
        subject, times, identity = subject[order], look.times[order], identity[order]
        new = np.concatenate([[True], (np.diff(subject) != 0) | (np.diff(times) != 0)])
        unique = new | np.concatenate([[True], np.diff(identity) != 0])
        subject, times, identity, new = subject[unique], times[unique], identity[unique], new[unique]
        starts = np.flatnonzero(new)
        # Who tells about a subject at one moment, as one number: only where that changes the keys may change.
        telling = np.add.reduceat((identity.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15), starts)
        turn = np.concatenate([[True], (np.diff(subject[starts]) != 0) | (np.diff(telling) != 0)])
        ends = np.append(starts[1:], len(identity))
        names = list(self.series.subjects)
        spans = zip(starts[turn].tolist(), ends[turn].tolist(), strict=True)
        rows = (self._told([keys[i] for i in identity[a:b].tolist()], names, int(times[a])) for a, b in spans)
        return [row for row in rows if row is not None]

    def _told(self, identities: list[Identity], names: list[str], time: int) -> RosterRow | None:
        """Return the row that says what all `identities` of one subject say together, None if that is known."""
        subject, table = names[identities[0][0]], identities[0][1]
        keys = {k: v for _, _, pairs in identities for k, v in pairs}
        before = self._said.get(subject)
        if before == keys or (before is None and len(self._said) >= MOST_SUBJECTS):
            return None
        self._said[subject] = keys
        return RosterRow(subject, table, None if before is None else time, None, keys)


def closed(rows: list[RosterRow]) -> list[RosterRow]:
    """Return the rows of a finished source, each ending where its subject's next one begins.

    Examples
    --------
    >>> [(r.since, r.until) for r in closed([RosterRow("a", "gpu", 5), RosterRow("a", "gpu"), RosterRow("b", "gpu")])]
    [(None, 5), (5, None), (None, None)]
    """
    rows = sorted(rows, key=lambda r: (r.subject, r.since is not None, r.since or 0))
    for i, (row, later) in enumerate(pairwise(rows)):
        if row.subject == later.subject:
            rows[i] = replace(row, until=later.since)
    return rows


def replaced(rows: list[RosterRow], known: dict[str, tuple[str, ...]]) -> set[str]:
    """Return the subjects whose part is another one now, and note the parts in `known`."""
    found = set()
    for row in rows:
        part = tuple(row.keys.get(name, "") for name in IDENTITY)
        before = known.get(row.subject)
        if before is not None and any(a and b and a != b for a, b in zip(before, part, strict=True)):
            found.add(row.subject)
        known[row.subject] = tuple(b or a for a, b in zip(before or part, part, strict=True))
    return found
