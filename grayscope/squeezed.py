"""Squeezed: a large array without the rows that hold one value from end to end: most counters of most parts never move.

What is copied while the line waits, kept until it is sent and sent becomes so much smaller; bit for bit what it was, zeros with a sign included.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
#: Elements of an array, and of a row of it, below which it is kept as it is.
LEAST, WIDTH = 1 << 16, 16
BITS = {2: np.uint16, 4: np.uint32, 8: np.uint64}


def squeezed(name: str, array: Array) -> dict[str, Array]:
    """Return copies that `unsqueezed` makes the array of again: itself, or the rows that vary, which those are, and the value of each other row.

    Examples
    --------
    >>> a = np.zeros((3, 70_000), np.float32)
    >>> a[1, 5] = 2
    >>> found = squeezed("a", a)
    >>> {name: part.shape for name, part in found.items()}
    {'a': (1, 70000), 'a|varies': (3,), 'a|value': (3,)}
    >>> bool((unsqueezed("a", found, a.shape) == a).all())
    True
    """
    if array.size < LEAST or array.shape[-1] < WIDTH or array.dtype.itemsize not in BITS or not array.flags.c_contiguous:
        return {name: array.copy()}
    rows = array.reshape(-1, array.shape[-1])
    bits = rows.view(BITS[array.dtype.itemsize])
    varies = (bits[:, 0] != bits[:, -1]) | (bits[:, 0] != bits[:, bits.shape[1] // 2])  # says it of nearly all that do
    for i in np.flatnonzero(~varies).tolist():
        varies[i] = (bits[i] != bits[i, 0]).any()
    return {name: rows[varies], f"{name}|varies": varies, f"{name}|value": rows[:, 0].copy()}


def unsqueezed(name: str, state: Mapping[str, Array], shape: tuple[int, ...]) -> Array:
    """Return the array, of the given shape where it was squeezed."""
    varies = state.get(f"{name}|varies")
    if varies is None:
        return state[name]
    rows = np.repeat(state[f"{name}|value"][:, None], shape[-1], axis=1)
    rows[varies] = state[name]
    return rows.reshape(shape)
