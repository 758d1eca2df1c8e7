"""Loads: the curve of each metric over its load, learned online from the differences between peers.

Only what differs inside one peer group at one tick teaches, so a phase of the job does not; the whole fleet teaches
one curve together and a group its own only where many of its members carry the difference, so that no part can teach
its own slowness. Where parts of one machine stand in different groups they have the fleet's curve alone: what tells them
apart must not be whose curve was drawn anew. A curve has degree 0 to 3, whichever pays, and pays the more dearly the less its parts
agree about it. It reaches as far as loads teach it and no further: beyond, it stays where it is. What departs from the curve by
more than three spreads pulls no harder than three do (Huber's M-estimate by reweighted least squares; Huber, Robust Statistics,
1981, ch. 7), and only the moments are kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grayscope.groupnames import GroupNames
from grayscope.unloading import SUMS

Sums = NDArray[np.float64]
Names = tuple[tuple[str, ...], ...]
#: Ticks over which is learned: half of those seen so far, between these.
SHORTEST, LONGEST = 64.0, 4096.0
#: Ticks between two fits.
FIT = 16
#: Samples before a curve is used.
LEAST = 1000.0
#: Members that must carry the difference in load, for the fleet's curve and for a group's own.
CARRIERS, CARRIERS_OWN = 3.0, 16.0
#: Share of the remaining variance that each further degree must explain, and what is added to it for one sample alone:
#: small, for what hardly shows beside the noise of a tick is all that is left in a mean of thousands.
PRICE, YOUNG = 0.001, 100.0
#: And what is added for one independent sample alone. Parts differ for ever and so do their usual loads, so that thousands of samples
#: of few parts may be no more than those few, and what comes over many at once is one sample too: how well each part agrees with the
#: others' curve tells, and each tick. A degree that came by chance explains one such sample; twice its spread is 4.
CHANCE = 4.0
#: A unit that moves or grows by more than this at once was that of other loads: what was learned in it is forgotten.
ANEW = 1.5
FIELDS = ("grain", "place", "pooled", "own", "moment", "moments", "fleet", "curve")


@dataclass(slots=True, eq=False)
class Learned:
    """Memory of one table; r is a metric with a load, g a peer group.

    Parameters
    ----------
    groups : GroupNames
        Of the metrics, length R, and where each one's groups stand.
    grain : ndarray [R] of float32
        Least spread of each metric that means anything, on its scale.
    ticks : int
        That have taught.
    place : ndarray [R, 2] of float64
        Origin and size of the load's unit, as float32 rounds them; size 0 until a load was seen.
    pooled, own : ndarray [R, 16] and [R, G, 16] of float64
        Moments of the fleet and of each group, see `kernels.compare`.
    moment, moments : ndarray [R] and [R, G] of float64
        What `told` is of parts, squared, of single ticks: of the fleet and of each group.
    fleet, curve : ndarray [R, 3] and [R, G, 3] of float32
        Coefficients of load, its square and its cube.
    common : frozenset of str
        Metrics of which no group has a curve of its own.
    """

    groups: GroupNames
    grain: NDArray[np.float32]
    ticks: int
    place: Sums
    pooled: Sums
    own: Sums
    moment: Sums
    moments: Sums
    fleet: NDArray[np.float32]
    curve: NDArray[np.float32]
    common: frozenset[str] = frozenset()

    @property
    def names(self) -> tuple[str, ...]:
        """Metrics, in the order of the rows."""
        return self.groups.metrics

    def unit(self) -> NDArray[np.float32]:
        """Return origin, inverse size and bound of the loads and the grain [R, 4] for the kernel; the first loads have no bound."""
        known = self.place[:, 1] > 0
        size = np.where(known, self.place[:, 1], 1.0)
        return np.stack([self.place[:, 0], 1 / size, np.where(known, 10.0, np.inf), self.grain], axis=1).astype(np.float32)


class Loads:
    """Part of stand. Deterministic and bounded by the number of groups."""

    def __init__(self) -> None:
        self.tables: dict[str, Learned] = {}

    def lay_out(
        self, table: str, metrics: Mapping[str, Names], grain: NDArray[np.float32], width: int, common: frozenset[str] = frozenset()
    ) -> None:  # fmt: skip
        """Take the layout of a table: the metrics that have a load, the key values of their groups, their grain, and which have but one curve."""
        old, names = self.tables.get(table), tuple(metrics)
        new = Learned(GroupNames.among(names, metrics.values()), grain, old.ticks if old else 0, *_blank(len(names), width), common)
        if old is not None:
            for r, name in enumerate(names):
                if name in old.names:
                    at = old.names.index(name)
                    new.place[r], new.pooled[r], new.moment[r], new.fleet[r] = old.place[at], old.pooled[at], old.moment[at], old.fleet[at]
            for r in range(len(names)):  # a new job's group needs not wait for what the fleet knows
                new.curve[r, : new.groups.groups(r)] = new.fleet[r]
            for r0, r, before, now in new.groups.since(old.groups):
                if names[r] not in common:
                    new.own[r, now], new.moments[r, now], new.curve[r, now] = old.own[r0, before], old.moments[r0, before], old.curve[r0, before]
        self.tables[table] = new

    def learn(self, table: str, sums: Sums, told: NDArray[np.float32], label: NDArray[np.int32]) -> None:
        """Add the moments [R, G, 16] of one tick; every so often draw the curves anew.

        `told` [2, R, S] is what each part has told (see `chance`), and fades here; `label` [R, S] is the group of each.
        """
        a = self.tables[table]
        if not a.names:
            return
        a.ticks += 1
        keep = 1 - 1 / min(max(a.ticks / 2, SHORTEST), LONGEST)
        a.pooled = a.pooled * keep + carried(sums.sum(axis=1))
        a.own *= keep
        told *= np.float32(keep)
        left = sums[..., 12] - (a.curve * sums[..., 6:9]).sum(axis=-1)
        a.moment = a.moment * keep**2 + left.sum(axis=1) ** 2
        a.moments = a.moments * keep**2 + left**2
        a.own += carried(sums)
        if a.common:
            a.own[[name in a.common for name in a.names]] = 0.0
        if a.ticks == 1 or a.ticks % FIT == 0:
            _settle(a, told)
            doubt, doubts = chance(told, label, a.own.shape[1])
            a.fleet = fleets(a.pooled, np.maximum(doubt, a.moment))
            a.curve = curves(a.fleet, a.own, np.maximum(doubts, a.moments))

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Return all memory as arrays."""
        out: dict[str, NDArray[Any]] = {}
        for table, a in self.tables.items():
            out[f"{table}|load|names"] = a.groups.told()
            out[f"{table}|load|ticks"] = np.array(a.ticks)
            out |= {f"{table}|load|{field}": getattr(a, field).copy() for field in FIELDS}
        return out

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Become what `snapshot` returned."""
        self.tables = {}
        for name in state:
            table, _, field = name.partition("|load|")
            if field == "names":
                place, pooled, own, moment, moments = (np.array(state[f"{table}|load|{f}"], np.float64) for f in FIELDS[1:6])
                grain, fleet, curve = (np.array(state[f"{table}|load|{f}"], np.float32) for f in ("grain", "fleet", "curve"))
                ticks = int(state[f"{table}|load|ticks"])
                self.tables[table] = Learned(GroupNames.read(state[name]), grain, ticks, place, pooled, own, moment, moments, fleet, curve)


def fleets(pooled: Sums, doubt: Sums | float = 0.0) -> NDArray[np.float32]:
    """Return the fleet's curves [R, 3], 0 where there is none; `doubt` [R] is what `chance` says of it."""
    return np.where(_taught(pooled, CARRIERS)[..., None], fitted(pooled, doubt)[0], 0.0).astype(np.float32)


