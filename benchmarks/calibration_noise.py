"""Hostile noise: healthy parts as a statistician would draw them who wishes a detector ill; and, on demand, slow ones among them.

Every stream is autocorrelated (AR(1)); innovations may be heavy-tailed, variances unequal, offsets permanent, groups tiny or huge, days
warmer than nights and rows missing. The same seed gives the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from grayscope.batch import Batch
from grayscope.roster import RosterRow

Floats = NDArray[np.float64]
#: First event time, and a second, in microseconds.
START, SECOND = 1_700_000_000_000_000, 1_000_000
#: Ticks that are made at once.
CHUNK = 60
DAY = 86_400.0
#: GPUs of a node, and roles (pipeline stages) of a job, each with a pace of its own.
GPUS, ROLES = 8, 2
#: Chance that a part falls silent at a tick, and for how many ticks it does on average.
SILENT, SILENCE = 5e-4, 30


@dataclass(frozen=True)
class Noise:
    """One kind of noise.

    Parameters
    ----------
    name, note : str
    table : str
        ``rank`` (times of computing and of collectives) or ``gpu`` (clock, temperature and the power that loads them).
    size : float
        Standard deviation of a part's noise, as a share of its value.
    rho : float
        Autocorrelation from tick to tick.
    heavy : bool
        Student's t with three degrees of freedom instead of normal innovations.
    uneven : float
        Standard deviation of ln of a part's own noise.
    offsets : float
        Standard deviation of ln of what a part always takes.
    members : (int, int)
        Smallest and largest peer group.
    wave : float
        Amplitude of the day, as a share; parts follow it 10 % more or less than their peers.
    missing : float
        Share of rows that are lost one by one; with any, parts also fall silent for some time now and then.
    """

    name: str
    note: str
    table: str = "rank"
    size: float = 0.02
    rho: float = 0.6
    heavy: bool = False
    uneven: float = 0.0
    offsets: float = 0.01
    members: tuple[int, int] = (64, 64)
    wave: float = 0.0
    missing: float = 0.0


WORST = {"rho": 0.9, "heavy": True, "uneven": 0.5, "offsets": 0.08, "wave": 0.1, "missing": 0.05}
NOISES = (
    Noise("calm", "AR(1) 0.3, normal", rho=0.3),
    Noise("slow", "AR(1) 0.9, normal", rho=0.9),
    Noise("heavy", "Student-t(3) innovations", heavy=True),
    Noise("uneven", "own variance log-normal, sigma 0.7", uneven=0.7),
    Noise("offsets", "persistent offsets of 8 %", offsets=0.08),
    Noise("small", "groups of 4 to 7, offsets of 8 %", members=(4, 7), offsets=0.08),
    Noise("large", "one group of about 1,000", members=(1000, 1000)),
    Noise("days", "a wave of 10 % over the day", wave=0.1),
    Noise("missing", "10 % of rows lost, silences of half an hour", missing=0.1),
    Noise("worst", "AR(1) 0.9, t(3), uneven, offsets of 8 %, wave, rows lost, groups of 4 to 96", members=(4, 96), **WORST),  # type: ignore[arg-type]
    Noise("gpu", "clock, temperature under power; AR(1) 0.9", table="gpu", rho=0.9),
    Noise("gpu worst", "the same with all that `worst` has", table="gpu", members=(4, 96), **WORST),  # type: ignore[arg-type]
)


class Source:
    """Parts with one kind of noise.

    Parameters
    ----------
    noise : Noise
    subjects, period, seed : int
        Period in seconds.
    """

    def __init__(self, noise: Noise, subjects: int, period: int, seed: int) -> None:
        self.noise, self.period = noise, period
        self.rng = np.random.default_rng([seed, *noise.name.encode()])
        self.group = _groups(noise.members, subjects, self.rng)
        self.job = self.group // ROLES
        self.gpus = tuple(f"n{i // GPUS:04d}/gpu{i % GPUS}" for i in range(subjects))
        place = np.arange(subjects) - np.searchsorted(self.job, self.job)
        self.ranks = tuple(f"job:{j}/r{i:04d}" for j, i in zip(self.job.tolist(), place.tolist(), strict=True))
        self.names = self.ranks if noise.table == "rank" else self.gpus
        normal = self.rng.standard_normal
        self.own = noise.size * np.exp(noise.uneven * normal(subjects))
        self.offset = noise.offsets * normal((2, subjects))
        self.follows = 1 + 0.1 * normal(subjects)
        self.pace = np.log(2.0) + 0.5 * normal(int(self.group.max()) + 1)[self.group]
        self.state = normal((3, subjects))
        self.silent = np.zeros(subjects, np.int64)

    def roster(self) -> tuple[RosterRow, ...]:
        """Return who they are; what a rank is beside, its GPU, is part of its keys."""
        keys = [
            {"job": f"job:{j}", "role": f"stage{g % ROLES}", "node": gpu.partition("/")[0], "sku": "A", "slot": str(i % GPUS)}
            for i, (gpu, g, j) in enumerate(zip(self.gpus, self.group.tolist(), self.job.tolist(), strict=True))
        ]
        if self.noise.table == "gpu":
            return tuple(RosterRow(gpu, "gpu", keys=k) for gpu, k in zip(self.gpus, keys, strict=True))
        return tuple(RosterRow(rank, "rank", keys={**k, "gpu": gpu}) for rank, gpu, k in zip(self.ranks, self.gpus, keys, strict=True))

    def sigma(self) -> float:
        """Return the robust spread (1.4826 times the median size) of the noise of all parts about what each usually takes, on the logarithm."""
        drawn = np.random.default_rng(0)
        state, seen = np.zeros(len(self.own)), []
        for _ in range(200):
            state = self._next(state, drawn)
            seen.append(np.abs(state * self.own))
        return float(1.4826 * np.median(seen[100:]))

    def batches(self, ticks: int, factor: Floats | None = None, onset: int = 0) -> Iterator[Batch]:
        """Yield the rows; parts of a `factor` [S] other than 1 take so many times as long from tick `onset` on."""
        ln = np.zeros(len(self.names)) if factor is None else np.log(factor)
        names = ("collective_duration_seconds", "compute_seconds")
        if self.noise.table == "gpu":
            names = ('gpu_clock_hertz{domain="sm"}', "gpu_power_watts", 'gpu_temperature_celsius{sensor="gpu"}')  # type: ignore[assignment]
        make = self._rank if self.noise.table == "rank" else self._gpu
        for first in range(0, ticks, CHUNK):
            last = min(first + CHUNK, ticks)
            values = np.stack([self._lost(np.stack(make(t, ln * (t >= onset)))) for t in range(first, last)]).astype(np.float32)
            yield Batch(self.noise.table, START + self.period * SECOND * np.arange(first + 1, last + 1, dtype=np.int64), self.names, names, values)

    def _rank(self, t: int, ln: Floats) -> tuple[Floats, Floats]:
        noise = self._step()
        compute = np.exp(self.pace + self.offset[0] + self._day(t) + self.own * noise[0] + ln)
        last = np.full(int(self.job.max()) + 1, 0.0)
        np.maximum.at(last, self.job, compute)
        # A collective ends for all when the last one has come: the time of each contains the waiting for it.
        return last[self.job] - compute + 0.1 * np.exp(self.own * noise[1]), compute

    def _gpu(self, t: int, ln: Floats) -> tuple[Floats, Floats, Floats]:
        noise = self._step()
        power = 400 * np.exp(self._day(t) + 0.05 * noise[0])
        clock = 1.7e9 * np.exp(self.offset[0] - self.own * noise[1] - ln)
        return clock, power, 25 + 0.08 * power * np.exp(self.offset[1]) + 40 * self.own * noise[2]

    def _step(self) -> Floats:
        self.state = self._next(self.state, self.rng)
        return self.state

    def _next(self, state: Floats, rng: np.random.Generator) -> Floats:
        rho = self.noise.rho
        drawn = rng.standard_t(3, state.shape) / np.sqrt(3) if self.noise.heavy else rng.standard_normal(state.shape)
        return rho * state + np.sqrt(1 - rho * rho) * drawn

    def _day(self, t: int) -> Floats:
        return self.noise.wave * np.sin(2 * np.pi * t * self.period / DAY) * self.follows

    def _lost(self, values: Floats) -> Floats:
        if self.noise.missing:
            starts = self.rng.random(len(self.names)) < SILENT
            self.silent = np.where(starts, self.rng.geometric(1 / SILENCE, len(self.names)), np.maximum(self.silent - 1, 0))
            values[:, (self.silent > 0) | (self.rng.random(len(self.names)) < self.noise.missing)] = np.nan
        return values


def _groups(members: tuple[int, int], subjects: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the peer group of each part, numbered from 0; what is left at the end joins the last one."""
    sizes: list[int] = []
    while subjects - sum(sizes) >= members[0]:
        sizes.append(min(int(rng.integers(members[0], members[1] + 1)), subjects - sum(sizes)))
    sizes[-1] += subjects - sum(sizes)
    return np.repeat(np.arange(len(sizes)), sizes)
