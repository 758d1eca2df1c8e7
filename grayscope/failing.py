"""Failing: which part failed in which job, from the findings that say that something is broken or hangs.

One failure counts once in a job. What fails in the job that it works for, or within five minutes of the job's end, failed in it; what works for
no job fails in none. Where several fail together they share the blame; three machines of a job, a rack or a leaf, or one in a hundred of all,
are a storm and nobody's fault. During planned work nothing counts. Source: the window is the lemon nodes' (HPCA 2025): it begins ten minutes
before a job's end, when the job runs anyway; whether the job ended by it is not asked, for many a one is restarted under its own name.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from grayscope.evidence import Finding
from grayscope.quadrants import state_of
from grayscope.recurrence import size_class
from grayscope.roster import RosterRow, View
from grayscope.tick import Tick

SECOND, MINUTE = 1_000_000, 60_000_000
#: Failures within this time are one occurrence, and those of several are one moment; so long after its end one still counts in a job.
SAME = 300 * SECOND
#: How long a failure waits for those that come with it, and for the word that somebody works there.
SETTLES = 600 * SECOND
#: Machines of one job, rack or leaf that fail together, and share of all machines: a storm.
STORM, SITE = 3, 0.01
PLACES = ("job", "rack", "leaf")
#: How long it is remembered what was said last: events are told again for a day.
SAID = 2 * 86_400 * SECOND


class Failure(NamedTuple):
    """A part that failed in a job: when, for what reason, how sure it is that one, and the class of the job's size for it and for its machine.

    `lone`: no other machine works for the job, so that the job's own fault may be on this one again and again.
    """

    time: int
    part: str
    node: str
    job: str
    what: str
    chance: float
    size: int
    wide: int
    lone: bool
    places: tuple[str, ...]
    heard: int


class Moment(NamedTuple):
    """What failed within one moment: how many machines, those of each job, the parts of each, and how many machines of each place."""

    machines: int
    jobs: Mapping[str, set[str]]
    parts: Mapping[str, set[str]]
    places: Counter[str]


class Seat(NamedTuple):
    """What a part of a kind works for, since when, and what it worked for before, until when; with the classes of the jobs' sizes."""

    kind: str
    node: str
    job: str
    size: int
    since: int
    before: str = ""
    was: int = 0
    until: int = 0

    def at(self, time: int) -> tuple[str, int]:
        """Return the job in which a failure of this moment counts, and its class; ``""`` for none.

        Examples
        --------
        >>> seat = Seat("gpu/A", "n1", "job:2", 3, 900 * SECOND, "job:1", 1, 800 * SECOND)
        >>> [seat.at(t * SECOND) for t in (700, 890, 1000)], seat._replace(since=1200 * SECOND).at(1150 * SECOND)
        ([('job:1', 1), ('job:1', 1), ('job:2', 3)], ('', 0))
        """
        if self.job and time >= self.since:
            return self.job, self.size
        return (self.before, self.was) if self.before and time <= self.until + SAME else ("", 0)

    def left(self, time: int) -> tuple[str, int, int]:
        """Return what it worked for last, if it leaves that now: the job, its class, until when."""
        return (self.job, self.size, time) if self.job else (self.before, self.was, self.until)