def curves(fleet: NDArray[np.float32], own: Sums, doubt: Sums | float = 0.0) -> NDArray[np.float32]:
    """Return the curve of every group [R, G, 3]: its own where it may have one and that pays, else the fleet's; `doubt` is [R, G]."""
    mine, degree, rest = fitted(own, doubt)
    pays = rest * (1 + _price(own, doubt) * degree) < _rest(own, fleet[:, None].astype(np.float64))
    return np.where((_taught(own, CARRIERS_OWN) & pays)[..., None], mine, fleet[:, None]).astype(np.float32)


def chance(told: NDArray[np.float32], label: NDArray[np.int32], width: int) -> tuple[Sums, Sums]:
    """Return how far the parts disagree about one slope: for the fleet [R] and each group [R, G], the sum of the squares of what they do.

    Each part is held against the slope that all others together have, of what the curve in use leaves: so one that fits is not easily
    given up (the jackknife; MacKinnon and White, Some
    heteroskedasticity-consistent covariance matrix estimators, Journal of Econometrics, 1985), so one that alone has its
    load and its slowness agrees with nobody.

    Parameters
    ----------
    told : ndarray [2, R, S]
        Of each part, products of load and what the curve in use leaves of the metric, about their group's means, and squares of the load.
    label : ndarray [R, S]
        Its group.
    width : int
        G, the number of groups.

    Examples
    --------
    >>> told = np.float32([[[2.0, 2.0, 2.0, 8.0]], [[1.0, 1.0, 1.0, 1.0]]])  # slopes 2, 2, 2 and 8: the last is 6 from the others'
    >>> fleet, groups = chance(told, np.int32([[0, 0, 0, 1]]), 2)
    >>> fleet.round(2).tolist(), groups.round(2).tolist()
    ([48.0], [[0.0, 0.0]])
    """
    fleet = _apart(told, np.zeros_like(label), 1)[:, 0]
    return fleet, _apart(told, label, width)


