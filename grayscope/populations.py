"""Populations: peer groups that are two in what the workload gets, found in the running means of a detector."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from grayscope.crowd import Cell
from grayscope.divided import divisions
from grayscope.kernels import LOG
from grayscope.standing import Standing
from grayscope.tick import Tick

Floats = NDArray[np.float32]
#: The most that the evidence of a division is worth.
SUREST = 49.0
#: Share by which the levels of two populations differ at least.
APART = 0.03
#: From this share of its clip on a mean may be held down for some of a population and not for others.
HELD = 0.75
#: Tables whose subjects cross parts that they share: which of those it is, blame finds, and needs each of them for it.
CROSSING = frozenset({"comm", "path"})


class Span(NamedTuple):
    """A horizon that is looked at: its ticks, the least steps of it that tell something, and ln of its looks in a week."""

    horizon: int
    least: int
    looks: float


class Parted(NamedTuple):
    """A peer group's worse population: what the division is worth, in means over how many ticks it shows (0: by who is accused), and who it is."""

    strength: float
    horizon: int
    members: list[int]


def divided(
    tick: Tick, standing: Standing, now: tuple[Floats, Floats, Floats], a: Mapping[str, NDArray[Any]], spans: list[Span], level: float
) -> dict[Cell, Parted]:
    """Return the groups (metric, group) that are two populations in what the workload gets, in the first span that shows it.

    Parameters
    ----------
    now : tuple
        Residuals and their usual spread, [M, S], and at how many spreads they are clipped, [M].
    a : mapping
        The detector's memory: `mean` and `seen` [H, M, S], `restless` [M, S].
    spans : list of Span
        The first of the horizons.
    level : float
        Least strength.
    """
    found = dict[Cell, Parted]()
    residual, scale, clip = now
    rows = [m for m in _timed(standing) if a["seen"][0, m].any()] if tick.table not in CROSSING else []
    for m, (i, span) in product(rows, enumerate(spans)):
        known = (a["seen"][i, m] >= span.least) & ~standing.doubted
        mean = a["mean"][i, m]
        # What is clipped looks alike whatever its size: of that the last value tells more than the mean.
        far = np.where(np.abs(mean) > HELD * clip[m], residual[m], mean * scale[m] * (1 + a["restless"][m]))
        chances = span.looks + math.log(len(rows))
        levels = np.where(known, far, np.float32(np.nan)).astype(np.float32)
        for d in divisions(levels, standing.label[standing.layout[m]], APART, chances + level):
            found.setdefault((m, d.group), Parted(min(d.surprise - chances, SUREST), span.horizon, d.members))
    return found


def _timed(standing: Standing) -> list[int]:
    """Return the metrics that tell what the workload gets, as ratios."""
    named = enumerate(standing.metrics)
    return [m for m, metric in named if metric is not None and metric.side == "service" and standing.sign[m] and int(standing.kind[m]) == LOG]
