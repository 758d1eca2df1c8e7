"""Stretches: what ranks take in blocks of a few ticks, beside their own past, and whose last blocks stand out of all others'.

The detectors that look for a change have a plan that says how the blocks are read (`Plan.read`); how often that happens by chance is learned from
the fleet, as in `grayscope.horizons`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from grayscope import running
from grayscope.catalogue import Metric
from grayscope.columns import Columns, Field, Memory
from grayscope.crowd import crowds, split
from grayscope.evidence import NOTHING, Crowd, Evidence, Finding
from grayscope.horizons import known_by, looks, peers, threshold
from grayscope.standing import Standing
from grayscope.taillaw import MARKS
from grayscope.tails import Tails
from grayscope.tick import Tick
from grayscope.wording import why

Floats = NDArray[np.float32]
Rows = NDArray[np.intp]
#: Blocks over which a cell's own unrest is learned, and from which on it is believed.
LONG, KNOWN = 512, 32
#: Looks overlap: four of them within a span see so many more excursions than two.
OFTEN = 1.35


class Reading(NamedTuple):
    """What the blocks say, all [rows, S].

    Parameters
    ----------
    size : ndarray
        The change, so that noise without a memory has a spread of one; NaN where too little came.
    before, now : ndarray
        What it was and is, in usual spreads from the own past.
    news : ndarray of bool
        Whether it is worth telling.
    """

    size: Floats
    before: Floats
    now: Floats
    news: NDArray[np.bool_]


class Change(NamedTuple):
    """One that stands out: its strength, and what it was and is, in usual spreads from the own past."""

    strength: float
    before: float
    now: float


@dataclass(frozen=True)
class Plan:
    """What a detector looks at.

    Parameters
    ----------
    block : int
        Ticks.
    spans : tuple of int
        Blocks that are read at once; one look each.
    kept, own : int
        Blocks that are kept, and over how many a cell's unrest is measured.
    knees : tuple of float
        Where the tails leave the normal curve, one per span.
    clip : float
        Spreads at which a single value is clipped.
    read : callable
        ``read(blocks, span)`` with blocks [kept, rows, S], the youngest last, gives a `Reading`.
    beside, alone : str
        What the change is measured by, in words: beside peers, and where there are none; ``""``: then nothing is said.
    """

    block: int
    spans: tuple[int, ...]
    kept: int
    own: int
    knees: tuple[float, ...]
    clip: float
    read: Callable[[Floats, int], Reading]
    beside: str
    alone: str = ""


class Stretches:
    """The blocks of one detector, which is called as its class.

    Parameters
    ----------
    false_pages : float
        Accepted false pages per 1,000 subject-weeks.
    """

    rival: ClassVar[bool] = False
    #: Where jobs tell what they take.
    tables: ClassVar[frozenset[str]] = frozenset({"rank"})
    plan: ClassVar[Plan]

    def __init__(self, *, false_pages: float = 1.0) -> None:
        plan, self.name, self.level = self.plan, type(self).__name__.lower(), threshold(false_pages)
        self.memory = Memory(
            {
                "blocks": Field(np.float32, np.nan, (plan.kept,)), "sum": Field(np.float32, 0.0), "came": Field(np.int32, 0),
                "unrest": Field(np.float32, 0.0), "seen": Field(np.int32, 0), "peak": Field(np.float32, 0.0, (len(plan.spans),)),
            }
        )  # fmt: skip
        self.tails = Tails(plan.knees)

    def step(self, tick: Tick, standing: Standing) -> Evidence:
        """Return what stands out once a block is full; where a crowd of a peer group does, its group, with its members."""
        rows = np.array([m for m, metric in enumerate(standing.metrics) if _watched(metric)] if tick.table in self.tables else (), np.intp)
        if not len(rows):
            return NOTHING
        columns = self.memory.of(replace(tick, metrics=tuple(tick.metrics[m] for m in rows)))
        moved = standing.moved_cells()
        if moved is not None:
            for name, array in columns.arrays.items():
                array[..., moved[rows]] = columns.fields[name].fill
        a = columns.arrays
        with np.errstate(invalid="ignore", divide="ignore"):
            far = np.clip(standing.past[rows] / standing.noise[rows], -self.plan.clip, self.plan.clip)
        there = np.isfinite(far)
        a["sum"] += np.where(there, far, np.float32(0))
        a["came"] += there
        if columns.ticks % self.plan.block:
            return NOTHING
        self._close(a)
        best = self._best(tick, standing, columns, rows)
        self._learn(a, standing.doubted)
        return self._told(tick, standing, best) if best else NOTHING

    def _told(self, tick: Tick, standing: Standing, best: dict[tuple[int, int], Change]) -> Evidence:
        crowded = crowds(best, tick, standing)
        lost = {(m, s) for (m, _), members in crowded.items() for s in members}
        groups = []
        for cell, members in sorted(crowded.items()):
            found = (self._finding(tick, standing, cell[0], s, best[cell[0], s]) for s in members)
            shared = split(tick, standing, cell, members, max(best[cell[0], s].strength for s in members), self.name)
            groups.append(Crowd(shared, tuple(f for f in found if f is not None)))
        alone = (self._finding(tick, standing, m, s, change) for (m, s), change in sorted(best.items()) if (m, s) not in lost)
        return Evidence([*(c.finding for c in groups), *(f for f in alone if f is not None)], crowds=groups)

    def _finding(self, tick: Tick, standing: Standing, m: int, s: int, change: Change) -> Finding | None:
        metric, noise, alone = standing.metrics[m], float(standing.noise[m, s]), standing.alone(m, s)
        assert metric is not None
        beside = self.plan.alone if alone else self.plan.beside
        if not beside:
            return None
        usual = float(standing.residual[m, s]) - float(standing.past[m, s])
        usual = usual if math.isfinite(usual) else 0.0
        found = Finding(
            tick.time, tick.subjects[s], "condition" if alone else metric.side, self.name, round(change.strength, 4), metric.mode or "became_slower",
            metric.mechanism or "", tick.metrics[m], standing.effect(m, s, usual + noise * change.now), standing.effect(m, s, usual + noise * change.before),
            standing.peers(m, s),
        )  # fmt: skip
        return found._replace(why=why(found, metric.unit, beside))

    def _close(self, a: dict[str, NDArray[Any]]) -> None:
        """Close a block: its mean is the youngest of those that are kept, NaN where less than half of its ticks came."""
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.where(2 * a["came"] >= self.plan.block, a["sum"] / a["came"], np.float32(np.nan))
        a["blocks"][:-1] = a["blocks"][1:]
        a["blocks"][-1] = mean
        a["sum"][:], a["came"][:] = 0, 0

    def _learn(self, a: dict[str, NDArray[Any]], doubted: NDArray[np.bool_]) -> None:
        """Follow how far each cell moves from some blocks to the next, whatever it is that moves it."""
        own = self.plan.own
        moved = np.abs(a["blocks"][-own:].mean(axis=0) - a["blocks"][-2 * own : -own].mean(axis=0))
        told = np.isfinite(moved) & ~doubted
        a["seen"] += told
        a["unrest"][:] = np.where(told, a["unrest"] + (moved - a["unrest"]) / np.clip(a["seen"], 1, LONG), a["unrest"])

    def _best(self, tick: Tick, standing: Standing, columns: Columns, rows: Rows) -> dict[tuple[int, int], Change]:
        """Return the strongest change of every cell [m, s] that stands out."""
        best: dict[tuple[int, int], Change] = {}
        self.tails.of(tick.table, columns.metrics)
        a = columns.arrays
        noisy = 1 + restless(a["unrest"], a["seen"])
        for i, span in enumerate(self.plan.spans):
            chances = math.log(OFTEN * len(rows) * len(self.plan.spans) * looks(span * self.plan.block, tick.period))
            laws = self.tails.laws(tick.table, i)
            cut = np.array([law.needed(self.level + chances) for law in laws], np.float32)
            told = self.plan.read(a["blocks"], span)
            for row, s, z in self._outstanding(tick.table, i, told.size / noisy, standing, columns, rows, cut):
                if not told.news[row, s]:
                    continue
                m = int(rows[row])
                label = standing.label[standing.layout[m]]
                level = known_by(standing.company(m, s, peers(label, a["seen"][row] > 0, s)), laws[row].surprise(z) - chances)
                if (m, s) not in best or level > best[m, s].strength:
                    best[m, s] = Change(level, float(told.before[row, s]), float(told.now[row, s]))
        return best

    def _outstanding(
        self, table: str, i: int, size: Floats, standing: Standing, columns: Columns, rows: Rows, cut: Floats
    ) -> list[tuple[int, int, float]]:  # fmt: skip
        """Return (row, s, z) of the sizes [rows, S] beyond the `cut` of their row, and count the tails."""
        a, ticks = columns.arrays, self.plan.spans[i] * self.plan.block
        known = np.isfinite(size) & (a["seen"] >= KNOWN)
        size = np.where(known, size, np.float32(0)).astype(np.float32)
        out, cols, z = np.empty(size.size, np.int32), np.empty(size.size, np.int32), np.empty(size.size, np.float32)
        learn = columns.ticks % ticks == 0
        n = running.outstanding(
            size, known.astype(np.int16), standing.sign[rows], np.float32(1), 1, np.float32(1), cut, np.zeros(len(rows), np.float32), out, cols, z,
            learn, standing.doubted, a["peak"][i], MARKS, self.tails.seen[table][i], standing.layout[rows], standing.label,
        )  # fmt: skip
        if learn:
            self.tails.learned(table, i)
        return list(zip(out[:n].tolist(), cols[:n].tolist(), z[:n].tolist(), strict=True))

    def snapshot(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return the whole state."""
        return {**self.memory.snapshot(), **self.tails.snapshot()}

    def restore(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Become what `snapshot` returned."""
        self.memory.restore({k: v for k, v in state.items() if "|tail|" not in k})
        self.tails.restore(state)


def _watched(metric: Metric | None) -> bool:
    # What others wait follows from what one computes: it would add chances of a false alarm, and nothing else.
    return metric is not None and metric.side == "service" and not metric.waits and metric.worse in ("higher", "lower")


def restless(unrest: Floats, seen: NDArray[np.int32]) -> Floats:
    """Return by what share each cell [M, S] moves more than most do; none counts as steadier than they.

    Examples
    --------
    >>> restless(np.float32([[1.0, 1.0, 1.0, 2.0, 0.5]]), np.full((1, 5), 100, np.int32)).tolist()
    [[0.0, 0.0, 0.0, 1.0, 0.0]]
    """
    known = seen >= KNOWN
    usual = np.array([np.median(row[there]) if there.sum() >= 4 else np.inf for row, there in zip(unrest, known, strict=True)], np.float32)
    return np.where(known, np.maximum(unrest / np.maximum(usual, np.float32(1e-3))[:, None] - 1, np.float32(0)), np.float32(0))
