"""Recurring: the failures of each part and machine in 28 days beside its jobs and its hours in them, and who has had far too many.

Large jobs fail for anyone, and who works more fails more: what is expected is the rate of all others of its kind (table and product) at those
sizes of jobs, in its hours. One part that bears most of a machine's failures is the suspect, not the machine. Memory ends with the part.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from grayscope.evidence import Finding
from grayscope.failing import Failure
from grayscope.horizons import WEEK
from grayscope.recurrence import Recurrence
from grayscope.squeezed import squeezed, unsqueezed

#: Weeks that count, and jobs that must have failed there.
WEEKS, JOBS = 4, 3
#: Share of the blame from which a job counts as failed there, and share of a machine's failures that makes them one part's matter.
MOSTLY, ONE = 0.5, 0.75
#: Failures remembered, and told, of each.
NAMED, TOLD = 32, 6
Array = NDArray[Any]


class Episode(NamedTuple):
    """A failure as it is remembered: when, in which job, for what reason, of which part, its share of the blame, and the class of the job's size."""

    time: int
    job: str
    what: str
    part: str
    share: float
    size: int


class Recurring:
    """Hours in jobs and jobs begun by week, and the failures; by kind and name."""

    def __init__(self) -> None:
        self.weeks: dict[int, dict[str, Recurrence]] = {}  # its episodes are the jobs that were begun
        self.known: dict[str, list[Episode]] = {}
        self.serials: dict[str, str] = {}

    def work(self, time: int, kind: str, names: list[str], sizes: Array, hours: float) -> None:
        """Add hours in jobs; `sizes` are the classes of the jobs."""
        counts = self.weeks.setdefault(time // WEEK, {}).setdefault(kind, Recurrence())
        counts.add_hours(counts.places(names), sizes, hours)

    def begin(self, time: int, kind: str, names: list[str], sizes: Array) -> None:
        """Count a job that some have begun."""
        counts = self.weeks.setdefault(time // WEEK, {}).setdefault(kind, Recurrence())
        at = counts.places(names)  # before the array is taken: it grows
        counts.episodes[sizes, at] += 1.0

    def add(self, f: Failure, share: float, whole: float, serials: Mapping[str, str]) -> None:
        """Count a failure for its part and its machine, once in each job."""
        for name, bears, size in ((f.part, share, f.size), (f.node, whole, f.wide)):
            before = [e for e in self.known.get(name, ()) if e.job != f.job or e.share >= bears]
            if (name == f.node and f.lone) or any(e.job == f.job for e in before):
                continue
            self.known[name] = [*before, Episode(f.time, f.job, f.what, f.part, bears, size)][-NAMED:]
            self.serials |= {n: serials[n] for n in (name, f.part) if serials.get(n)}

    def replaced(self, serials: Mapping[str, str]) -> bool:
        """Forget the parts of which another serial number is told now, and what machines failed by them; say whether there were any."""
        new = {name for name, old in self.serials.items() if serials.get(name, old) != old}
        for name in new:
            self.serials[name] = serials[name]
            self.known.pop(name, None)
            for counts in (c for kinds in self.weeks.values() for c in kinds.values()):
                counts.forget([name])
        if new:
            self._keep(lambda e: e.part not in new)
        return bool(new)

    def forget(self, now: int) -> None:
        """Forget what is older than 28 days."""
        self.weeks = {week: kinds for week, kinds in self.weeks.items() if week > now // WEEK - WEEKS - 1}
        self._keep(lambda e: e.time > now - WEEKS * WEEK)
        parts = {*self.known, *(e.part for some in self.known.values() for e in some)}
        self.serials = {name: serial for name, serial in self.serials.items() if name in parts}

    def _keep(self, kept: Callable[[Episode], bool]) -> None:
        self.known = {name: left for name, some in self.known.items() if (left := [e for e in some if kept(e)])}

    def whole(self, kind: str, now: int) -> tuple[Recurrence, Array]:
        """Return hours and failures of a kind in 28 days, and how many jobs each began; of the oldest week the share that lies in them."""
        whole, jobs = Recurrence(), np.zeros(0)
        for week, kinds in sorted(self.weeks.items()):
            share = min(max((week + 1) * WEEK - now + WEEKS * WEEK, 0) / WEEK, 1.0)
            if kind in kinds and share > 0:
                at = whole.places(list(kinds[kind].names))
                whole.hours[:, at] += share * kinds[kind].hours
                jobs = np.concatenate([jobs, np.zeros(len(whole.names) - len(jobs))])
                jobs[at] += share * kinds[kind].episodes.sum(axis=0)
        for name, some in self.known.items():
            for e in some if name in whole.names else ():
                whole.add_episode(whole.names[name], e.size, e.share)
        return whole, jobs

    def lemons(self, now: int, kind_of: Mapping[str, str], least: float) -> list[Finding]:
        """Return who has had far too many failures, by name."""
        often = {name: sum(e.share >= MOSTLY for e in some) for name, some in self.known.items()}
        wanted = sorted(name for name, n in often.items() if n >= JOBS and name in kind_of)
        wholes = {kind: (w := self.whole(kind, now), w[0].compared()) for kind in sorted({kind_of[name] for name in wanted})}
        found = {name: f for name in wanted if (f := self._judged(name, now, *wholes[kind_of[name]], least)) is not None}
        return [f for f in found.values() if not self._another(f.subject, found)]

    def _judged(self, name: str, now: int, whole: tuple[Recurrence, Array], compared: tuple[Array, Array], least: float) -> Finding | None:
        counts, jobs = whole
        at = counts.names.get(name)
        if at is None:
            return None
        observed, expected, doubt = counts.judge(at, compared)
        # It is looked at when it fails: so many times a week, each time at nearly the same four weeks.
        strength = -math.log(max(doubt, 1e-300)) - math.log(max(observed / WEEKS, 1.0))
        if strength < least or observed <= expected:
            return None
        why = self._words(name, counts, jobs, expected)
        last, peers = max(e.time for e in self.known[name]), int((jobs > 0).sum()) - 1
        found = Finding(now, name, "redundancy", "lemons", round(strength, 4), "lemon_node", "", "failures", round(observed, 4), round(expected, 4))
        return found._replace(n_peers=peers, since=last, why=why)

    def _words(self, name: str, counts: Recurrence, jobs: Array, expected: float) -> str:
        at, peers = counts.names[name], (jobs > 0).sum() - 1
        others = sum(e.share for n, some in self.known.items() if n != name and n in counts.names for e in some)
        share = 100 * others / max(float(jobs.sum() - jobs[at]), 1.0)
        few = [e for e in self.known[name] if e.share >= MOSTLY]
        which = "; ".join(_episode(e, name) for e in few[-TOLD:])
        of = f"{self.times(name)} of its {max(round(float(jobs[at])), len(few))} jobs in {7 * WEEKS} days, {expected:.1g} expected by its hours"
        more = "" if len(few) <= TOLD else f"the last {TOLD}: "
        return f"failed in {of}, its {peers} peers in {share:.2g} % of theirs: {more}{which}"

    def times(self, name: str) -> int:
        """Return in how many jobs a part or machine failed, as far as it was the one to blame."""
        return sum(e.share >= MOSTLY for e in self.known.get(name, ()))

    def _another(self, name: str, found: Mapping[str, Finding]) -> bool:
        """Say whether a part explains its machine, or a machine its part, of those found."""
        machine = name.partition("/")[0]
        if name != machine:
            return machine in found and found[name].value < ONE * found[machine].value
        return any(f.value >= ONE * found[name].value for other, f in found.items() if other.startswith(f"{machine}/"))

    def snapshot(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return the whole state."""
        kept = {f"{week}|{kind}#{key}": a for week, kinds in self.weeks.items() for kind, c in kinds.items() for key, a in c.snapshot().items()}
        small = {key: part for name, a in kept.items() for key, part in (squeezed(name, a) if a.dtype.kind == "f" else {name: a}).items()}
        weeks = [[week, list(kinds)] for week, kinds in self.weeks.items()]
        return small | {"known": np.array(json.dumps([weeks, self.known, self.serials]))}

    def restore(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Become what `snapshot` returned."""
        weeks, known, self.serials = json.loads(str(state["known"]))
        self.known = {name: [Episode(*e) for e in some] for name, some in known.items()}
        self.weeks = {week: {kind: _counts(f"{week}|{kind}#", state) for kind in kinds} for week, kinds in weeks}


def _counts(where: str, state: Mapping[str, np.ndarray[Any, Any]]) -> Recurrence:
    counts, names = Recurrence(), state[f"{where}names"]
    shape = len(counts.hours), len(json.loads(str(names)))
    arrays = {key: unsqueezed(f"{where}{key}", state, shape) for key in ("hours", "episodes")}
    counts.restore({"names": names, **arrays})
    return counts


def _episode(e: Episode, name: str) -> str:
    part = "" if e.part == name else f" of {e.part}"
    return f"{e.what}{part} in {e.job.replace(':', ' ')} on {datetime.fromtimestamp(e.time / 1e6, UTC):%m-%d %H:%M}"
