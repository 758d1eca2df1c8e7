"""Grouped: medians, extremes and sums within peer groups, and quantiles over time, for many metrics at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from grayscope.kernels import F, median_near
from grayscope.medians import select

Floats = NDArray[np.float32]
Labels = NDArray[np.int32]


def medians(values: Floats, label: Labels, groups: int) -> tuple[Floats, NDArray[np.int32]]:
    """Return the median and the number of finite members of every group.

    Parameters
    ----------
    values : [K, S]
        NaN is not reported.
    label : [K, S]
        Group of each cell, from 0 to `groups` - 1.

    Returns
    -------
    median : [K, G]
        NaN where nobody reported.
    count : [K, G]

    Examples
    --------
    >>> m, n = medians(np.float32([[1, 9, 2, 5]]), np.int32([[0, 0, 0, 1]]), 3)
    >>> m.tolist(), n.tolist()
    ([[2.0, 5.0, nan]], [[3, 1, 0]])
    """
    median, count = np.full((len(values), groups), np.nan, np.float32), np.zeros((len(values), groups), np.int32)
    if values.size:
        _medians(np.ascontiguousarray(values, np.float32), np.ascontiguousarray(label, np.int32), median, count)
    return median, count


@njit("void(float32[:,::1], int32[:,::1], float32[:,::1], int32[:,::1])", cache=True)
def _medians(values: Any, label: Any, median: Any, count: Any) -> None:  # pragma: no cover - compiled
    subjects, groups = values.shape[1], median.shape[1]
    x, scratch = np.empty(subjects, np.float32), np.empty(subjects + 1, np.float32)
    at = np.empty(groups + 1, np.int64)
    for k in range(values.shape[0]):
        for s in range(subjects):
            if np.isfinite(values[k, s]):
                count[k, label[k, s]] += 1
        at[0] = 0
        for g in range(groups):
            at[g + 1] = at[g] + count[k, g]
        for s in range(subjects):
            if np.isfinite(values[k, s]):
                x[at[label[k, s]]] = values[k, s]
                at[label[k, s]] += 1
        for g in range(groups):
            n = count[k, g]
            if n > 0:
                median[k, g] = median_near(x[at[g] - n : at[g]], n, F(0.0), F(0.0), scratch)


def middles(values: NDArray[np.float64], among: NDArray[np.bool_], label: Labels, groups: int) -> NDArray[np.float64]:
    """Return the median of every group in double precision, shape [G], of those `among` its values [S] that are asked for; NaN where none is.

    Examples
    --------
    >>> middles(np.array([1, 9, 2, 5.0]), np.array([True, True, True, False]), np.int32([0, 0, 1, 1]), 3).tolist()
    [5.0, 2.0, nan]
    """
    return np.asarray(_middles(values, among, label, groups))


@njit("float64[::1](float64[::1], boolean[::1], int32[::1], int64)", cache=True)
def _middles(values: Any, among: Any, label: Any, groups: Any) -> Any:  # pragma: no cover - compiled
    x, end, found = np.empty(len(values)), np.zeros(groups + 1, np.int64), np.full(groups, np.nan)
    for s in range(len(values)):
        end[label[s] + 1] += among[s]
    for g in range(groups):
        end[g + 1] += end[g]
    at = end.copy()
    for s in range(len(values)):
        if among[s]:
            x[at[label[s]]] = values[s]
            at[label[s]] += 1
    for g in range(groups):
        of = x[end[g] : end[g + 1]]
        n = len(of)
        if n > 0:
            low = select(of, n, (n - 1) // 2)
            high = low if n % 2 else of[n // 2 :].min()
            found[g] = (low + high) / 2
    return found


def cells(per_group: NDArray[Any], label: Labels) -> NDArray[Any]:
    """Return for each cell [K, S] what is known of its group [K, G].

    Examples
    --------
    >>> cells(np.array([[7, 8]]), np.int32([[1, 0, 1]])).tolist()
    [[8, 7, 8]]
    """
    found: NDArray[Any] = np.take_along_axis(per_group, label, axis=1)
    return found


def sums(values: NDArray[Any], label: Labels, groups: int) -> NDArray[np.float64]:
    """Return the sum over the finite members of each group, shape [K, G]."""
    rows = len(values)
    where = (label + groups * np.arange(rows)[:, None]).ravel()
    total = np.bincount(where, np.where(np.isfinite(values), values, 0.0).ravel().astype(np.float64), rows * groups)
    return np.asarray(total, np.float64).reshape(rows, groups)


def highest(values: Floats, label: Labels, groups: int) -> Floats:
    """Return the largest finite value of each group, shape [K, G]; NaN where nobody reported.

    Examples
    --------
    >>> highest(np.float32([[1, 9, np.nan]]), np.int32([[0, 0, 1]]), 2).tolist()
    [[9.0, nan]]
    """
    best = np.full((len(values), groups), -np.inf, np.float32)
    np.maximum.at(best, (np.arange(len(values))[:, None], label), np.where(np.isfinite(values), values, np.float32(-np.inf)))
    return np.where(np.isfinite(best), best, np.float32(np.nan))


def quantiles(window: Floats, shares: tuple[float, ...]) -> Floats:
    """Return the samples of given rank along the first axis, NaN left out.

    Parameters
    ----------
    window : [W, ...]
    shares : tuple of float
        0 is the smallest, 0.5 the upper median, 1 the largest.

    Returns
    -------
    samples : [len(shares), ...]
        NaN where there are none.

    Examples
    --------
    >>> quantiles(np.float32([[3], [np.nan], [1], [2]]), (0.0, 0.5, 1.0)).ravel().tolist()
    [1.0, 2.0, 3.0]
    """
    ordered = np.sort(window, axis=0)  # NaN last
    n = np.isfinite(window).sum(axis=0)
    out = np.empty((len(shares), *window.shape[1:]), np.float32)
    for i, share in enumerate(shares):
        rank = np.minimum((share * n).astype(np.intp), np.maximum(n - 1, 0))
        out[i] = np.take_along_axis(ordered, rank[None], axis=0)[0]
    return out