class Failing:
    """Follow who works for what, and return the failures of parts as they settle.

    Parameters
    ----------
    level : float
        Nats from which a finding counts.
    """

    def __init__(self, level: float) -> None:
        self.level = level
        self.seats: dict[str, Seat] = {}
        self.said: dict[tuple[str, str, str], tuple[int, float]] = {}  # (subject, detector, metric) -> when it was said last, and what
        self.waiting: list[Failure] = []
        self.settled: list[Failure] = []  # those that others may still have come with
        self.swept = 0

    def seat(self, time: int, view: View) -> list[str]:
        """Take note of who works for what from now on; return who began a job."""
        began, seats = [], dict[str, Seat]()
        parts = [row for row in view.rows.values() if is_part(row)]
        held = _held(view, parts)
        jobs = [row.keys.get("job") or held.get(row.subject, "") for row in parts]
        works = Counter((row.table, job) for row, job in zip(parts, jobs, strict=True))
        sizes = {work: size_class(members) if work[1] else 0 for work, members in works.items()}
        names, kinds = tuple(row.subject for row in parts), dict[tuple[str, str], str]()
        for row, name, job, node in zip(parts, names, jobs, view.column(names, "node"), strict=True):
            old, size, sku = self.seats.get(name), sizes[row.table, job], row.keys.get("sku", "")
            kind = kinds.get((row.table, sku)) or kinds.setdefault((row.table, sku), f"{row.table}/{sku}")
            if old is None or old.job != job:
                seats[name] = Seat(kind, node, job, size, time, *(old.left(time) if old is not None else ()))
                began += [name] if job else []
            else:  # it may have grown, or be known better
                seats[name] = old if old.kind == kind and old.node == node and old.size == size else old._replace(kind=kind, node=node, size=size)
        went = {n: Seat(s.kind, s.node, "", 0, time, *s.left(time)) for n, s in self.seats.items() if n not in seats and (s.job or s.before)}
        gone = {n: s for n, s in went.items() if time - s.until <= SAID}  # who is there without a job keeps a seat: it may have failed in many
        self.seats = seats | gone
        return began

    def hear(self, findings: Iterable[Finding], tick: Tick) -> None:
        """Take what is newly broken or hangs."""
        for f in findings:
            if f.strength >= self.level and (state_of(f) == "failed" or (f.mode == "hang" and f.side == "service")):
                time = self._anew(f)
                if time is not None:
                    self._take(f, time, tick)

    def _anew(self, f: Finding) -> int | None:
        """Return when it happened if it happened anew: it had not been said for a while, or there is more of it than there was."""
        key, since = (f.subject, f.detector, f.metric), f.since or f.time
        last, value = self.said.get(key, (-(2**62), f.value))
        self.said[key] = f.time, f.value
        return since if since > last + SAME else f.time if f.value > value else None

    def _take(self, f: Finding, time: int, tick: Tick) -> None:
        part = next((p for p in (part_of(f.subject), f.subject.partition("/")[0]) if p in self.seats), "")
        if not part:
            return
        machine, (job, size) = self.seats[part].node, self.seats[part].at(time)
        wide = self.seats[machine].at(time)[1] if machine in self.seats else size
        if job:
            chance = 1.0 - sum(p for _, p in json.loads(f.rivals)) if f.rivals else 1.0
            lone = f.mode == "hang" and self._machines(job) < 2
            places = (job, *(tick.roster.key(machine, k) or tick.roster.key(part, k) for k in PLACES[1:]))
            self.waiting.append(Failure(time, part, machine, job, f.mode or f.metric, chance, size, wide, lone, places, tick.time))

    def _machines(self, job: str) -> int:
        return len({seat.node for seat in self.seats.values() if job in (seat.job, seat.before)})

    def settle(self, now: int, planned: Callable[[str, int], bool]) -> Iterator[tuple[Failure, float, float]]:
        """Yield each failure that has waited long enough, with the shares of the blame that its part and its machine bear."""
        due = [f for f in self.waiting if f.heard + SETTLES <= now]
        if due:
            known, machines = [*self.settled, *self.waiting], len({seat.node for seat in self.seats.values()})
            self.waiting = [f for f in self.waiting if f.heard + SETTLES > now]
            self.settled = [f for f in (*self.settled, *due) if f.heard + 2 * (SETTLES + SAME) > now]
            moments: dict[int, Moment] = {}  # by the minute: thousands may fail in one
            for f in due:
                if (minute := f.time // MINUTE) not in moments:
                    moments[minute] = _moment(o for o in known if abs(o.time // MINUTE - minute) <= SAME // MINUTE)
                moment = moments[minute]
                if not _storm(f, moment, machines) and not planned(f.part, f.time):
                    share = f.chance / len(moment.jobs[f.job])
                    yield f, share / len((moment.parts[f.node] - {f.node}) | {f.part}), share
        if now - self.swept > SAID:
            self.swept, self.said = now, {key: told for key, told in self.said.items() if now - told[0] <= SAID}

    def snapshot(self) -> list[Any]:
        """Return everything as plain lists."""
        return [[[n, *s] for n, s in self.seats.items()], [[*k, *v] for k, v in self.said.items()], self.waiting, self.settled, self.swept]

    def restore(self, state: list[Any]) -> None:
        """Become what `snapshot` returned."""
        seats, said, waiting, settled, self.swept = state
        self.seats, self.said = {n: Seat(*s) for n, *s in seats}, {(s, d, m): (time, value) for s, d, m, time, value in said}
        self.waiting, self.settled = [_failure(f) for f in waiting], [_failure(f) for f in settled]


def _failure(told: list[Any]) -> Failure:
    *first, places, heard = told
    return Failure._make([*first, tuple(places), heard])


def part_of(name: str) -> str:
    """Return the part that a component is replaced with.

    Examples
    --------
    >>> part_of("n1/gpu3/nvlink5"), part_of("n1/gpu3"), part_of("leaf1")
    ('n1/gpu3', 'n1/gpu3', 'leaf1')
    """
    return "/".join(name.split("/")[:2])


def is_part(row: RosterRow) -> bool:
    """Say whether a row of the roster is of something that is replaced by itself."""
    return not row.crosses and ":" not in row.subject and ">" not in row.subject and row.subject.count("/") < 2


def _held(view: View, parts: Iterable[RosterRow]) -> dict[str, str]:
    """Return the jobs of GPUs and machines as their ranks tell them, and of machines as their parts do."""
    held: dict[str, str] = {}
    for name in view.tables.get("rank", ()):
        keys = view.rows[name].keys
        if job := keys.get("job"):
            for place in (keys.get("gpu"), keys.get("node")):
                if place:
                    held.setdefault(place, job)
    for row in parts:
        if (job := row.keys.get("job")) and (node := row.keys.get("node")):
            held.setdefault(node, job)
    return held


def _moment(failures: Iterable[Failure]) -> Moment:
    nodes: dict[str, tuple[str, ...]] = {}
    jobs, parts = defaultdict[str, set[str]](set), defaultdict[str, set[str]](set)
    for f in failures:
        nodes[f.node] = f.places
        jobs[f.job].add(f.node)
        parts[f.node].add(f.part)
    return Moment(len(nodes), jobs, parts, Counter(place for places in nodes.values() for place in places if place))


def _storm(f: Failure, moment: Moment, machines: int) -> bool:
    """Say whether so many machines failed together that it is the job's, the place's or the site's matter."""
    return moment.machines >= max(STORM, SITE * machines) or any(moment.places[place] >= STORM for place in f.places)
