"""Hand-made ticks for one detector at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import pytest

from grayscope import plugins
from grayscope.catalogue import Catalogue
from grayscope.event import Event
from grayscope.evidence import Finding
from grayscope.roster import Roster, RosterRow
from grayscope.stand import Stand
from grayscope.tick import Tick

#: Metric name -> values [T, S]; NaN is not reported.
Values = Mapping[str, np.ndarray[Any, Any]]
#: What a detector said, by tick.
Said = list[list[Finding]]
Run = Callable[..., Said]


def run(
    name: str, table: str, values: Values, *, subjects: list[str] | None = None, keys: Callable[[str], dict[str, str]] | None = None,
    crosses: Callable[[str], tuple[str, ...]] | None = None, period: float = 10.0, start: float = 0.0, events: Mapping[int, list[Event]] | None = None,
    catalogue: Catalogue | None = None, more: Iterable[RosterRow] = (), **settings: Any,
) -> Said:  # fmt: skip
    """Feed ticks through stand to a detector; returns its findings of every tick."""
    detector = settings.pop("detector", None) or plugins.detector(name, **settings)
    ticks, width = next(iter(values.values())).shape
    names = tuple(subjects or (f"n{i // 8}/gpu{i % 8}" for i in range(width)))
    assert list(names) == sorted(names), "ticks hold sorted subjects"
    rows = [RosterRow(s, table, keys=keys(s) if keys else {"job": "j", "sku": "A"}, crosses=crosses(s) if crosses else ()) for s in names]
    roster, stand, metrics = Roster([*rows, *more]).at(0), Stand(catalogue or Catalogue.load()), tuple(sorted(values))
    step, said = round(period * 1e6), []
    for t in range(ticks):
        matrix = np.stack([values[m][t] for m in metrics]).astype(np.float32)
        found = tuple((events or {}).get(t, ()))
        tick = Tick(table, round(start * 1e6) + (t + 1) * step, step, roster, names, metrics, matrix, np.zeros(width, bool), found)
        said.append(list(detector.step(tick, stand.step(tick))))
    return said


@pytest.fixture(scope="session", name="run")
def _run() -> Run:
    return run


@pytest.fixture(scope="session")
def accused() -> Callable[[Said], set[str]]:
    """Return everybody who was named at any time."""
    return lambda said: {f.subject for findings in said for f in findings}
