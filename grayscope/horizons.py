"""Horizons: running means over short and long spans, and how surprising the worst of them are.

A weak but lasting excess shows only in a long mean, a strong one already in a short one; so each cell keeps the mean of
its scaled residual over 4, 16, 64, 256, 1024 and 4096 ticks. What a mean is worth is read off the fleet: at each
horizon the spread of the means over all subjects is measured, and with it come autocorrelation and the offsets that
healthy parts keep for ever. Beyond two or three such spreads the tail is exponential, which is far heavier than normal.

Strength = -ln(expected false alarms of one subject in a week), over all metrics, horizons and looks; in a group of few, a share of it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grayscope import running
from grayscope.catalogue import Metric
from grayscope.columns import Columns, Field, Memory
from grayscope.crowd import CROWD, Cell, crowds, halved, machine, split, spread
from grayscope.detector import State
from grayscope.evidence import NOTHING, Crowd, Evidence, Finding
from grayscope.populations import Parted, Span, divided
from grayscope.restless import STEP, restless
from grayscope.standing import Standing
from grayscope.taillaw import MARKS
from grayscope.tails import JUMP, Tails
from grayscope.tick import Tick

WEEK = 7 * 24 * 3600 * 1_000_000
BLOCK = 16
FAST = (4, 16)
SLOW = (64, 256, 1024, 4096)
HORIZONS = FAST + SLOW
#: Where the tail leaves the normal curve, in robust sigmas: -ln p = z**2 / 2 up to here and its tangent beyond. Huber's
#: least favourable distribution: normal in the middle, exponential outside, as healthy parts of one fleet are. A mean of
#: many ticks is nearer to the normal law than one of few.
KNEES = {4: 2.0, 16: 2.25, 64: 2.5, 256: 2.75, 1024: 3.0, 4096: 3.0}
#: A mean above this share of where its terms are clipped has probably been held down by that.
CLIPPED = 0.5
#: A mean over a long span speaks only while that over the last 16 ticks is at least this share of it: what is over is no news.
STILL = 0.25
#: A group of fewer peers knows less of what is usual: what stands out of it counts by its share of so many.
ENOUGH = 7
#: Two populations are looked for in means over so many ticks and less; machines that they must lie on to be nobody's.
DIVIDED, MACHINES = 256, 3
#: Evidence is reported from so many nats below the configured level on, so that it can also be seen to fade.
MARGIN = 4.6


def threshold(false_pages: float) -> float:
    """Return the strength at which the configured rate of false pages per 1,000 subject-weeks is met.

    Examples
    --------
    >>> round(threshold(1.0), 2), round(threshold(1000.0), 2)
    (6.91, 0.0)
    """
    return math.log(1000.0 / false_pages)


def looks(horizon: int, period: int) -> float:
    """Return how many independent looks a week holds at a horizon (ticks) and period (microseconds).

    Examples
    --------
    >>> looks(60, 10_000_000)
    2016.0
    """
    return 2.0 * WEEK / (horizon * period)


def _accuses(metric: Metric | None) -> bool:
    """Say whether somebody may be called because of a metric alone: a condition only says why, and in a rack of four the slow fan is no secret."""
    return metric is not None and metric.side != "condition"


def peers(label: NDArray[np.int32], there: NDArray[np.bool_], s: int) -> int:
    """Return how many others of a subject's group have been there, whether or not they are at this moment.

    Examples
    --------
    >>> peers(np.int32([1, 1, 0, 1]), np.array([True, True, True, False]), 0)
    1
    """
    return int(np.count_nonzero(there & (label == label[s]))) - int(there[s])


def known_by(others: float, strength: float) -> float:
    """Return what evidence is worth beside so many others: it may fall below what is reported where they are enough.

    Examples
    --------
    >>> known_by(7, 10.0), known_by(3, 7.0), known_by(3, -2.0)
    (10.0, 3.0, -2.0)
    """
    return strength * min(others / ENOUGH, 1.0) if strength > 0 else strength


Explain = Callable[[Tick, Standing, int, int, float, int], Finding | None]


class Horizons:
    """The running means of one detector.

    Parameters
    ----------
    name : str
        Of the detector, for its findings.
    false_pages : float
        Configured false pages per 1,000 subject-weeks.
    longest : int
        Horizons above this many ticks are not watched.
    grouped : bool
        The residuals are those of peers: crowds of a group are one finding about it, and each has noise of its own.
    lasting : bool
        What is looked for lasts. Else no mean bridges a silence of the whole table that is longer than itself: what was strange
        for minutes in the evening and for minutes in the morning was not strange in between.
    """

    def __init__(self, name: str, false_pages: float, longest: int = HORIZONS[-1], grouped: bool = True, lasting: bool = True) -> None:
        self.name, self.grouped, self.lasting = name, grouped, lasting
        self.heard: dict[str, int] = {}  # table -> time of its last tick with a residual
        self.level = threshold(false_pages) - MARGIN
        self.horizons = tuple(h for h in HORIZONS if h <= longest)
        self.steps = np.array([h if h in FAST else h // BLOCK for h in self.horizons], np.float32)
        n = len(self.horizons)
        self.memory = Memory(
            {
                "mean": Field(np.float32, 0.0, (n,)), "seen": Field(np.int16, 0, (n,)), "peak": Field(np.float32, 0.0, (n,)),
                "block": Field(np.float32, 0.0), "filled": Field(np.int32, 0),
                "last": Field(np.float32, 0.0), "move": Field(np.float32, 0.0), "moves": Field(np.int32, 0), "restless": Field(np.float32, 0.0),
                "jumped": Field(np.int32, 0),
            }
        )  # fmt: skip
        self.tails = Tails(tuple(KNEES[h] for h in self.horizons))
        # The fleet's last spread of means: first guesses of an exact search, so no part of the state.
        self._guess: dict[tuple[str, int], NDArray[np.float32]] = {}

    def step(self, tick: Tick, standing: Standing, residual: NDArray[np.float32], scale: NDArray[np.float32], explain: Explain) -> Evidence:
        """Add one tick of residuals and return what stands out, each cell at its strongest horizon.

        Where a crowd of a peer group stands out, one finding about the group takes the place of all of them.

        Parameters
        ----------
        residual, scale : ndarray of float32, shape [M, S]
            Distances and their usual spread, on each metric's scale.
        explain : callable
            Makes the finding of a cell, or None where it is worth none.
        """
        columns = self.memory.of(tick)
        moved = standing.moved_cells()
        if moved is not None:
            for array in columns.arrays.values():
                array[..., moved] = 0
        close = columns.ticks % BLOCK == 0
        a = columns.arrays
        if not self.lasting:
            self._forget(tick, residual, a)
        self.tails.of(tick.table, tick.metrics)
        clip = self._clip(tick.table)
        if self.grouped:
            running.follow(standing.residual, scale, standing.doubted, a["last"], a["move"], a["moves"], STEP, JUMP, a["jumped"], self.tails.jumps[tick.table])
            if close:
                a["restless"] = restless(a["move"], a["moves"])
        running.accumulate(residual, scale, a["restless"], standing.sign, a["mean"], a["seen"], a["block"], a["filled"], len(FAST), close, self.steps, clip)
        if not (close or columns.ticks % 4 == 0 or columns.ticks < BLOCK):
            return NOTHING
        best = self._best(tick, standing, columns, close)
        parted = divided(tick, standing, (residual, scale, clip), a, self._spans(tick, close), self.level + MARGIN) if self.grouped else {}
        if not (best or parted):
            return NOTHING
        accused = crowds(best, tick, standing) if self.grouped else {}
        crowded = {cell: Parted(-math.inf, 0, who) for cell, who in accused.items()} | parted
        told = {cell: self._crowd(tick, standing, cell, crowded[cell], best, explain) for cell in sorted(crowded)}
        lost = {(m, s) for (m, g), crowd in told.items() if crowd.sure for s in crowded[m, g].members}
        found = (explain(tick, standing, m, s, level, h) for (m, s), (level, h) in sorted(best.items()) if (m, s) not in lost)
        return Evidence([*(c.finding for c in told.values() if c.sure), *(f for f in found if f is not None)], crowds=told.values())

    def _spans(self, tick: Tick, close: bool) -> list[Span]:
        """Return the horizons that have moved in which two populations are looked for."""
        horizons = [h for h in (self.horizons if close else FAST) if h <= DIVIDED]
        return [Span(h, max(3, int(self.steps[i]) // 2), math.log(len(self.horizons) * looks(h, tick.period))) for i, h in enumerate(horizons)]

    def _crowd(self, tick: Tick, standing: Standing, cell: Cell, parted: Parted, best: dict[Cell, tuple[float, int]], explain: Explain) -> Crowd:
        """Return what is told of a crowd: the finding about its group, and those about its members."""
        m, who = cell[0], parted.members
        strength = max(parted.strength, *(best.get((m, s), (-math.inf, 0))[0] for s in who))
        members = (explain(tick, standing, m, s, *best.get((m, s), (strength, parted.horizon))) for s in who)
        homes = [machine(tick, s) for s in who]
        alone = not any((m, s) in best for s in who)  # nobody stands out, only all of them together
        many = len(who) >= CROWD * int(standing.count[cell])  # once all are accused they are a crowd: so they are before
        shared = (many or alone) and spread(homes)
        sure = not parted.horizon or len(set(homes)) >= MACHINES or shared or (alone and halved(homes, self._others(tick, standing, cell, who)))
        weak = frozenset(tick.subjects[s] for s in who if (m, s) not in best)
        return Crowd(split(tick, standing, cell, who, strength, self.name), tuple(f for f in members if f is not None), sure, weak)

    @staticmethod
    def _others(tick: Tick, standing: Standing, cell: Cell, who: list[int]) -> list[str]:
        """Return the machines of the other members of a group."""
        rest = standing.label[standing.layout[cell[0]]] == cell[1]
        rest[who] = False
        return [machine(tick, s) for s in np.flatnonzero(rest).tolist()]

    def _forget(self, tick: Tick, residual: NDArray[np.float32], a: dict[str, NDArray[Any]]) -> None:
        """Begin anew at all horizons that are shorter than the silence of the whole table that has just ended."""
        if not np.isfinite(residual).any():
            return
        ticks = (tick.time - self.heard.get(tick.table, tick.time)) // tick.period
        self.heard[tick.table] = tick.time
        for i in (i for i, h in enumerate(self.horizons) if ticks > h):
            for name in ("mean", "seen", "peak"):
                a[name][i] = 0
        if ticks > BLOCK:
            a["block"][:], a["filled"][:] = 0, 0

    def _clip(self, table: str) -> NDArray[np.float32]:
        """Return at how many spreads values of each metric are clipped; only those beside peers are followed from tick to tick."""
        clip = self.tails.clips(table)
        return clip if self.grouped else np.full_like(clip, running.FAR)

    def _best(self, tick: Tick, standing: Standing, columns: Columns, close: bool) -> dict[tuple[int, int], tuple[float, int]]:
        """Return the strongest (strength, horizon) of every cell that stands out."""
        tests = max(int((standing.sign != 0).sum()) * len(self.horizons), 1)
        best: dict[tuple[int, int], tuple[float, int]] = {}
        for i, horizon in enumerate(self.horizons if close else FAST):
            chances = math.log(tests * looks(horizon, tick.period))
            laws = self.tails.laws(tick.table, i)
            mean, lately = columns.arrays["mean"][i], columns.arrays["mean"][min(i, len(FAST) - 1)]
            for m, s, z in self._outstanding(i, tick, chances, standing, columns):
                if lately[m, s] < STILL * mean[m, s]:
                    continue
                level = laws[m].surprise(z) - chances
                if self.grouped and _accuses(standing.metrics[m]):
                    level = known_by(standing.company(m, s, peers(standing.label[standing.layout[m]], columns.arrays["seen"][i, m] > 0, s)), level)
                if level > best.get((m, s), (-math.inf, 0))[0]:
                    best[m, s] = (level, horizon)
        return best

    def _outstanding(self, i: int, tick: Tick, chances: float, standing: Standing, columns: Columns) -> list[tuple[int, int, float]]:
        a, horizon, laws = columns.arrays, self.horizons[i], self.tails.laws(tick.table, i)
        size = standing.residual.size
        rows, cols, z = np.empty(size, np.int32), np.empty(size, np.int32), np.empty(size, np.float32)
        width = self._guess.get((tick.table, i))
        if width is None or len(width) != len(tick.metrics):
            width = self._guess[tick.table, i] = np.zeros(len(tick.metrics), np.float32)
        unit = 1.0 if horizon in FAST else float(BLOCK)
        least = max(3, int(self.steps[i]) // 2)
        cut = np.array([law.needed(self.level + chances) for law in laws], np.float32)
        learn = columns.ticks % horizon == 0  # a look is new when the horizon has passed once more
        n = running.outstanding(
            a["mean"][i], a["seen"][i], standing.sign, self.steps[i], least, unit, cut, width, rows, cols, z,
            learn, standing.doubted, a["peak"][i], MARKS, self.tails.seen[tick.table][i], standing.layout, standing.label,
        )  # fmt: skip
        if learn:
            self.tails.learned(tick.table, i)
        return list(zip(rows[:n].tolist(), cols[:n].tolist(), z[:n].tolist(), strict=True))

    def shown(self, tick: Tick, m: int, s: int, horizon: int, now: float) -> float:
        """Return the size of a finding in usual spreads: the running mean, or what is seen `now` where the mean was clipped."""
        mean = float(self.memory.tables[tick.table].arrays["mean"][self.horizons.index(horizon), m, s])
        clip = float(self._clip(tick.table)[m])
        return now if mean > CLIPPED * clip and now > mean else mean

    def snapshot(self) -> State:
        """Return the whole state."""
        heard = {} if self.lasting else {"#heard": np.array(json.dumps(self.heard))}
        return {**self.memory.snapshot(), **self.tails.snapshot(), **heard}

    def restore(self, state: State) -> None:
        """Become what `snapshot` returned."""
        self.memory.restore({k: v for k, v in state.items() if "|tail|" not in k and k != "#heard"})
        self.heard = dict(json.loads(str(state["#heard"]))) if "#heard" in state else {}
        self.tails.restore(state)
