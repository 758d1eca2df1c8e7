"""Roster: who exists, since when, and with which keys."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

#: What tells one physical part from its replacement; a rank is another one when it has moved to another GPU, and what a job does inside one
#: machine (a communicator of its GPUs, a rank of which only that is known) when it has moved to another machine.
IDENTITY = ("serial", "uuid", "gpu", "node")
#: Keys that the name of a subject tells where its row does not.
BY_NAME = ("node", "job")


@dataclass(frozen=True, slots=True)
class RosterRow:
    """One validity of one subject: ``since <= time < until`` (None is open)."""

    subject: str
    table: str
    since: int | None = None
    until: int | None = None
    keys: Mapping[str, str] = field(default_factory=dict)
    crosses: tuple[str, ...] = ()

    def covers(self, time: int) -> bool:
        """Say whether this row holds at `time` (microseconds)."""
        return (self.since is None or self.since <= time) and (self.until is None or time < self.until)


@dataclass(frozen=True, eq=False)
class View:
    """The roster as it stood at one moment: at most one row per subject."""

    version: int
    rows: Mapping[str, RosterRow]

    @cached_property
    def tables(self) -> dict[str, tuple[str, ...]]:
        """Expected subjects of each table, sorted."""
        found: dict[str, list[str]] = {}
        for row in self.rows.values():
            found.setdefault(row.table, []).append(row.subject)
        return {table: tuple(sorted(names)) for table, names in found.items()}

    @cached_property
    def leaves(self) -> frozenset[str]:
        """Switches above somebody, whether they have a row or not."""
        return frozenset(leaf for row in self.rows.values() if (leaf := row.keys.get("leaf")))

    def key(self, subject: str, name: str) -> str:
        """Return a key of a subject, ``""`` where unknown.

        ``node`` falls back to the first component of the name. So does ``job``, for parts: what nobody has assigned is
        best compared with what stands beside it, for an idle node is no peer of a busy one.

        Examples
        --------
        >>> view = View(0, {})
        >>> view.key("n017/gpu3", "node"), view.key("n017/gpu3", "job"), view.key("job:42/r7", "job"), view.key("n017", "job")
        ('n017', 'node:n017', 'job:42', '')
        """
        row = self.rows.get(subject)
        value = row.keys.get(name, "") if row else ""
        return value or (_by_name(subject, name) if name in BY_NAME else "")

    def column(self, subjects: tuple[str, ...], name: str) -> tuple[str, ...]:
        """Return a key of each subject, as `key` does; kept for a while, for one station after the other asks for the same.

        Examples
        --------
        >>> View(0, {}).column(("n017/gpu3", "job:42/r7", "n017"), "job")
        ('node:n017', 'job:42', '')
        """
        return _column(self, subjects, name)

    def serial(self, subject: str) -> str:
        """Return the serial number of a part, ``""`` where unknown."""
        row = self.rows.get(subject)
        return (row.keys.get("serial", "") or row.keys.get("uuid", "")) if row else ""

    def crosses(self, subject: str) -> tuple[str, ...]:
        """Return what the traffic of a path, rank or communicator crosses; nothing where unknown."""
        row = self.rows.get(subject)
        return row.crosses if row else ()

    def identity(self, subject: str) -> tuple[str, ...]:
        """Return what tells one physical part from its replacement, as far as the roster says it itself."""
        row = self.rows.get(subject)
        return tuple(row.keys.get(name, "") if row else "" for name in IDENTITY)

    def labels(self, subjects: tuple[str, ...], keys: tuple[str, ...]) -> tuple[NDArray[np.int32], tuple[tuple[str, ...], ...]]:
        """Group `subjects` by equal `keys`.

        Returns
        -------
        labels : ndarray of int32, shape [S]
            Group of each subject, numbered in sorted order of the groups' keys.
        groups : tuple of tuple of str
            The key values of each group.

        Examples
        --------
        >>> labels, groups = View(0, {}).labels(("a/x", "b/x", "a/y"), ("node",))
        >>> labels.tolist(), groups
        ([0, 1, 0], (('a',), ('b',)))
        """
        found = zip(*(self.column(subjects, k) for k in keys), strict=True) if keys else iter([()] * len(subjects))
        number: dict[tuple[str, ...], int] = {}
        met = [number.setdefault(group, len(number)) for group in found]  # numbered as they come
        groups = tuple(sorted(number))
        place = np.empty(len(groups), np.int32)
        place[np.array([number[group] for group in groups], np.intp)] = np.arange(len(groups), dtype=np.int32)
        return place[np.array(met, np.intp)], groups


@lru_cache(maxsize=8)
def _keys(view: View, subjects: tuple[str, ...]) -> tuple[Mapping[str, str], ...]:
    """Return all keys of each subject."""
    return tuple([row.keys if (row := view.rows.get(s)) is not None else {} for s in subjects])


@lru_cache(maxsize=64)
def _column(view: View, subjects: tuple[str, ...], name: str) -> tuple[str, ...]:
    found = [keys.get(name, "") for keys in _keys(view, subjects)]
    if name in BY_NAME and not all(found):
        one: dict[str, str] = {}  # equal values are one object: whoever looks them up then has less to do
        found = [value or one.setdefault(told := _by_name(s, name), told) for value, s in zip(found, subjects, strict=True)]
    return tuple(found)


def _by_name(subject: str, key: str) -> str:
    root, _, part = subject.partition("/")
    if key == "node":
        return root
    return "" if not part else root if root.startswith("job:") else f"node:{root}"


class Roster:
    """All validities of all subjects; immutable, each change makes the next version.

    Examples
    --------
    >>> r = Roster([RosterRow("n1/gpu0", "gpu", until=100), RosterRow("n1/gpu0", "gpu", since=100, keys={"serial": "B"})])
    >>> r.at(50).key("n1/gpu0", "serial"), r.at(100).key("n1/gpu0", "serial")
    ('', 'B')
    """

    def __init__(self, rows: Iterable[RosterRow] = (), version: int = 0) -> None:
        self._known = {_place(r): r for r in rows}
        self.rows: tuple[RosterRow, ...] = tuple(self._known[k] for k in sorted(self._known))
        self.version = version
        moments = {t for r in self.rows for t in (r.since, r.until) if t is not None}
        self._changes = sorted(moments)  # in Python, where one question costs a tenth of what it does in numpy
        self._views: dict[int, View] = {}
        #: The rows as a message, kept by whoever needs it again and again.
        self.frame: bytes | None = None

    def with_rows(self, rows: Iterable[RosterRow]) -> Roster:
        """Return the next version; a row with the same subject, table and since replaces the old one.

        Agents repeat themselves: rows that are all known already make no new version.
        """
        rows = tuple(rows)
        if all(self._known.get(_place(r)) == r for r in rows):
            return self
        return Roster((*self.rows, *rows), self.version + 1)

    def at(self, time: int) -> View:
        """Return who exists at `time`; the same object as long as nothing changes."""
        era = bisect_right(self._changes, time)
        view = self._views.get(era)
        if view is None:
            # Sorted by since: where two rows of a subject hold at once, the younger one speaks.
            holding = {r.subject: r for r in self.rows if r.covers(time)}
            view = self._views[era] = View(self.version * 1_000_003 + era, holding)
        return view


def _place(row: RosterRow) -> tuple[str, str, int]:
    return row.subject, row.table, row.since if row.since is not None else -(2**63)
