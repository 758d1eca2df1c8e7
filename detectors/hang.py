"""Hang: everybody busy and nobody moving; the one that did not enter what the others wait in is the suspect.

Two routes. By metrics: nearly all GPUs of a job look fully active while they do no work (tensor and SM activity, memory
traffic, power far below what is usual for each of them) and no rank moves on; the one that does not look like the others,
else the one that fell silent first, did not enter. By events: the Flight Recorder's dumps name the ranks.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from grayscope.columns import Field, Memory
from grayscope.evidence import NOTHING, Evidence, Finding
from grayscope.standing import Standing
from grayscope.tick import Tick

SECOND = 1_000_000
#: Rules, not estimates.
CERTAIN = 50.0
#: A metric below this share of what is usual for the part is as good as idle; a spinning kernel keeps a few SMs and some power.
IDLE = {"gpu_tensor_active_ratio": 0.1, "gpu_dram_active_ratio": 0.3, "gpu_sm_active_ratio": 0.5, "gpu_power_watts": 0.6}
ACTIVE, SPINNING = "gpu_active_ratio", 0.9
#: Ticks before a part's usual work is known; how fast it follows up and down.
WARM, UP, DOWN = 60, 0.1, 0.01
#: Parts a job must have; the share that must spin, and that may be odd.
PARTS, MOST, ODD = 4, 0.75, 0.25
#: Ticks in which all that will spin do.
EARLY = 3
#: A job that paused before, by itself, may pause so many times as long; at most that long (checkpoints, evaluations).
TIMES, LONGEST = 2, 900 * SECOND
#: What dumps say about ranks, how long it holds, and every how many ticks it is told again.
TOLD, VALID, AGAIN = ("never_entered", "holds_up", "inseparable"), 7200 * SECOND, 8
#: Share of the jobs that stand still at once to be the site's matter.
SITE = 0.75


@dataclass(slots=True)
class Job:
    """One job: since when it stands still (0: it does not), its longest pause that ended by itself, and when any rank moved last.

    `first` are those who stopped before the others, `odd` those who never spun with the others while it stood still.
    """

    still: int = 0
    last: int = 0
    longest: int = 0
    moved: int = 0
    first: list[str] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Told:
    """What a dump said about a rank or a job."""

    table: str
    time: int
    text: str


class Hang:
    """Watch jobs that look busy and do not move; stopped jobs, and phases in which anything moves, are none.

    Parameters
    ----------
    false_pages : float
        Unused: a hang is a rule.
    patience_s : float
        Seconds that a job must stand still; longer for one that is used to pauses.
    """

    rival: ClassVar[bool] = False

    def __init__(self, *, false_pages: float = 1.0, patience_s: float = 180.0) -> None:
        del false_pages
        self.patience = round(patience_s * SECOND)
        self.gpus = Memory({"usual": Field(np.float32, np.nan), "known": Field(np.int32, 0, per_metric=False)})
        self.ranks = Memory({"value": Field(np.float32, np.nan), "moved": Field(np.int64, 0, per_metric=False)})
        self.jobs: dict[str, Job] = {}
        self.told: dict[str, Told] = {}
        self.ticks: dict[str, int] = {}
        self._members: dict[str, tuple[object, object, dict[str, NDArray[np.intp]]]] = {}

    def step(self, tick: Tick, standing: Standing) -> Evidence:
        """Return who holds up a job that stands still."""
        del standing
        self.ticks[tick.table] = self.ticks.get(tick.table, 0) + 1
        findings = list(self._dumps(tick))
        if tick.table == "rank":
            self._move(tick)
        elif tick.table == "gpu" and ACTIVE in tick.metrics:
            findings += self._stand(tick)
        return Evidence(findings) if findings else NOTHING

    # -- by events --------------------------------------------------------------------------------------------------

    def _dumps(self, tick: Tick) -> Iterator[Finding]:
        news = False
        for event in tick.events:
            old = self.told.get(event.subject)
            if event.source == "nccl" and event.code in TOLD and (old is None or event.time > old.time):
                row = tick.roster.rows.get(event.subject)
                table = row.table if row is not None and row.table in self.ticks else tick.table
                self.told[event.subject] = Told(table, event.time, "".join(c if c.isprintable() else " " for c in event.text)[:300])
                news = True
        if news or self.ticks[tick.table] % AGAIN == 0:
            self.told = {s: t for s, t in self.told.items() if tick.time - t.time <= VALID and not self._resumed(s, t, tick)}
            for subject, told in sorted(self.told.items()):
                if told.table == tick.table:
                    text = told.text or "did not enter the collective that others wait in"
                    yield Finding(tick.time, subject, "service", "hang", CERTAIN, "hang", metric="dump", since=told.time, why=text)

    def _resumed(self, subject: str, told: Told, tick: Tick) -> bool:
        """Say whether the job has moved on since, long enough after to be no last gasp."""
        job = self.jobs.get(_job(tick, subject))
        return job is not None and job.moved > told.time + self.patience

    # -- by metrics -------------------------------------------------------------------------------------------------

    def _move(self, tick: Tick) -> None:
        """Note which ranks moved on: their sequence grew, else any value of theirs is new."""
        columns = self.ranks.of(tick)
        value, moved = columns.arrays["value"], columns.arrays["moved"]
        came = np.isfinite(tick.values)
        new = (came & (tick.values != value)).any(axis=0)
        if "collective_sequence" in tick.metrics:
            grown = tick.values[tick.metrics.index("collective_sequence")]
            new = np.where(np.isfinite(grown), grown > 0, new)
        value[came] = tick.values[came]
        moved[new] = tick.time
        for name, members in self._of_jobs(tick).items():
            mine = members[moved[members] > 0]
            if len(mine):
                job = self.jobs.setdefault(name, Job())
                job.moved, job.last = max(job.moved, int(moved[mine].max())), tick.time
                job.first = _first(tick, mine, moved)

    def _stand(self, tick: Tick) -> Iterator[Finding]:
        """Yield the suspects of every job that stands still for too long."""
        idle, active = self._idle(tick)
        here, hung = self._of_jobs(tick), {}
        for name, members in here.items():
            mine = members[np.isfinite(active[members])]
            if len(mine) >= PARTS:
                spins = idle[mine] & (active[mine] >= SPINNING)
                if self._too_long(self.jobs.setdefault(name, Job()), mine, spins, tick):
                    hung[name] = (mine, spins)
        self.jobs = {n: j for n, j in self.jobs.items() if tick.time - j.last < 86_400 * SECOND}
        if len(hung) >= max(2.0, SITE * len(here)):
            text = f"{len(hung)} of {len(here)} jobs look busy and do not move, all at once"
            yield Finding(tick.time, "site", "coverage", "hang", CERTAIN, "hang", metric=ACTIVE, since=min(self.jobs[n].still for n in hung), why=text)
            return
        for name, (mine, spins) in hung.items():
            yield from self._accused(tick, name, mine, spins)

    def _of_jobs(self, tick: Tick) -> dict[str, NDArray[np.intp]]:
        """Return the tick's subjects by job; who has none is left out."""
        known = self._members.get(tick.table)
        if known is None or known[0] is not tick.subjects or known[1] is not tick.roster:
            found: dict[str, list[int]] = {}
            for s, (job, subject) in enumerate(zip(tick.roster.column(tick.subjects, "job"), tick.subjects, strict=True)):
                name = (job or subject.partition("/")[0]).removeprefix("job:")
                if name and not name.startswith("node:"):
                    found.setdefault(name, []).append(s)
            known = self._members[tick.table] = (tick.subjects, tick.roster, {n: np.array(found[n], np.intp) for n in sorted(found)})
        return known[2]

    def _idle(self, tick: Tick) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        """Return which parts do as good as nothing although their usual work is known, and how active they look; learn the usual."""
        columns = self.gpus.of(tick)
        usual, known = columns.arrays["usual"], columns.arrays["known"]
        active = tick.values[tick.metrics.index(ACTIVE)]
        idle, asked = known >= WARM, np.zeros(len(known), bool)
        for metric, share in IDLE.items():
            if metric in tick.metrics:
                m = tick.metrics.index(metric)
                x, u = tick.values[m], usual[m]
                came = np.isfinite(x)
                low = x < share * u
                idle, asked = idle & (low | ~came), asked | came
                rate = np.where(x > u, np.float32(UP), np.float32(DOWN))
                usual[m] = np.where(came & np.isnan(u), x, np.where(came & ~low & (active > 0.5), u + rate * (x - u), u))
        idle &= asked
        known += (asked & ~idle & (active > 0.5)).astype(np.int32)
        return idle, active

    def _too_long(self, job: Job, mine: NDArray[np.intp], spins: NDArray[np.bool_], tick: Tick) -> bool:
        job.last = tick.time
        still = int(spins.sum()) >= MOST * len(spins) and job.moved <= (job.still or tick.time - tick.period)
        if still:
            job.still = job.still or tick.time - tick.period
            self._differ(job, mine, spins, tick)
            return tick.time - job.still >= self._patience(job)
        if job.still and 2 * int(spins.sum()) < len(spins):
            pause = tick.time - tick.period - job.still
            job.longest = max(job.longest, pause) if pause < self._patience(job) else job.longest
        job.still, job.odd = 0, []
        return False

    def _differ(self, job: Job, mine: NDArray[np.intp], spins: NDArray[np.bool_], tick: Tick) -> None:
        """Keep who has not spun since the job stood still; who drops out later, or comes back from elsewhere, is another matter."""
        spinning = {tick.subjects[i] for i in mine[spins].tolist()} if job.odd else set()
        job.odd = [s for s in job.odd if s not in spinning]
        if tick.time - job.still <= EARLY * tick.period:
            job.odd = sorted({*job.odd, *(tick.subjects[i] for i in mine[~spins].tolist())})

    def _patience(self, job: Job) -> int:
        return max(self.patience, min(TIMES * job.longest, LONGEST))

    def _accused(self, tick: Tick, name: str, mine: NDArray[np.intp], spins: NDArray[np.bool_]) -> Iterator[Finding]:
        job = self.jobs[name]
        odd = job.odd
        seconds = (tick.time - job.still) // SECOND
        story = f"{int(spins.sum())} of {len(spins)} GPUs of job {name} look busy and do nothing for {seconds} s"
        found = Finding(tick.time, "", "service", "hang", CERTAIN, "hang", metric=ACTIVE, n_peers=len(mine) - 1, since=job.still)
        if 0 < len(odd) <= ODD * len(mine):
            yield from (found._replace(subject=s, why=f"{story}; this one does not spin with them: it did not enter") for s in odd)
        elif job.first and not odd:
            yield from (found._replace(subject=s, why=f"{story}; its rank was the first to fall silent") for s in job.first)
        else:
            yield found._replace(subject=f"job:{name}", side="coverage", why=f"{story}; nothing tells who did not enter: dump the Flight Recorder")

    def snapshot(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return the whole state."""
        parts = {f"gpus|{k}": v for k, v in self.gpus.snapshot().items()} | {f"ranks|{k}": v for k, v in self.ranks.snapshot().items()}
        rest = [{n: astuple(j) for n, j in self.jobs.items()}, {s: astuple(t) for s, t in self.told.items()}, self.ticks]
        return {**parts, "rest": np.array(json.dumps(rest))}

    def restore(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Become what `snapshot` returned."""
        for name, memory in (("gpus|", self.gpus), ("ranks|", self.ranks)):
            memory.restore({k.removeprefix(name): v for k, v in state.items() if k.startswith(name)})
        jobs, told, self.ticks = json.loads(str(state["rest"]))
        self.jobs, self.told = {n: Job(*j) for n, j in jobs.items()}, {s: Told(*t) for s, t in told.items()}


def _job(tick: Tick, subject: str) -> str:
    """Return the job's name, ``""`` where unknown; a job's own subject is the job."""
    return (tick.roster.key(subject, "job") or subject.partition("/")[0]).removeprefix("job:")


def _first(tick: Tick, mine: NDArray[np.intp], moved: NDArray[np.int64]) -> list[str]:
    """Return the few ranks, as their GPUs, that stopped clearly before the others did."""
    times = moved[mine]
    early = mine[times <= times.min() + tick.period // 2]
    rest = times[times > times.min() + tick.period // 2]
    if not len(rest) or len(early) > ODD * len(mine) or int(rest.min()) - int(times.min()) < 2 * tick.period:
        return []
    return [tick.roster.key(s, "gpu") or s for s in (tick.subjects[i] for i in early.tolist())]
