"""Stepped: a rank that became slower from one moment to the next, beside its peers.

What a healthy part takes wanders for minutes, so that a mean over minutes is not much steadier than a single value, and a small
slow-down drowns in it. But what wanders does not jump: the mean of the last few ticks less the mean of as many just before them
hardly knows of anything that is slower than that, and shows a jump whole. It is the matched filter for a step in noise with a long memory
(a Haar wavelet; Basseville and Nikiforov, Detection of Abrupt Changes, 1993).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
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
from grayscope.tails import JUMP, Tails
from grayscope.tick import Tick
from grayscope.wording import why

Floats = NDArray[np.float32]
Rows = NDArray[np.intp]
#: Ticks that are one block, for a step within one is seen less clearly; blocks on each side of a step; where their tails leave the normal curve, as of
#: means over as many ticks.
BLOCK = 2
SPANS = (4, 8)
KNEES = (2.0, 2.25)
KEPT = 2 * SPANS[-1]
#: Share of a step that must be beyond what is usual: what only comes back from below it is no news.
NEWS = 0.5
#: Blocks over which a cell's own unrest is learned, and from which on it is believed.
LONG, KNOWN = 512, 32
#: Looks overlap: four of them within a span see so many more excursions than two.
OFTEN = 1.35


class Jump(NamedTuple):
    """A step: its strength, and the means before and after it, in usual spreads from the own past."""

    strength: float
    before: float
    now: float


class Stepped:
    """Compare the last few ticks of each rank with the few before.

    Not for: what comes slowly (`became` sees that), the first 128 ticks of a part, and what others wait.

    Parameters
    ----------
    false_pages : float
        Accepted false pages per 1,000 subject-weeks.
    """

    rival: ClassVar[bool] = False
    #: Where jobs tell what they take.
    tables: ClassVar[frozenset[str]] = frozenset({"rank"})

    def __init__(self, *, false_pages: float = 1.0) -> None:
        self.level = threshold(false_pages)  # and no less: a jump is seen once, and what is left of it beside the next look takes nothing back
        self.memory = Memory(
            {
                "blocks": Field(np.float32, np.nan, (KEPT,)), "sum": Field(np.float32, 0.0), "came": Field(np.int32, 0),
                "unrest": Field(np.float32, 0.0), "seen": Field(np.int32, 0), "peak": Field(np.float32, 0.0, (len(SPANS),)),
            }
        )  # fmt: skip
        self.tails = Tails(KNEES)

    def step(self, tick: Tick, standing: Standing) -> Evidence:
        """Return the cells that have just become worse by more than they wander."""
        if tick.table not in self.tables:
            return NOTHING
        rows = np.array([m for m, metric in enumerate(standing.metrics) if _watched(metric)], np.intp)
        if not len(rows):
            return NOTHING
        columns = self.memory.of(replace(tick, metrics=tuple(tick.metrics[m] for m in rows)))
        moved = standing.moved_cells()
        if moved is not None:
            for name, array in columns.arrays.items():
                array[..., moved[rows]] = columns.fields[name].fill
        a = columns.arrays
        with np.errstate(invalid="ignore", divide="ignore"):
            far = np.clip(standing.past[rows] / standing.noise[rows], -JUMP, JUMP)
        there = np.isfinite(far)
        a["sum"] += np.where(there, far, np.float32(0))
        a["came"] += there
        if columns.ticks % BLOCK:
            return NOTHING
        _close(a)
        best = self._best(tick, standing, columns, rows)
        _learn(a, standing.doubted)
        if not best:
            return NOTHING
        crowded = crowds(best, tick, standing)
        lost = {(m, s) for (m, _), members in crowded.items() for s in members}
        groups = [
            Crowd(split(tick, standing, cell, members, max(best[cell[0], s].strength for s in members), "stepped"),
                  tuple(self._finding(tick, standing, cell[0], s, best[cell[0], s]) for s in members))
            for cell, members in sorted(crowded.items())
        ]  # fmt: skip
        alone = (self._finding(tick, standing, m, s, jump) for (m, s), jump in sorted(best.items()) if (m, s) not in lost)
        return Evidence([*(c.finding for c in groups), *alone], crowds=groups)

    def _best(self, tick: Tick, standing: Standing, columns: Columns, rows: Rows) -> dict[tuple[int, int], Jump]:
        """Return the strongest step of every cell [m, s] that stands out."""
        best: dict[tuple[int, int], Jump] = {}
        self.tails.of(tick.table, columns.metrics)
        blocks = columns.arrays["blocks"]
        for i, span in enumerate(SPANS):
            chances = math.log(OFTEN * len(rows) * len(SPANS) * looks(span * BLOCK, tick.period))
            laws = self.tails.laws(tick.table, i)
            cut = np.array([law.needed(self.level + chances) for law in laws], np.float32)
            before, now = blocks[-2 * span : -span].mean(axis=0), blocks[-span:].mean(axis=0)
            for row, s, z in self._outstanding(tick.table, i, now - before, standing, columns, rows, cut):
                m, jump = int(rows[row]), now[row, s] - before[row, s]
                if now[row, s] < NEWS * jump:
                    continue
                label = standing.label[standing.layout[m]]
                level = known_by(standing.company(m, s, peers(label, columns.arrays["seen"][row] > 0, s)), laws[row].surprise(z) - chances)
                if (m, s) not in best or level > best[m, s].strength:
                    best[m, s] = Jump(level, float(before[row, s]), float(now[row, s]))
        return best

    def _outstanding(
        self, table: str, i: int, step: Floats, standing: Standing, columns: Columns, rows: Rows, cut: Floats
    ) -> list[tuple[int, int, float]]:  # fmt: skip
        """Return (row, s, z) of the steps [rows, S] beyond the `cut` of their row, and count the tails."""
        a, ticks = columns.arrays, SPANS[i] * BLOCK
        known = np.isfinite(step) & (a["seen"] >= KNOWN)
        size = np.where(known, step * np.float32(math.sqrt(ticks / 2)) / (1 + restless(a["unrest"], a["seen"])), np.float32(0)).astype(np.float32)
        out, cols, z = np.empty(size.size, np.int32), np.empty(size.size, np.int32), np.empty(size.size, np.float32)
        learn = columns.ticks % ticks == 0
        n = running.outstanding(
            size, known.astype(np.int16), standing.sign[rows], np.float32(1), 1, np.float32(1), cut, np.zeros(len(rows), np.float32), out, cols, z,
            learn, standing.doubted, a["peak"][i], MARKS, self.tails.seen[table][i], standing.layout[rows], standing.label,
        )  # fmt: skip
        if learn:
            self.tails.learned(table, i)
        return list(zip(out[:n].tolist(), cols[:n].tolist(), z[:n].tolist(), strict=True))

    @staticmethod
    def _finding(tick: Tick, standing: Standing, m: int, s: int, jump: Jump) -> Finding:
        metric, noise = standing.metrics[m], float(standing.noise[m, s])
        assert metric is not None
        usual = float(standing.residual[m, s]) - float(standing.past[m, s])
        usual = usual if math.isfinite(usual) else 0.0
        side, beside = ("condition", "with no peers beside it") if standing.alone(m, s) else (metric.side, "beside the same peers")
        found = Finding(
            tick.time, tick.subjects[s], side, "stepped", round(jump.strength, 4), metric.mode or "became_slower", metric.mechanism or "",
            tick.metrics[m], standing.effect(m, s, usual + noise * jump.now), standing.effect(m, s, usual + noise * jump.before), standing.peers(m, s),
        )  # fmt: skip
        return found._replace(why=why(found, metric.unit, f"what it was just before {beside}"))

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


def _close(a: dict[str, NDArray[Any]]) -> None:
    """Close a block: its mean is the youngest of those that are kept, NaN where less than half of its ticks came."""
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(2 * a["came"] >= BLOCK, a["sum"] / a["came"], np.float32(np.nan))
    a["blocks"][:-1] = a["blocks"][1:]
    a["blocks"][-1] = mean
    a["sum"][:], a["came"][:] = 0, 0


def _learn(a: dict[str, NDArray[Any]], doubted: NDArray[np.bool_]) -> None:
    """Follow how far each cell moves from one span to the next, whatever it is that moves it."""
    span = SPANS[0]
    moved = np.abs(a["blocks"][-span:].mean(axis=0) - a["blocks"][-2 * span : -span].mean(axis=0))
    told = np.isfinite(moved) & ~doubted
    a["seen"] += told
    a["unrest"][:] = np.where(told, a["unrest"] + (moved - a["unrest"]) / np.clip(a["seen"], 1, LONG), a["unrest"])


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
