"""Rostering: who exists, told by several sources: one row per subject, the better source's word first, and who said what."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from grayscope.roster import RosterRow

#: Whose word counts first where two contradict each other: a person's, then the scheduler's, then what the machine says of itself.
ORDER = ("file", "rosterfile", "slurm", "kubernetes")
#: What holds for everything in a node holds for its parts, unless they say otherwise.
INHERITED = ("cell", "region", "zone", "block", "core", "spine", "leaf", "rack", "partition", "job")
#: Subjects that are kept; names come from outside.
MOST = 1 << 20


class Said(NamedTuple):
    """One source's word on one key: ``source`` is ``x``, or ``x of n017`` where the part has it from its node."""

    source: str
    value: str


class Rostering:
    """Merges rows of several sources; `tell` returns the rows that are different now.

    Key by key the best source that knows one is believed (`order`, then by name). A source's row replaces its own earlier one of
    the same subject. A part takes place and job from its node, from whatever source, where none tells them for the part itself.

    Parameters
    ----------
    order : sequence of str
        Sources, best first.

    Examples
    --------
    >>> roster = Rostering()
    >>> _ = roster.tell("kubernetes", [RosterRow("n1", "node", keys={"leaf": "l7", "zone": "a"})])
    >>> [dict(r.keys) for r in roster.tell("file", [RosterRow("n1", "node", keys={"leaf": "l4"})], 5)]
    [{'leaf': 'l4', 'zone': 'a'}]
    >>> roster.words("n1")["leaf"]
    [Said(source='file', value='l4'), Said(source='kubernetes', value='l7')]
    """

    def __init__(self, order: Sequence[str] = ORDER, most: int = MOST) -> None:
        self.order, self.most = {name: i for i, name in enumerate(order)}, most
        self.rejected = 0
        self.rows: dict[str, RosterRow] = {}
        self._said: dict[str, dict[str, RosterRow]] = {}
        self._parts: dict[str, dict[str, None]] = {}

    def tell(self, source: str, rows: Iterable[RosterRow], time: int | None = None) -> list[RosterRow]:
        """Take one source's rows; return what changed, valid from `time` (microseconds) unless it is the first word on its subject."""
        touched: dict[str, None] = {}
        for row in rows:
            if row.subject not in self._said and len(self._said) >= self.most:
                self.rejected += 1
                continue
            self._said.setdefault(row.subject, {})[source] = row
            root, _, part = row.subject.partition("/")
            if part:
                self._parts.setdefault(root, {})[row.subject] = None
            touched[row.subject] = None
            touched |= {} if part else self._parts.get(root, {})
        changed = (self._changed(subject, time) for subject in touched)
        return [row for row in changed if row is not None]

    def words(self, subject: str) -> dict[str, list[Said]]:
        """Return everything that was said of a subject: key -> words, the one that holds first."""
        found: dict[str, list[Said]] = {}
        for source, row in self._ranked(subject):
            for key, value in row.keys.items():
                if value:
                    found.setdefault(key, []).append(Said(source, value))
        root, _, part = subject.partition("/")
        for source, row in self._ranked(root) if part else ():
            for key in INHERITED:
                if row.keys.get(key):
                    found.setdefault(key, []).append(Said(f"{source} of {root}", row.keys[key]))
        return dict(sorted(found.items()))

    def _ranked(self, subject: str) -> Iterator[tuple[str, RosterRow]]:
        yield from sorted(self._said.get(subject, {}).items(), key=lambda item: (self.order.get(item[0], len(self.order)), item[0]))

    def _changed(self, subject: str, time: int | None) -> RosterRow | None:
        told = [row for _, row in self._ranked(subject)]
        keys = {key: words[0].value for key, words in self.words(subject).items()}
        crosses = next((row.crosses for row in told if row.crosses), ())
        until = next((row.until for row in told if row.until is not None), None)
        new = RosterRow(subject, told[0].table, told[0].since, until, keys, crosses)
        old = self.rows.get(subject)
        if old is not None:
            if replace(new, since=old.since) == old:
                return None
            # An end closes the validity that holds; anything else begins the next one.
            ends = new.until is not None and old.until is None
            new = replace(new, since=old.since if ends or time is None else time, keys=old.keys if ends else keys)
        self.rows[subject] = new
        return new
