"""Facts: what a stream of events comes down to: each told once, with how often, since when, and in which jobs.

A stream repeats itself: every table's tick carries the events since its own last one, drivers print one fault in three
lines, and 800,000 lines may be 29 facts (NVSentinel#1120). A fact is one (subject, source, code).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import astuple, dataclass, field
from hashlib import blake2b
from typing import Any

from grayscope.event import Event

SECOND = 1_000_000
HOUR, DAY = 3600 * SECOND, 24 * 3600 * SECOND
#: What comes again within this time is the same occurrence (the exporter's window of five minutes).
SAME = 300 * SECOND
#: Subjects of one job that tell the same within this time tell of one thing that happened to the job.
TOGETHER = 60 * SECOND
#: Facts, occurrences of a fact, jobs of a fact, members of a burst that are kept.
FACTS, TIMES, JOBS, MEMBERS = 1 << 16, 16, 8, 64
#: How long a fact is remembered after it was last seen (recurrence across jobs).
REMEMBERED = 28 * DAY


@dataclass(slots=True)
class Fact:
    """One (subject, source, code): lines, beginnings of separate occurrences, last text, and job -> time it was last seen there beside others of the job."""

    table: str
    last: int
    lines: int = 0
    times: list[int] = field(default_factory=list)
    text: str = ""
    jobs: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Burst:
    """The same source and code on several parts of one job: the latest time together, and who; `most` at any time."""

    table: str
    first: int
    last: int
    members: list[str] = field(default_factory=list)
    most: int = 0


class Facts:
    """All facts, bounded; `take` returns the fact of an event, or None if this very event was taken before."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, str, str], Fact] = {}
        self.bursts: dict[tuple[str, str, str], Burst] = {}
        self.unknown: Counter[str] = Counter()
        self.seen: dict[int, int] = {}
        self.mark = -(2**62)  # what is older has been taken

    def new(self, event: Event) -> bool:
        """Say whether the event has not been taken before, and take note of it."""
        if event.time <= self.mark:
            return False
        text = repr((event.time, event.subject, event.source, event.code, event.text, event.count))
        key = int.from_bytes(blake2b(text.encode("utf-8", "replace"), digest_size=8).digest()) >> 1
        if key in self.seen:
            return False
        self.seen[key] = event.time
        return True

    def take(self, event: Event, table: str, job: str, *, said: bool = True, beside: bool = True) -> Fact:
        """Add a new event to its fact; `said` keeps its text rather than the older one, `beside` says that others run the job too and were spared."""
        key = (event.subject, event.source, event.code)
        fact = self.known.get(key)
        if fact is None:
            fact = self.known[key] = Fact(table, event.time)
        if not fact.times or event.time - fact.last > SAME:
            fact.times = [*fact.times, event.time][-TIMES:]
        fact.last = max(fact.last, event.time)
        fact.lines, fact.text, fact.table = fact.lines + event.count, event.text[:200] if said else fact.text, table
        if job:
            self._burst(event, table, job)
        if job and beside:
            fact.jobs.pop(job, None)
            fact.jobs[job] = event.time
            for old in list(fact.jobs)[:-JOBS]:
                del fact.jobs[old]
        return fact

    def _burst(self, event: Event, table: str, job: str) -> None:
        key = (job, event.source, event.code)
        burst = self.bursts.get(key)
        if burst is None:
            burst = self.bursts[key] = Burst(table, event.time, event.time)
        if event.time - burst.last > TOGETHER:
            burst.first, burst.members = event.time, []
        burst.last = max(burst.last, event.time)
        if event.subject not in burst.members and len(burst.members) < MEMBERS:
            burst.members.append(event.subject)
            burst.most = max(burst.most, len(burst.members))

    def clear(self, subject: str, patterns: tuple[str, ...]) -> set[str]:
        """Forget the facts that match, of a subject and of what lies in it; return the tables they were told in."""
        tables = set()
        for (whose, source, code), fact in list(self.known.items()):
            if (whose == subject or whose.startswith(f"{subject}/")) and _fits(source, code, patterns):
                del self.known[whose, source, code]
                tables.add(fact.table)
        return tables

    def forget(self, now: int, keep: int) -> None:
        """Drop what is too old, and the oldest if there is too much; `keep` is how long an event may be told again."""
        if len(self.seen) > FACTS or (self.seen and min(self.seen.values()) <= now - 2 * keep):
            cut = now - keep
            if len(self.seen) > 4 * FACTS:
                cut = max(cut, sorted(self.seen.values())[-FACTS])
            self.mark = max(self.mark, cut)
            self.seen = {k: t for k, t in self.seen.items() if t > cut}
        for what in (self.known, self.bursts):
            _bound(what, now)
        for code in [c for c, _ in self.unknown.most_common()[1024:]]:
            del self.unknown[code]

    def snapshot(self) -> list[Any]:
        """Return everything as plain lists."""
        known = [[*k, *astuple(f)] for k, f in self.known.items()]
        bursts = [[*k, *astuple(b)] for k, b in self.bursts.items()]
        return [known, bursts, list(self.unknown.items()), list(self.seen.items()), self.mark]

    def restore(self, state: list[Any]) -> None:
        """Become what `snapshot` returned."""
        known, bursts, unknown, seen, self.mark = state
        self.known = {(s, source, code): Fact(*rest) for s, source, code, *rest in known}
        self.bursts = {(job, source, code): Burst(*rest) for job, source, code, *rest in bursts}
        self.unknown, self.seen = Counter(dict(unknown)), dict(seen)


def _fits(source: str, code: str, patterns: tuple[str, ...]) -> bool:
    """Say whether a pattern such as ``xid:63``, ``xid:*`` or ``*`` names a fact.

    Examples
    --------
    >>> _fits("xid", "63", ("xid:63",)), _fits("xid", "63", ("link:*",)), _fits("xid", "63", ("*",))
    (True, False, True)
    """
    return any(p in ("*", f"{source}:*", f"{source}:{code.lower()}") for p in patterns)


def _bound(what: dict[Any, Any], now: int) -> None:
    for key in [k for k, v in what.items() if now - v.last > REMEMBERED]:
        del what[key]
    if len(what) > FACTS:
        for key in sorted(what, key=lambda k: (what[k].last, k))[: len(what) - FACTS]:
            del what[key]
