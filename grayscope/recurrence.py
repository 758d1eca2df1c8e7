"""Recurrence: how often a component was in trouble, beside how often it should have been by the fleet's own rates.

Exposure counts: large jobs fail for anyone. Each component's hours are kept by size of job; the rate of all others at
that size says how many episodes were to be expected. The ratio is shrunk by a gamma prior whose shape is fitted to the
fleet by moments. Source: lemon nodes (HPCA 2025) for the question, empirical Bayes for the answer.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
#: Sizes of jobs are told apart by powers of four; this many classes.
CLASSES = 10
#: Hours in which memory fades to 1/e, and weight below which a component is forgotten.
FADES, NOTHING = 28 * 24.0, 1e-3
#: Bounds of the prior's shape: below it a single episode would count as proof, above it nobody would ever stand out.
SHAPE = (0.2, 5.0)
#: Hours of others at a size of job below which nothing is known of it.
FEW = 1e-6
#: One less the level of the bound on the shrunk rate.
SURE = 0.01


class Recurrence:
    """Hours and episodes of components, by size of job, fading over 28 days.

    Examples
    --------
    >>> r = Recurrence()
    >>> at = r.places([f"n{i}" for i in range(50)])
    >>> r.add_hours(at, np.zeros(50, np.intp), 24.0)
    >>> for _ in range(5):
    ...     r.add_episode(7, 0, 1.0)
    >>> observed, expected, doubt = r.judge(7)
    >>> observed, expected < 0.1, doubt < 1e-4
    (5.0, True, True)
    """

    def __init__(self) -> None:
        self.names: dict[str, int] = {}
        self.hours, self.episodes = np.zeros((CLASSES, 0)), np.zeros((CLASSES, 0))

    def places(self, names: list[str]) -> NDArray[np.intp]:
        """Return where each component is kept; new ones get a place."""
        for name in names if not self.names.keys() >= {*names} else ():
            self.names.setdefault(name, len(self.names))
        new = len(self.names) - self.hours.shape[1]
        if new:
            self.hours, self.episodes = (np.concatenate([a, np.zeros((CLASSES, new))], axis=1) for a in (self.hours, self.episodes))
        return np.fromiter(map(self.names.__getitem__, names), np.intp, len(names))

    def add_hours(self, at: NDArray[np.intp], size: NDArray[np.intp], hours: float | Array) -> None:
        """Add the hours of some components in jobs of some size class."""
        np.add.at(self.hours, (size, at), hours)

    def add_episode(self, at: int, size: int, weight: float) -> None:
        """Add one episode."""
        self.episodes[size, at] += weight

    def fade(self, hours: float) -> None:
        """Let everything fade by so many hours."""
        kept = math.exp(-hours / FADES)
        self.hours *= kept
        self.episodes *= kept

    def forget(self, names: list[str]) -> None:
        """Forget components: other parts have taken their place, or they are long gone."""
        gone = {self.names[n] for n in names if n in self.names}
        kept = [(n, i) for n, i in self.names.items() if i not in gone]
        places = np.array([i for _, i in kept], np.intp)
        self.names = {n: i for i, (n, _) in enumerate(kept)}
        self.hours, self.episodes = self.hours[:, places], self.episodes[:, places]

    def faded(self) -> list[str]:
        """Return the components of which nothing is left."""
        left = self.hours.sum(axis=0) + self.episodes.sum(axis=0)
        return [name for name, i in self.names.items() if left[i] < NOTHING]

    def compared(self) -> tuple[Array, Array]:
        """Return the episodes of each component and those that it should have had by the rates of all others, at the sizes of jobs that others ran too."""
        hours, episodes = self.hours.sum(axis=1, keepdims=True) - self.hours, self.episodes.sum(axis=1, keepdims=True) - self.episodes
        ran = hours > FEW  # who alone ran jobs of some size is compared with nobody there
        rate = np.where(ran, (episodes + 0.5) / np.maximum(hours, FEW), 0.0)
        return np.asarray((self.episodes * ran).sum(axis=0)), np.asarray((rate * self.hours).sum(axis=0))

    def judge(self, at: int, compared: tuple[Array, Array] | None = None) -> tuple[float, float, float]:
        """Return the episodes of a component, those expected, and how likely a component of this fleet is to have so many.

        The likelihood is 1 unless the lower 99 % bound of the shrunk rate lies above the fleet's. `compared` saves working it out for
        one component after the other.
        """
        observed, expected = self.compared() if compared is None else compared
        others = np.arange(len(observed)) != at
        a = shape_of(observed[others], expected[others])
        o, e, weak = float(observed[at]), float(expected[at]), min(a, 1.0)
        sure = gamma_below(o + weak, e + weak) < SURE
        return o, e, many(int(o + 1e-9), e, a) if sure else 1.0

    def snapshot(self) -> dict[str, Array]:
        """Return the whole state."""
        return {"names": np.array(json.dumps(list(self.names))), "hours": self.hours.copy(), "episodes": self.episodes.copy()}

    def restore(self, state: Mapping[str, Array]) -> None:
        """Become what `snapshot` returned."""
        self.names = {name: i for i, name in enumerate(json.loads(str(state["names"])))}
        self.hours, self.episodes = np.array(state["hours"], np.float64), np.array(state["episodes"], np.float64)


def size_class(members: int) -> int:
    """Return the class of a job's size.

    Examples
    --------
    >>> size_class(1), size_class(8), size_class(1024), size_class(10**9)
    (0, 1, 5, 9)
    """
    return min(int(math.log(max(members, 1), 4) + 1e-9), CLASSES - 1)


def shape_of(observed: Array, expected: Array) -> float:
    """Return the shape of the gamma prior by moments: episodes vary by E + E**2 / a."""
    beyond = float(((observed - expected) ** 2 - expected).sum())
    low, high = SHAPE
    return high if beyond <= 0 else min(max(float((expected**2).sum()) / beyond, low), high)


def many(k: int, expected: float, shape: float) -> float:
    """Return the probability of at least `k` episodes where the rate varies by a gamma law of this shape: a negative binomial tail.

    Examples
    --------
    >>> many(0, 2.0, 1.0), round(many(2, 1.0, 1.0), 6), round(many(1, 0.5, 1e9), 4) == round(1 - math.exp(-0.5), 4)
    (1.0, 0.25, True)
    """
    if k <= 0 or expected <= 0:
        return float(k <= 0)
    share = expected / (expected + shape)
    first = math.lgamma(k + shape) - math.lgamma(shape) - math.lgamma(k + 1) + shape * math.log1p(-share) + k * math.log(share)
    term = total = 1.0
    while term > total * 1e-12:
        term *= (k + shape) / (k + 1) * share
        total += term
        k += 1
    return min(math.exp(first) * total, 1.0)


def gamma_below(shape: float, x: float) -> float:
    """Return the lower regularised incomplete gamma function: P(a gamma variable of this shape and rate `x` is below 1).

    Examples
    --------
    >>> round(gamma_below(1.0, 2.0), 6) == round(1 - math.exp(-2), 6), round(gamma_below(0.5, 0.5), 4)
    (True, 0.6827)
    """
    if x <= 0:
        return 0.0
    term = total = 1.0 / shape
    n = shape
    while term > total * 1e-15:
        n += 1
        term *= x / n
        total += term
    return min(total * math.exp(shape * math.log(x) - x - math.lgamma(shape)), 1.0)
