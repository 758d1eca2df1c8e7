"""Fewpast: ranks with fewer peers than a median needs, each beside its own past.

Nobody can say which of two is slow, but either knows how it was. What the others of a small group have in common with a rank is the
job's: a phase of it moves all of them, and work that one hands to another makes one faster and the other slower. Only who leaves its past
while the others keep theirs has become worse. Of one alone there is nobody to tell a phase from a fault by.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grayscope.catalogue import Metric
from grayscope.columns import Field, Memory
from grayscope.kernels import LOG
from grayscope.medians import CROWD
from grayscope.tick import Tick

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]
#: Ticks over which a usual value is learned, from which on it is believed, and over which the present is averaged.
PAST, KNOWN, LATELY = 2048, 64, 16
#: Ticks from which on the doubted teach their past no more.
SETTLED = 128
#: Ticks over which a cell's own noise is followed, and the least it is: half a percent.
SLOW, LEAST = 1024, 0.005
#: Share of a rank's own movement by which each of the others may have moved too, or all together the other way, before it is a matter of all.
SHARED = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Few:
    """What is known of small groups: the usual value [M, S] on the metric's scale, NaN in groups that are large enough; who [S] stands alone."""

    usual: Floats
    alone: Bools


class FewPast:
    """Part of stand. Follows ranks' own times in groups of one to three."""

    def __init__(self) -> None:
        near = {name: Field(np.float32, 0.0) for name in ("base", "lately", "noise")}
        self.memory = Memory({**near, "age": Field(np.int32, 0)})

    def fill(
        self, tick: Tick, metrics: tuple[Metric | None, ...], kind: NDArray[np.int8], sign: NDArray[np.int8], groups: NDArray[np.int32], doubted: Bools,
        moved: Bools, past: Floats, noise: Floats,
    ) -> tuple[Floats, Few | None]:  # fmt: skip
        """Write the distance from the own past of ranks in small groups into `past` [M, S]; return the noise [M, S] with theirs, and what is known.

        Parameters
        ----------
        groups, moved : [M, S]
            Peer group of each cell; who has just come from another one.
        """
        of_ranks = range(len(metrics)) if tick.table == "rank" else range(0)
        rows = np.array([m for m in of_ranks if _watched(metrics[m]) and kind[m] == LOG], np.intp)
        size = np.array([np.bincount(groups[m])[groups[m]] for m in rows]).reshape(len(rows), len(tick.subjects))
        few = size < CROWD
        if not few.any():
            self.memory.tables.pop(tick.table, None)  # whose job has grown is followed anew once it is small again
            return noise, None
        a = self.memory.of(replace(tick, metrics=tuple(tick.metrics[m] for m in rows))).arrays
        for array in a.values():
            array[moved[rows] | ~few] = 0
        with np.errstate(invalid="ignore", divide="ignore"):
            values = sign[rows, None] * np.log(np.where(few, tick.values[rows], np.nan).astype(np.float64))
        away = _away(values.astype(np.float32), groups[rows], size, a, doubted)
        past[rows] = np.where(few, away, past[rows])
        noise = noise.copy()
        noise[rows] = np.where(few, np.maximum(a["noise"], np.float32(LEAST)), noise[rows])
        usual = np.full_like(past, np.nan)
        usual[rows] = np.where(few & (a["age"] > 0), sign[rows, None] * a["base"], np.float32(np.nan))
        return noise, Few(usual, (size == 1).any(axis=0))

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Return all memory as arrays."""
        return self.memory.snapshot()

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Become what `snapshot` returned."""
        self.memory.restore(state)


def _watched(metric: Metric | None) -> bool:
    return metric is not None and metric.side == "service" and not metric.waits and metric.worse in ("higher", "lower")


def _away(values: Floats, groups: NDArray[np.int32], size: NDArray[np.intp], a: dict[str, NDArray[Any]], doubted: Bools) -> Floats:
    """Return how far each cell has left its own past beside the others of its group, NaN where that is the matter of all; learn from it."""
    there, known = np.isfinite(values), a["age"] >= KNOWN
    gap = values - a["base"]
    a["lately"] += np.where(there & known, (gap - a["lately"]) / LATELY, 0).astype(np.float32)
    now, others = _others(np.where(there & known, gap, np.float32(np.nan)), groups)
    slow, _ = _others(np.where(there & known, a["lately"], np.float32(np.nan)), groups)
    now, slow = np.where(size == 1, np.float32(0), now), np.where(size == 1, np.float32(0), slow)
    away = np.where(known & ((others > 0) | (size == 1)), gap - now, np.float32(np.nan))
    _learn(values, away, a, there & (~doubted | (a["age"] < SETTLED)))
    with np.errstate(invalid="ignore"):
        least = np.maximum(SHARED * a["lately"], np.maximum(a["noise"], np.float32(LEAST)))
        shared, handed = slow > least, slow * others < -least
        shrunk = away / np.sqrt(1 + 128 / np.maximum(a["age"], 1))
    return np.where(shared | handed, np.float32(np.nan), shrunk).astype(np.float32)


def _others(values: Floats, groups: NDArray[np.int32]) -> tuple[Floats, NDArray[np.intp]]:
    """Return the mean of the others of each cell's group, and how many they are.

    Examples
    --------
    >>> mean, n = _others(np.float32([[1.0, 3.0, np.nan, 7.0]]), np.array([[0, 0, 0, 1]], np.int32))
    >>> mean.tolist(), n.tolist()
    ([[3.0, 1.0, 2.0, nan]], [[1, 1, 2, 0]])
    """
    mean, n = np.full(values.shape, np.nan, np.float32), np.zeros(values.shape, np.intp)
    for row, (of, group) in enumerate(zip(values, groups, strict=True)):
        came = np.isfinite(of)
        own = np.where(came, of, 0).astype(np.float64)
        n[row] = np.bincount(group, came)[group].astype(np.intp) - came
        total = np.bincount(group, own)[group] - own
        mean[row] = np.where(n[row] > 0, total / np.maximum(n[row], 1), np.nan)
    return mean, n


def _learn(values: Floats, away: Floats, a: dict[str, NDArray[Any]], told: Bools) -> None:
    """Follow the usual value, by steps that no fault can pull far, and the noise, by steps up and down so that it ends at the median."""
    age, noise = a["age"], np.maximum(a["noise"], np.float32(LEAST))
    step = np.where(age < LATELY, values - a["base"], np.clip(values - a["base"], -3 * noise, 3 * noise))
    a["base"] += np.where(told, step / np.minimum(age + 1, PAST), 0).astype(np.float32)
    share = 1 + 1 / np.minimum(np.maximum(age - KNOWN, 1), SLOW)
    hum = np.abs(away) * np.float32(1.4826)
    with np.errstate(invalid="ignore"):
        after = np.where(a["noise"] == 0, hum, np.where(hum > a["noise"], a["noise"] * share, a["noise"] / share))
    a["noise"][:] = np.where(told & np.isfinite(hum), np.maximum(after, LEAST), a["noise"]).astype(np.float32)
    age += told
