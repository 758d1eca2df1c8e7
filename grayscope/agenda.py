"""Agenda: all planned work that was told, in whatever order, and which of it holds for a subject at a moment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import astuple, replace
from typing import Any

from grayscope.event import Event
from grayscope.maintenance import LONGEST, Work, read
from grayscope.roster import View

#: Pieces of work that are known at a time; beyond, what is over is forgotten, and then, counted, what ends first.
MOST = 10_000
#: Roster keys that say where something stands or what it belongs to.
PLACES = ("gpu", "node", "cell", "region", "zone", "block", "core", "spine", "leaf", "rack", "rail", "partition", "job")


class Agenda:
    """All planned work that was told; the order in which it was told does not matter, but that an end without an interval ends what is known by then.

    Parameters
    ----------
    longest : int
        Microseconds after which work without an end is over.
    after : int
        Microseconds for which work holds beyond its end: what comes back needs a while to be as it was.

    Attributes
    ----------
    lost : int
        Pieces of work that were forgotten before they were over, as there were too many.

    Examples
    --------
    >>> agenda = Agenda(after=0)
    >>> agenda.take(Work("n1", 10, 20).event(0))
    True
    >>> view = View(0, {})
    >>> [agenda.over("n1/gpu3", t, view) is not None for t in (9, 10, 19, 20)], agenda.over("n10", 10, view)
    ([False, True, True, False], None)
    """

    def __init__(self, longest: int = LONGEST, after: int = 0) -> None:
        self.longest, self.after, self.lost = longest, after, 0
        self.works: dict[tuple[str, int], Work] = {}
        self.ends: dict[str, int] = {}  # subject -> when its last end without an interval was told: each table's ticks bring it again
        self._on: dict[str, list[Work]] = {}

    def take(self, event: Event) -> bool:
        """Take note of an event; say whether it changed anything."""
        new = read(event)
        if new is None:
            return False
        plain = new.closed and new.start < 0
        if plain and new.told <= self.ends.get(new.subject, -1):
            return False
        changed = [w for w in self._meant(new) if self.works.get((w.subject, w.start)) != w]
        for work in changed:
            self.works[work.subject, work.start] = work
            self._on[work.subject] = [*(w for w in self._on.get(work.subject, ()) if w.start != work.start), work]
        if plain:
            self._remember(new)
        if len(self.works) > MOST:
            self._bound(new.told)
        return bool(changed)

    def _meant(self, new: Work) -> Iterator[Work]:
        """Yield what becomes of works by a word: an end is the last word, of two plans the later told counts."""
        if new.closed and new.start < 0:
            yield from (replace(w, end=new.end, closed=True) for w in self._on.get(new.subject, ()) if not w.closed and w.start <= new.told)
            return
        old = self.works.get((new.subject, new.start))
        if old is not None and new.closed:
            last, other = sorted((old, new), key=lambda w: (not w.closed, w.until(self.longest), w.told, w.note))
            yield replace(last, note=last.note or other.note)
        elif old is not None and old.closed:
            yield old if old.note or not new.note else replace(old, note=new.note)
        else:
            yield new if old is None else max(old, new, key=lambda w: (w.told, w.until(self.longest), w.note))

    def _remember(self, end: Work) -> None:
        self.ends[end.subject] = end.told
        if len(self.ends) > MOST:
            self.ends = dict(sorted(self.ends.items(), key=lambda e: (e[1], e[0]))[-(MOST - MOST // 8) :])

    def _bound(self, time: int) -> None:
        """Make room: with what is over at `time`, and only where that is not enough with more."""
        kept = [w for w in self.works.values() if w.until(self.longest) + self.after > time]
        if len(kept) > MOST:
            self.lost += len(kept) - (MOST - MOST // 8)
            kept = sorted(kept, key=lambda w: (w.until(self.longest), w.subject, w.start))[-(MOST - MOST // 8) :]
        self.works = {(w.subject, w.start): w for w in kept}
        self._index()

    def _index(self) -> None:
        self._on = {}
        for work in self.works.values():
            self._on.setdefault(work.subject, []).append(work)

    def forget(self, time: int) -> None:
        """Drop what has been over for so long that no late word about it can matter."""
        self.ends = {subject: told for subject, told in self.ends.items() if told + self.after + self.longest >= time}
        old = [key for key, w in self.works.items() if w.until(self.longest) + self.after + self.longest < time]
        if old:
            for key in old:
                del self.works[key]
            self._index()

    def over(self, subject: str, time: int, roster: View) -> Work | None:
        """Return the work that holds for a subject, of several the one that lasts longest."""
        found = [w for name in places(subject, roster) for w in self._on.get(name, ()) if w.start <= time < w.until(self.longest) + self.after]
        return max(found, key=lambda w: (w.until(self.longest), w.subject, w.start), default=None)

    def next(self, time: int) -> int | None:
        """Return the next moment after `time` at which work begins or ceases to hold."""
        moments = (m for w in self.works.values() for m in (w.start, w.until(self.longest) + self.after) if m > time)
        return min(moments, default=None)

    def snapshot(self) -> dict[str, Any]:
        """Return all that is known, plain enough for JSON."""
        return {"works": [list(astuple(w)) for w in self.works.values()], "ends": self.ends, "lost": self.lost}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Become what `snapshot` returned."""
        self.works = {(w.subject, w.start): w for w in (Work(*fields) for fields in state["works"])}
        self.ends, self.lost = dict(state["ends"]), state["lost"]
        self._index()


def places(subject: str, roster: View) -> set[str]:
    """Return all names under which work on a subject may have been planned: itself, what it lies in, its ends, and its places by the roster.

    Examples
    --------
    >>> sorted(places("n1/nic0>n2/nic0", View(0, {})))
    ['n1', 'n1/nic0', 'n1/nic0>n2/nic0', 'n2', 'n2/nic0', 'site']
    """
    found, waiting, asked = {"site", subject}, subject.split(">"), set[str]()
    while waiting:
        for name in _whole(waiting.pop()):
            found.add(name)
            row = roster.rows.get(name)
            if row is None or name in asked:
                continue
            asked.add(name)
            keys = {key: row.keys[key] for key in PLACES if row.keys.get(key)}
            found |= {*keys.values(), *(f"{key}:{value}" for key, value in keys.items())}
            waiting += [keys[key] for key in ("gpu", "node") if key in keys]
    return found


def _whole(name: str) -> Iterator[str]:
    """Yield a name and all that it lies in."""
    while name:
        yield name
        name = name.rpartition("/")[0]
