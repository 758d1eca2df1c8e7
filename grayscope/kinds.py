"""Kinds: what rows of one kind of work have come to, of whomever and whenever, for those that come one at a time.

Bad rows are kept out, but for a kind of which nearly all have become so: then it is the work that has changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

#: Rows of a kind that are kept, that it takes to judge, and subjects that must have made them.
KEPT, ENOUGH, SUBJECTS = 192, 24, 4
#: Rows over which is counted how many of a kind are bad, and the share from which on the kind itself has changed.
LATELY, CHANGED = 32, 0.9
#: Kinds that are followed at once: the one that was seen longest ago gives way.
KINDS = 4096
Arrays = Mapping[str, np.ndarray[Any, Any]]


class Usual(NamedTuple):
    """What a kind comes to in others' rows: `middle`, robust `spread` around it, both in the values' unit or in its logarithm, and of how many."""

    middle: float
    spread: float
    n: int


class Kinds:
    """The latest rows of every kind, as (subject, value)."""

    def __init__(self) -> None:
        self.past: dict[str, list[tuple[str, float]]] = {}
        self.bad: dict[str, float] = {}

    def usual(self, kind: str, subject: str, log: bool) -> Usual | None:
        """Return what is usual in rows of others, None while too few are known.

        Examples
        --------
        >>> kinds = Kinds()
        >>> for i in range(40):
        ...     kinds.learn("k", f"n{i % 5}", 40.0 + i % 3, False)
        >>> kinds.usual("k", "n0", False), kinds.usual("other", "n0", False)
        (Usual(middle=41.0, spread=1.4826, n=32), None)
        """
        past = self.past.get(kind, [])
        others = [x for name, x in past if name != subject]
        if len(others) < ENOUGH or len({name for name, _ in past}) < SUBJECTS:
            return None
        values = np.log(others) if log else np.array(others)
        middle = float(np.median(values))
        return Usual(middle, 1.4826 * float(np.median(np.abs(values - middle))), len(others))

    def learn(self, kind: str, subject: str, value: float, bad: bool) -> None:
        """Take a row into the history, a bad one only where nearly all are."""
        past, share = self.past.pop(kind, []), self.bad.pop(kind, 0.0)
        share += (bad - share) / LATELY
        if not bad or share > CHANGED:
            past.append((subject, value))
        self.past[kind], self.bad[kind] = past[-KEPT:], share  # back in as the latest
        if len(self.past) > KINDS:
            oldest = next(iter(self.past))
            del self.past[oldest], self.bad[oldest]

    def snapshot(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return the history of every kind, latest last."""
        out: dict[str, np.ndarray[Any, Any]] = {"kinds": np.array(list(self.past), np.str_), "bad": np.array(list(self.bad.values()))}
        for i, past in enumerate(self.past.values()):
            out |= {f"subjects{i}": np.array([s for s, _ in past], np.str_), f"values{i}": np.array([x for _, x in past], np.float64)}
        return out

    def restore(self, state: Arrays) -> None:
        """Become what `snapshot` returned."""
        self.bad = dict(zip(state["kinds"].tolist(), state["bad"].tolist(), strict=True))
        self.past = {
            kind: list(zip(state[f"subjects{i}"].tolist(), state[f"values{i}"].tolist(), strict=True)) for i, kind in enumerate(state["kinds"].tolist())
        }
