"""Runs of a comparison of statistics: one kind of noise, one fleet, every statistic on the same residual at the same time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from calibration_noise import CHUNK, NOISES, SECOND, START, Source
from numpy.typing import NDArray
from statistics_rivals import NAMES as RIVALS
from statistics_rivals import Rivals, thresholds

from grayscope import assembly
from grayscope.batch import Batch
from grayscope.horizons import MARGIN, threshold
from grayscope.settings import Settings
from grayscope.tick import Tick

Floats = NDArray[np.float32]
METRIC, PERIOD = "compute_seconds", 180
#: Ticks: before anything is counted, with nobody ill, and after the onset. One subject of so many becomes slower.
LEARNED, QUIET, SLOW, ONE_OF = 256, 384, 600, 20
LOOKS = 7 * 24 * 3600 / PERIOD
#: What grayscope says: one detector on the very residual that the others take, and the three that watch it in one way or another.
OWN = ("grayscope: became", "grayscope: became, slower, stepped, lasting")
NAMES = (*RIVALS, *OWN)
FAULTS = ("3 %", "3 sigma")


@dataclass(frozen=True)
class Task:
    """One fleet.

    Parameters
    ----------
    noise : str
    tests : int
        Tests at once: subjects, each with one metric.
    rate : float
        False alarms promised per 1,000 subject-weeks.
    seed : int
    ticks : (int, int, int)
        Learned, quiet, slow.
    """

    noise: str
    tests: int
    rate: float
    seed: int
    ticks: tuple[int, int, int] = (LEARNED, QUIET, SLOW)

    @property
    def name(self) -> str:
        """Return it in a few words."""
        return f"{self.noise}, {self.tests:,} tests, seed {self.seed}"


@dataclass
class Seen:
    """What became of the statistics of one fleet; those of grayscope are -inf where it says nothing.

    Parameters
    ----------
    levels : tuple of float
        Thresholds by each statistic's own theory.
    highest : ndarray, shape [2, K, S']
        Highest value of each while nothing was wrong with a subject, before and after the onset of others' faults; S' has the subjects
        and, at the end, groups that were told of.
    early : list of int
        Subjects above the promised threshold before anything was counted (rivals do not watch then).
    path : dict of str to ndarray, shape [K, V, T]
        After the onset, of those that became slower, by how.
    weeks : (float, float)
        Subject-weeks counted, before and after.
    """

    task: Task
    levels: tuple[float, ...]
    highest: Floats
    early: list[int]
    path: dict[str, Floats]
    weeks: tuple[float, float]

    def promised(self, phases: slice = slice(None)) -> float:
        """Return how many false alarms were promised, over all or in some phase."""
        return sum(self.weeks[phases]) * self.task.rate / 1000

    def false(self, k: int, level: float, phases: slice = slice(None)) -> int:
        """Return on how many a statistic reached a level though nothing was wrong with them."""
        return int((self.highest[phases, k].max(axis=0) >= level).sum())

    def allowing(self, k: int, count: int, phases: slice = slice(None)) -> float:
        """Return the lowest level that at most so many reach; not below what grayscope reports at all."""
        values = np.sort(self.highest[phases, k].max(axis=0))[::-1]
        least = self.levels[k] - MARGIN if k >= len(RIVALS) else 0.0
        return max(float(np.nextafter(values[count], np.float32(np.inf))), least)

    def delays(self, k: int, level: float, fault: str) -> tuple[list[int], int]:
        """Return after how many looks those that were found were, and how many there were."""
        hit = self.path[fault][k] >= level
        return (hit.argmax(axis=1)[hit.any(axis=1)] + 1).tolist(), len(hit)


class Computing(Source):
    """Noise of one metric alone, the time of computing: there are as many tests as subjects."""

    def __init__(self, task: Task) -> None:
        super().__init__(next(n for n in NOISES if n.name == task.noise), task.tests, PERIOD, task.seed)
        self.state = self.state[:1]
        self.ticks = task.ticks
        self.ill = {fault: np.arange(i * ONE_OF + 7, task.tests, len(FAULTS) * ONE_OF) for i, fault in enumerate(FAULTS)}

    def rows(self) -> Iterator[Batch]:
        """Yield all rows; the ill are slow from the onset on."""
        ln = np.zeros(len(self.names))
        ln[self.ill["3 %"]], ln[self.ill["3 sigma"]] = np.log(1.03), 3 * self.sigma()
        ticks, onset = sum(self.ticks), sum(self.ticks[:2])
        for first in range(0, ticks, CHUNK):
            times = range(first, min(first + CHUNK, ticks))
            values = np.stack([self._lost(self._taken(t, ln * (t >= onset))) for t in times]).astype(np.float32)
            yield Batch("rank", START + self.period * SECOND * (1 + np.array(times, np.int64)), self.names, (METRIC,), values)

    def _taken(self, t: int, ln: NDArray[np.float64]) -> NDArray[np.float64]:
        noise = self._step()
        return np.exp(self.pace + self.offset[0] + self._day(t) + self.own * noise[0] + ln)[None]


def levels(task: Task) -> tuple[float, ...]:
    """Return the threshold of every statistic for the promise."""
    return *thresholds(1000 / task.rate * LOOKS), *[threshold(task.rate)] * len(OWN)


def do(task: Task) -> Seen:
    """Watch one fleet with everything."""
    watch = Watch(task)
    align = watch.engine.align
    for message in (watch.source.roster(), *watch.source.rows()):
        for tick in align.step(message):
            watch.look(tick)
    for tick in align.flush():
        watch.look(tick)
    return watch.seen()


class Watch:
    """One fleet under watch; columns of what is kept are in the order of the source's names."""

    def __init__(self, task: Task) -> None:
        self.task, self.source, self.levels = task, Computing(task), levels(task)
        self.engine = assembly.engine(Settings(false_pages_per_1000_gpu_weeks=task.rate), periods={"rank": PERIOD * SECOND})
        named = {type(d).__name__.lower(): d for d in self.engine.detectors}
        self.own = {d: named[d] for d in ("became", "slower", "stepped", "lasting")}
        self.index = {name: i for i, name in enumerate(self.source.names)}
        self.highest = np.full((2, len(NAMES), task.tests), -np.inf, np.float32)
        self.groups: dict[str, Floats] = {}
        self.early: list[set[str]] = [set() for _ in OWN]
        self.path = {f: np.full((len(NAMES), len(ill), task.ticks[2]), -np.inf, np.float32) for f, ill in self.source.ill.items()}
        self.rivals, self.place = Rivals(np.zeros(1, np.int64)), np.zeros(0, np.int64)
        self.tick = -1

    def look(self, tick: Tick) -> None:
        """Compare one tick with peers and past, as the engine does, and show it to all."""
        self.tick += 1
        standing = self.engine.compared(tick)
        if not self.tick:
            self.place, self.rivals = np.array([self.index[name] for name in tick.subjects]), Rivals(standing.label[standing.layout[0]])
        z = (standing.past[0] / standing.noise[0]).astype(np.float64)
        learned, quiet, _ = self.task.ticks
        now = np.full_like(self.highest[0], -np.inf)
        if self.tick < learned:
            self.rivals.learn(z)
        else:
            now[: len(RIVALS), self.place] = self.rivals.step(z)
        for name, detector in self.own.items():
            for finding in detector.step(tick, standing):
                for k in range(0 if name == "became" else 1, len(OWN)):
                    self._note(k, finding.subject, finding.strength, now)
        since = self.tick - learned - quiet
        if since >= 0:
            for fault, ill in self.source.ill.items():
                self.path[fault][:, :, since] = now[:, ill]
                now[:, ill] = -np.inf
        if self.tick >= learned:
            np.maximum(self.highest[int(since >= 0)], now, out=self.highest[int(since >= 0)])

    def _note(self, own: int, subject: str, strength: float, now: Floats) -> None:
        """Take note of a finding: of a subject, of a whole group, or too early to count."""
        k, (learned, quiet, _) = len(RIVALS) + own, self.task.ticks
        if self.tick < learned:
            self.early[own] |= {subject} if strength >= self.levels[k] else set()
        elif subject in self.index:
            now[k, self.index[subject]] = max(now[k, self.index[subject]], strength)
        else:
            row = self.groups.setdefault(subject, np.full((2, len(NAMES)), -np.inf, np.float32))[int(self.tick >= learned + quiet)]
            row[k] = max(row[k], strength)

    def seen(self) -> Seen:
        """Return what became of all."""
        _, quiet, slow = self.task.ticks
        well = self.task.tests - sum(map(len, self.source.ill.values()))
        highest = np.concatenate([self.highest, *(g[:, :, None] for g in self.groups.values())], axis=2)
        early = [0] * len(RIVALS) + [len(e) for e in self.early]
        return Seen(self.task, self.levels, highest, early, self.path, (self.task.tests * quiet / LOOKS, well * slow / LOOKS))