def _apart(told: NDArray[np.float32], label: NDArray[np.int32], width: int) -> Sums:
    rows = len(label)
    at = (label + width * np.arange(rows)[:, None]).ravel()
    product, square = told.reshape(2, -1).astype(np.float64)
    products, squares = (np.bincount(at, t, rows * width) for t in (product, square))
    squares = np.maximum(squares, 1e-30)
    apart = (product - (products / squares)[at] * square) / np.maximum(1 - square / squares[at], 1e-3)
    total: Sums = np.bincount(at, apart * apart, rows * width).reshape(rows, width).astype(np.float64)
    return total


def fitted(sums: Sums, doubt: Sums | float = 0.0) -> tuple[Sums, NDArray[np.intp], Sums]:
    """Fit curves by sequential orthogonalisation (L D L'): each degree is judged by what it adds to the lower ones.

    Parameters
    ----------
    sums : ndarray [..., 16]
        Moments inside the groups.
    doubt : ndarray [...]
        How far their parts disagree, see `chance`.

    Returns
    -------
    curve : ndarray [..., 3]
        Coefficients, 0 above the chosen degree.
    degree : ndarray [...]
    rest : ndarray [...]
        Sum of squares that is left.

    Examples
    --------
    >>> x = np.array([-2.0, -1, 0, 1, 2])
    >>> y = 3 * x + 2 * x**2
    >>> curve, degree, _ = fitted(1000 * moments(x, y))
    >>> curve.round(2).tolist(), int(degree)
    ([3.0, 2.0, 0.0], 2)
    """
    g11, g12, g13, g22, g23, g33, c1, c2, c3, yy = np.moveaxis(sums[..., 6:16], -1, 0)
    least = 1e-5 * sums[..., 3] + 1e-30  # a ridge: what hardly differs teaches nothing
    d1 = g11 * 1.0001 + least
    l21, l31 = g12 / d1, g13 / d1
    d2 = np.maximum(g22 * 1.0001 - l21 * g12, 0) + least
    l32 = (g23 - l31 * g12) / d2
    d3 = np.maximum(g33 * 1.0001 - l31 * g13 - l32 * l32 * d2, 0) + least
    z1 = c1
    z2 = c2 - l21 * z1
    z3 = c3 - l31 * z1 - l32 * z2
    t = np.stack([z1 / d1, z2 / d2, z3 / d3])
    gains = np.stack([np.zeros_like(yy), z1 * t[0], z2 * t[1], z3 * t[2]])
    rests = np.maximum(yy - np.cumsum(gains, axis=0), 0)
    degree = np.argmin(rests * (1 + np.multiply.outer(np.arange(4), _price(sums, doubt))), axis=0)
    b1, b2, b3 = (np.where(degree >= k, t[k - 1], 0.0) for k in (1, 2, 3))
    b2 = b2 - l32 * b3
    curve = np.stack([b1 - l21 * b2 - l31 * b3, b2, b3], axis=-1)
    return curve, degree, np.take_along_axis(rests, degree[None], axis=0)[0]


