"""Tails: how far healthy parts of this very fleet stray, learned per metric and horizon from the fleet itself.

A law that is safe for every fleet is slow for most: heavy-tailed metrics need many sigmas, light-tailed ones few. So
excursions beyond some marks are counted, each once and by its highest point, when it is over (peaks over threshold with
declustering, as extreme values are counted: neighbouring looks are not independent). Beyond the highest mark that has
been passed often enough the tail is taken as exponential with the rate found there, excursions of more than two sigmas
beyond it as censored: a fault that came and went unseen is one excursion, and one that lasts is none, so that none hides
itself. Until enough has been seen, and wherever what is seen falls no faster, the law is Huber's least favourable one:
normal in the middle, exponential outside. A few troubles cannot break that law; a fleet whose excursions go far more often
than it allows is not troubled but noisy, and its own tail takes the law's place, however slowly it falls.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grayscope.running import FAR
from grayscope.taillaw import ENOUGH, MARKS, Law, huber, law

Floats = NDArray[np.float64]
#: Spreads at which single values are clipped: of most metrics, and of those whose values jump; spreads beyond which a value that is back at once has
#: jumped; share of values that do it in a metric that jumps, and how many make it known. A jump is worth no more than three usual noises: at six, a
#: handful of them made half of the false pages of noise with Student's t of three degrees of freedom (`benchmarks/calibration.py`).
CLOSE, JUMP, JUMPY, JUMPS = 3.0, 6.0, 1e-4, 3
#: Looks after which old ones count half, so that the law follows the fleet.
HALF = 4e6


class Tails:
    """What was seen beyond each mark, by table, horizon and metric; bounded by the tables' metrics.

    Parameters
    ----------
    knees : sequence of float
        Of the law known before, one per horizon.
    """

    def __init__(self, knees: tuple[float, ...]) -> None:
        self.knees = knees
        self.names: dict[str, tuple[str, ...]] = {}
        #: [H, M, 1 + 3 K]: looks, then for each mark the excursions beyond it, the sum of how far (at most 2), and how many below 2.
        self.seen: dict[str, Floats] = {}
        #: [M, 2]: values followed, and single ones that jumped far and came back at once.
        self.jumps: dict[str, Floats] = {}
        self._laws: dict[tuple[str, int], list[Law]] = {}

    def of(self, table: str, names: tuple[str, ...]) -> Floats:
        """Return what a table's metrics have shown, laid out as `names`."""
        old = self.names.get(table)
        if old is not names:
            if old != names:
                fresh, jumps = np.zeros((len(self.knees), len(names), 1 + 3 * len(MARKS))), np.zeros((len(names), 2))
                where = {n: i for i, n in enumerate(old or ())}
                for i, name in enumerate(names):
                    if name in where:
                        fresh[:, i], jumps[i] = self.seen[table][:, where[name]], self.jumps[table][where[name]]
                self.seen[table], self.jumps[table] = fresh, jumps
                self._laws = {k: v for k, v in self._laws.items() if k[0] != table}
            self.names[table] = names
        return self.seen[table]

    def learned(self, table: str, horizon: int) -> None:
        """Take note that a horizon has been counted again: its laws are worked out anew when next asked for."""
        for counted in (self.seen[table][horizon], self.jumps[table]):
            counted[counted[:, 0] > HALF] *= 0.5
        self._laws.pop((table, horizon), None)

    def clips(self, table: str) -> NDArray[np.float32]:
        """Return at how many spreads a single value of each metric [M] is clipped: lower where the fleet's values jump.

        Where they jump, one value must not make a mean of four; where they do not, a far one is news at once.
        """
        followed, jumped = self.jumps[table].T
        return np.where((jumped >= JUMPS) & (jumped >= JUMPY * followed), CLOSE, FAR).astype(np.float32)

    def laws(self, table: str, horizon: int) -> list[Law]:
        """Return the law of every metric at a horizon."""
        found = self._laws.get((table, horizon))
        if found is None:
            seen, prior = self.seen[table][horizon], huber(self.knees[horizon])
            enough = (seen[:, 1::3] >= ENOUGH).any(axis=1).tolist()
            found = self._laws[table, horizon] = [law(row, self.knees[horizon]) if known else prior for row, known in zip(seen, enough, strict=True)]
        return found

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Return all counts as arrays."""
        out: dict[str, NDArray[Any]] = {}
        for table, seen in self.seen.items():
            out |= {f"{table}|tail|names": np.array(self.names[table], np.str_), f"{table}|tail|seen": seen.copy()}
            out[f"{table}|tail|jumps"] = self.jumps[table].copy()
        return out

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Become what `snapshot` returned."""
        self.names, self.seen, self.jumps, self._laws = {}, {}, {}, {}
        for key in state:
            table, _, what = key.partition("|tail|")
            if what == "names":
                self.names[table] = tuple(state[key].tolist())
                self.seen[table] = np.array(state[f"{table}|tail|seen"], np.float64)
                self.jumps[table] = np.array(state[f"{table}|tail|jumps"], np.float64)
