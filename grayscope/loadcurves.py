"""Loadcurves: a metric over its load, fitted to moments: which degree pays, whose word counts, what is not enough for a curve.

A curve has degree 0 to 3, whichever pays, and pays the more dearly the less its parts agree about it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Sums = NDArray[np.float64]
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