def moments(u: Sums, y: Sums, weight: Sums | float = 1.0) -> Sums:
    """Return the moments [16] of one group at one tick, plainly; `kernels.compare` does the same in passing.

    Order: loads seen, their sum and sum of squares; samples taught, and of the weighted squares of their distances from the
    median load the sum and the sum of squares; weighted products of load, square and cube among each other (6) and with the
    metric (3), and the metric's own square, all about the group's means.
    """
    w = np.broadcast_to(weight, u.shape)
    x = np.stack([u, u**2, u**3, y])
    x = x - (x @ w)[:, None] / w.sum()
    away, among = w * (u - np.median(u)) ** 2, (w * x) @ x.T
    first = [len(u), u.sum(), (u * u).sum(), len(u), away.sum(), (away**2).sum()]
    return np.array([*first, *among[np.triu_indices(3)].tolist(), *among[3].tolist()])


def carried(sums: Sums) -> Sums:
    """Return the moments of one tick with the sum of fourth powers (5) replaced by squares times the members that carry them.

    Their number is (sum of squares)**2 / (sum of fourth powers): n where n members are equally far from the median load.

    Examples
    --------
    >>> alone = carried(moments(np.array([0.0, 0, 0, 0, 9]), np.zeros(5)))
    >>> two_by_two = carried(moments(np.array([-1.0, -1, 0, 1, 1]), np.zeros(5)))
    >>> float(alone[5] / alone[4]), float(two_by_two[5] / two_by_two[4])
    (1.0, 4.0)
    """
    out = sums.copy()
    out[..., 5] = sums[..., 4] ** 3 / np.maximum(sums[..., 5], 1e-30)
    return out


def _blank(rows: int, width: int) -> tuple[Sums, Sums, Sums, Sums, Sums, NDArray[np.float32], NDArray[np.float32]]:
    sums, own = np.zeros((rows, SUMS)), np.zeros((rows, width, SUMS))
    return np.zeros((rows, 2)), sums, own, np.zeros(rows), np.zeros((rows, width)), np.zeros((rows, 3), np.float32), np.zeros((rows, width, 3), np.float32)


def _price(sums: Sums, doubt: Sums | float) -> Sums:
    """Return the share of the remaining variance that a degree must explain."""
    chances = np.maximum(sums[..., 6] * sums[..., 15] - sums[..., 12] ** 2, 1e-6 * sums[..., 6] * sums[..., 15] + 1e-30)
    price: Sums = PRICE + YOUNG / np.maximum(sums[..., 3], 1.0) + CHANCE * doubt / chances
    return price


def _taught(sums: Sums, carriers: float) -> NDArray[np.bool_]:
    """Say whether enough samples are there and enough members carry the difference in load.

    One member alone that has another load than all others could be slow by itself: nothing tells the two apart.
    """
    return (sums[..., 3] >= LEAST) & (sums[..., 5] >= carriers * sums[..., 4]) & (sums[..., 4] > 0)


