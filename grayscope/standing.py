"""Standing: how every cell of a tick stands beside its load, its peers and its own past."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from grayscope.catalogue import Metric
from grayscope.fewpast import Few
from grayscope.kernels import COUNT, LOG
from grayscope.medians import CROWD


@dataclass(frozen=True, slots=True, eq=False)
class Standing:
    """Comparison of one tick; cells are (metric m, subject s), groups are g.

    Parameters
    ----------
    metrics : tuple of Metric or None, length M
        What each row of the tick means; None where nobody knows, which is not judged.
    kind, sign : ndarray of int8, shape [M]
        Scale of comparison (`kernels.LINEAR`, `LOG`, `COUNT`) and direction: +1 higher is worse, -1 lower, 0 not judged.
    residual : ndarray of float32, shape [M, S]
        Distance from the role-matched peers' median after load, on the metric's scale, larger is worse; NaN if unknown.
    past : ndarray of float32, shape [M, S]
        The residual less the cell's own usual one; NaN until that is learned.
    scale : ndarray of float32, shape [M, S]
        Usual robust spread (one sigma) within the cell's group, on the metric's scale.
    noise : ndarray of float32, shape [M, S]
        Usual robust spread of `past` within the cell's group: what is left when the offsets of healthy parts are gone.
    centre : ndarray of float32, shape [M, G]
        The peers' median, on the metric's scale.
    spread : ndarray of float32, shape [M, G]
        The peers' median absolute deviation at this tick, on the metric's scale.
    count : ndarray of int32, shape [M, G]
        Members that reported.
    shift : ndarray of float32, shape [M, G]
        How far the peers' median has left its own past, in its usual spreads, larger is worse; 0 while unknown.
    before : ndarray of float32, shape [M, G]
        The peers' usual median, on the metric's scale.
    layout : ndarray of int32, shape [M]
        Row of `label` that groups the metric's subjects.
    label : ndarray of int32, shape [L, S]
    doubted : ndarray of bool, shape [S]
        Subjects that nothing is learned from, because they are in an open incident.
    moved : ndarray of bool, shape [L, S]
        Subjects that have just changed their group, whose past there counts no more.
    called : tuple, length L
        The key values of each group, in the order of the metric's peers.
    few : Few, optional
        What is known of ranks in groups too small for a median; `past` is theirs alone there.
    """

    metrics: tuple[Metric | None, ...]
    kind: NDArray[np.int8]
    sign: NDArray[np.int8]
    residual: NDArray[np.float32]
    past: NDArray[np.float32]
    scale: NDArray[np.float32]
    noise: NDArray[np.float32]
    centre: NDArray[np.float32]
    spread: NDArray[np.float32]
    count: NDArray[np.int32]
    shift: NDArray[np.float32]
    before: NDArray[np.float32]
    layout: NDArray[np.int32]
    label: NDArray[np.int32]
    doubted: NDArray[np.bool_]
    moved: NDArray[np.bool_]
    called: tuple[tuple[tuple[str, ...], ...], ...]
    few: Few | None = None

    def moved_cells(self) -> NDArray[np.bool_] | None:
        """Return which cells [M, S] have changed their peers, None when nobody has (the usual case)."""
        return self.moved[self.layout] if self.moved.any() else None

    def peers(self, m: int, s: int) -> int:
        """Return how many others the cell was compared with."""
        return max(int(self.count[m, self.label[self.layout[m], s]]) - 1, 0)

    def alone(self, m: int, s: int) -> bool:
        """Say whether the cell's group has no other member."""
        return self.few is not None and math.isfinite(self.few.usual[m, s]) and bool(self.few.alone[s])

    def company(self, m: int, s: int, others: int) -> int:
        """Return beside how many others the cell's evidence counts: what one alone says of its own past, as if beside one."""
        return 1 if self.alone(m, s) else others

    def expected(self, m: int, s: int) -> float:
        """Return the peers' median in the metric's own unit."""
        return unscale(int(self.kind[m]), self._median(m, s))

    def effect(self, m: int, s: int, distance: float) -> float:
        """Return the value that lies so far, on the metric's scale, on the worse side of the peers' median."""
        return unscale(int(self.kind[m]), self._median(m, s) + int(self.sign[m]) * distance)

    def _median(self, m: int, s: int) -> float:
        """Return the peers' median, the usual one where too few report at this moment: they rest, or have just left; in small groups its own."""
        if self.few is not None and math.isfinite(self.few.usual[m, s]):
            return float(self.few.usual[m, s])
        group = self.label[self.layout[m], s]
        return float((self.centre if self.count[m, group] >= CROWD else self.before)[m, group])


def unscale(kind: int, x: float) -> float:
    """Return from a metric's scale of comparison to its own unit.

    Examples
    --------
    >>> unscale(LOG, 0.0), round(unscale(COUNT, 2 * (7 + 0.375) ** 0.5), 6)
    (1.0, 7.0)
    """
    if kind == LOG:
        return math.exp(min(x, 700.0))
    if kind == COUNT:
        return max(x * x / 4 - 0.375, 0.0)
    return x
