"""Made ticks of one table through the whole engine, for tests of the line from a value to an incident; no tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grayscope import assembly
from grayscope.engine import Engine
from grayscope.incident import Incident
from grayscope.roster import Roster, RosterRow, View
from grayscope.settings import Settings
from grayscope.tick import Tick

PERIOD = 10_000_000
#: What all subjects of a table show at a tick, in the order of their names.
Values = Callable[[int], NDArray[Any]]


def roster(table: str, keys: Mapping[str, dict[str, str]]) -> View:
    """Return the view in which a table has these subjects."""
    assert list(keys) == sorted(keys), "values come in the order of names"
    return Roster([RosterRow(subject, table, keys=of) for subject, of in keys.items()]).at(0)


def ticks(view: View, values: Mapping[str, Values], until: int, period: int = PERIOD) -> Iterator[Tick]:
    """Yield the ticks 1 to `until` of a table's metrics."""
    (table,), metrics = view.tables, tuple(sorted(values))
    names = view.tables[table]
    for t in range(1, until + 1):
        yield Tick(table, t * period, period, view, names, metrics, np.stack([values[m](t) for m in metrics]).astype(np.float32), np.zeros(len(names), bool))


def engine(table: str, period: int = PERIOD) -> Engine:
    return assembly.engine(Settings(), periods={table: period})


def told(view: View, values: Mapping[str, Values], until: int, period: int = PERIOD) -> list[Incident]:
    """Return the last word on each incident."""
    line, last = engine(next(iter(view.tables)), period), dict[str, Incident]()
    for tick in ticks(view, values, until, period):
        last |= {i.id: i for i in line.judged(tick, line.compared(tick)).incidents}
    return list(last.values())


def brief(incidents: list[Incident]) -> list[tuple[str, str, str]]:
    """Return severity, subject and mode of each, sorted: two of the same stay two."""
    return sorted((i.severity, i.subject, i.mode) for i in incidents)