def _rest(sums: Sums, curve: Sums) -> Sums:
    """Return the sum of squares that a given curve leaves."""
    g11, g12, g13, g22, g23, g33, c1, c2, c3, yy = np.moveaxis(sums[..., 6:16], -1, 0)
    b1, b2, b3 = np.moveaxis(curve, -1, 0)
    among = b1 * (b1 * g11 + 2 * b2 * g12 + 2 * b3 * g13) + b2 * (b2 * g22 + 2 * b3 * g23) + b3 * b3 * g33
    rest: Sums = yy - 2 * (b1 * c1 + b2 * c2 + b3 * c3) + among
    return rest


def _settle(a: Learned, told: NDArray[np.float32]) -> None:
    """Move origin and size of each load's unit to where the loads are; what was learned follows, so that it stays well conditioned.

    Loads are clamped to the unit's reach, so after a large move what was learned is of other loads than it seems: it is forgotten.
    """
    n = np.maximum(a.pooled[:, 0], 1e-9)
    mean = a.pooled[:, 1] / n
    size = np.sqrt(np.maximum(a.pooled[:, 2] / n - mean * mean, 0))
    old = np.where(a.place[:, 1] > 0, a.place[:, 1], 1.0)
    origin = (a.place[:, 0] + mean * old).astype(np.float32).astype(np.float64)
    new = (np.maximum(size * old, 1e-3 * np.abs(origin) + 1e-6)).astype(np.float32).astype(np.float64)
    away, wide = (origin - a.place[:, 0]) / old, new / old
    seen = a.pooled[:, 0] > 0
    away, wide = np.where(seen, away, 0.0), np.where(seen, wide, 1.0)
    a.place = np.where(seen[:, None], np.stack([origin, new], axis=1), a.place)
    a.pooled, a.own = rebased(a.pooled, away, wide), rebased(a.own, away[:, None], wide[:, None])
    told /= np.stack([wide, wide**2])[..., None].astype(np.float32)
    a.moment, a.moments = a.moment / wide**2, a.moments / wide[:, None] ** 2
    anew = (np.abs(away) > ANEW * np.minimum(wide, 1)) | (wide > ANEW) | (wide < 1 / ANEW)
    a.pooled[anew, 3:], a.own[anew, :, 3:], told[:, anew] = 0.0, 0.0, 0.0
    a.moment[anew], a.moments[anew] = 0.0, 0.0


def rebased(sums: Sums, away: Sums, wide: Sums) -> Sums:
    """Return the summed moments [..., 16] in a unit of load that begins `away` from the old origin and is `wide` old units wide.

    Examples
    --------
    >>> u, y = np.array([1.0, 2.0, 4.0, 7.0]), np.array([0.0, 1.0, 1.0, 3.0])
    >>> bool(np.allclose(rebased(carried(moments(u, y)), np.array(3.0), np.array(2.0)), carried(moments((u - 3) / 2, y))))
    True
    """
    out = sums.copy()
    n, first, second = sums[..., 0], sums[..., 1], sums[..., 2]
    out[..., 1] = (first - away * n) / wide
    out[..., 2] = (second - 2 * away * first + away**2 * n) / wide**2
    out[..., 4:6] = sums[..., 4:6] / (wide * wide)[..., None]
    g11, g12, g13, g22, g23, g33, c1, c2, c3 = np.moveaxis(sums[..., 6:15], -1, 0)
    p, q, r = -2 * away, -3 * away, 3 * away**2  # (u - a)**2 = u**2 + p u, (u - a)**3 = u**3 + q u**2 + r u, constants apart
    h12, h13 = g12 + p * g11, g13 + q * g12 + r * g11
    h22 = g22 + 2 * p * g12 + p * p * g11
    h23 = g23 + q * g22 + r * g12 + p * (g13 + q * g12 + r * g11)
    h33 = g33 + q * q * g22 + r * r * g11 + 2 * (q * g23 + r * g13 + q * r * g12)
    for k, (value, power) in enumerate(((g11, 2), (h12, 3), (h13, 4), (h22, 4), (h23, 5), (h33, 6), (c1, 1), (c2 + p * c1, 2), (c3 + q * c2 + r * c1, 3))):
        out[..., 6 + k] = value / wide**power
    return out
