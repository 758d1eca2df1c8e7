"""Pathsolve: which few components explain what many paths show, and which of them the data cannot tell apart.

The excess of a path is the sum of what the components on it add, never negative and mostly nothing. Components are
taken greedily, each with the median of what is left on its paths, as long as the absolute error (which gross outliers do
not rule) falls by more than chance would bring; then each must survive the removal of itself. Sources: 007 (NSDI 2018) for
the greedy order, Deepview (NSDI 2018) for sparsity and a test against false blame; what-if analysis (OSDI 2025) for removal.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Places = NDArray[np.intp]
#: Nats by which an explanation must beat chance, over and above the number of components to choose from.
LEAST = math.log(1000)
#: Suspects that one solution names at most; probability below which a rival is not worth a line.
MOST, SLIGHT = 8, 0.05
#: Paths that must speak for a component.
PATHS = 2


class Suspect(NamedTuple):
    """One explanation.

    Parameters
    ----------
    names : tuple of (component, probability)
        Most likely first; more than one where the data cannot tell.
    effect : float
        What it adds to each of its paths, in the unit of the excess.
    explained : float
        Share of the whole excess that only it explains.
    paths : tuple of int
        Positions of the paths through the first of them that it explains.
    """

    names: tuple[tuple[str, float], ...]
    effect: float
    explained: float
    paths: tuple[int, ...]


class Incidence:
    """Which paths cross which component; components that are always crossed together are one class.

    Examples
    --------
    >>> found = Incidence([("nic1", "leaf1", "nic2"), ("nic1", "leaf1", "nic3")])
    >>> found.classes
    (('leaf1', 'nic1'), ('nic2',), ('nic3',))
    """

    def __init__(self, crossed: Sequence[Sequence[str]]) -> None:
        through: dict[str, list[int]] = {}
        for path, components in enumerate(crossed):
            for name in dict.fromkeys(components):
                through.setdefault(name, []).append(path)
        alike: dict[tuple[int, ...], list[str]] = {}
        for name in sorted(through):
            alike.setdefault(tuple(through[name]), []).append(name)
        self.classes: tuple[tuple[str, ...], ...] = tuple(tuple(names) for names in alike.values())
        self.paths: tuple[Places, ...] = tuple(np.array(p, np.intp) for p in alike)
        self.n_paths = len(crossed)
        self._through = {name: frozenset(paths) for name, paths in through.items()}
        self.number = {name: c for c, name in enumerate(through)}
        self.crossed = tuple(tuple(names) for names in crossed)
        self._crossed = [np.array([self.number[name] for name in components], np.intp) for components in crossed]

    def largest(self, sizes: NDArray[np.float32], paths: Sequence[int]) -> NDArray[np.float32]:
        """Return the largest of the sizes of what each of some paths crosses, one size per component by `number`; 0 where it crosses nothing.

        Examples
        --------
        >>> found = Incidence([("nic1", "nic2"), (), ("nic2",)])
        >>> found.largest(np.array([3, 1], np.float32), [0, 1, 2]).tolist()
        [3.0, 0.0, 1.0]
        """
        return np.array([sizes[self._crossed[p]].max(initial=0.0) for p in paths], np.float32)

    def of(self, component: str) -> frozenset[int]:
        """Return the positions of the paths that cross a component."""
        return self._through.get(component, frozenset())

    def alike(self, paths: Sequence[int], share: float) -> str:
        """Return the component that has most nearly these paths, ``""`` if none has as large a share in common with them.

        Examples
        --------
        >>> found = Incidence([("nic1", "leaf1"), ("nic2", "leaf1"), ("nic2", "leaf2")])
        >>> found.alike([0, 1], 0.75), found.alike([0, 2], 0.75)
        ('leaf1', '')
        """
        of = np.isin(np.arange(self.n_paths), paths)
        common = [(int(of[p].sum()) / (len(p) + len(paths) - int(of[p].sum())), names[0]) for names, p in zip(self.classes, self.paths, strict=True)]
        best, name = max(common, key=lambda one: one[0], default=(0.0, ""))
        return name if best >= share else ""


def solve(incidence: Incidence, excess: Floats, prior: Mapping[str, float] | None = None) -> list[Suspect]:
    """Return the suspects, strongest first.

    Parameters
    ----------
    incidence : Incidence
    excess : [P]
        How much worse each path is than it should be, in any unit; NaN where unknown.
    prior : mapping of str to float, optional
        Weight of components about which something else is known; 1 for all others.

    Examples
    --------
    >>> crossed = [(f"n{a}", f"spine{(a + b) % 3}", f"n{b}") for a in range(6) for b in range(6) if a != b]
    >>> noise = np.sin(np.arange(30.0)) * 0.1
    >>> (found,) = solve(Incidence(crossed), noise + [2.0 * ("spine1" in c) for c in crossed])
    >>> found.names, round(found.effect, 1)
    ((('spine1', 1.0),), 1.9)
    """
    chosen = _greedy(incidence, np.where(np.isfinite(excess), excess, 0.0), np.isfinite(excess))
    total = sum(gain for _, _, gain, _ in chosen) or 1.0
    out = []
    for c, effect, gain, chances in chosen:
        names = _named(incidence, chances, prior or {})
        out.append(Suspect(names, effect, gain / total, tuple(incidence.paths[c].tolist())))
    return out


Chosen = tuple[int, float, float, dict[int, float]]


def _greedy(incidence: Incidence, excess: Floats, known: NDArray[np.bool_]) -> list[Chosen]:
    """Return (class, effect, gain, chances of the classes that it might be) until nothing explains more than chance."""
    left, chosen = excess.copy(), list[Chosen]()
    where = [p[known[p]] for p in incidence.paths]
    middle = float(np.median(excess[known])) if known.any() else 0.0
    left -= middle
    least = LEAST + math.log(max(len(where), 1))
    while len(chosen) < MOST:
        noise = max(float(np.median(np.abs(left[known]))) / math.log(2), 1e-9) if known.any() else 1.0
        gains = [_gain(left[p], noise) for p in where]
        best = max(range(len(gains)), key=lambda c: (gains[c][0], len(where[c])), default=-1)
        if best < 0 or gains[best][0] < least:
            break
        gain, effect = gains[best]
        chances = _chances(where, [g for g, _ in gains], best)
        left[where[best]] -= effect
        chosen.append((best, effect, gain, chances))
    return [c for c in chosen if _needed(c, chosen, where, excess - middle) >= least]


def _gain(left: Floats, noise: float) -> tuple[float, float]:
    """Return by how many nats the best effect on these paths beats none (Laplace's law), and the effect."""
    if len(left) < PATHS:
        return 0.0, 0.0
    effect = max(float(np.median(left)), 0.0)
    return float((np.abs(left) - np.abs(left - effect)).sum()) / noise, effect


def _chances(where: Sequence[Places], gains: Sequence[float], best: int) -> dict[int, float]:
    """Return how likely each class is to be the one: those that share paths with the best compete with it."""
    mine = set(where[best].tolist())
    weight = {c: math.exp(max(g - gains[best], -700.0)) for c, g in enumerate(gains) if g > 0 and not mine.isdisjoint(where[c].tolist())}
    total = sum(weight.values())
    return {c: w / total for c, w in weight.items() if w / total >= SLIGHT}


def _needed(one: Chosen, chosen: Sequence[Chosen], where: Sequence[Places], excess: Floats) -> float:
    """Return how many nats are lost when this suspect alone is taken away."""
    left = excess.copy()
    for other in chosen:
        if other is not one:
            left[where[other[0]]] -= other[1]
    without = left.copy()
    left[where[one[0]]] -= one[1]
    noise = max(float(np.median(np.abs(left))) / math.log(2), 1e-9)
    return float((np.abs(without) - np.abs(left)).sum()) / noise


def _named(incidence: Incidence, chances: Mapping[int, float], prior: Mapping[str, float]) -> tuple[tuple[str, float], ...]:
    weight = {name: p / len(incidence.classes[c]) * prior.get(name, 1.0) for c, p in chances.items() for name in incidence.classes[c]}
    total = sum(weight.values())
    return tuple(sorted(((name, round(w / total, 4)) for name, w in weight.items()), key=lambda x: (-x[1], x[0])))
