"""Rows for the tests of align, what ticks must hold of them, and two ways to feed them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random
from typing import NamedTuple

import numpy as np

from grayscope.align import Align, AlignSettings
from grayscope.batch import Batch
from grayscope.message import Message
from grayscope.tick import Tick

S = 1_000_000
T0 = 1_700_000_000 * S
LATENESS = 30 * S
PERIODS = {"gpu": 10 * S, "node": 20 * S}


class Cell(NamedTuple):
    """One value of one row."""

    table: str
    time: int
    subject: str
    metric: str
    value: float


def counter(name: str) -> bool:
    return name.endswith("_total")


def station(*, eager: bool = True, empty: int = 12, periods: dict[str, int] | None = None) -> Align:
    return Align(counter, PERIODS if periods is None else periods, AlignSettings(lateness=LATENESS, eager=eager, empty=empty))


def rows(table: str, times: Sequence[int], subjects: Sequence[str], metrics: Sequence[str] = ("watts",), value: float = 1.0) -> Batch:
    return Batch(table, np.array(times, np.int64), tuple(subjects), tuple(metrics), np.full((len(times), len(metrics), len(subjects)), value, np.float32))


def dense(cells: Iterable[Cell]) -> Batch:
    cells = list(cells)
    times, subjects, metrics = (list(dict.fromkeys(part)) for part in zip(*((c.time, c.subject, c.metric) for c in cells), strict=True))
    times.sort()
    values = np.full((len(times), len(metrics), len(subjects)), np.nan, np.float32)
    for c in cells:
        values[times.index(c.time), metrics.index(c.metric), subjects.index(c.subject)] = c.value
    return Batch(cells[0].table, np.array(times, np.int64), tuple(subjects), tuple(metrics), values)


def in_order(cells: Iterable[Cell]) -> list[Batch]:
    """One message per moment and table, oldest first."""
    found: dict[tuple[int, str], list[Cell]] = {}
    for c in sorted(cells):
        found.setdefault((c.time, c.table), []).append(c)
    return [dense(part) for _, part in sorted(found.items())]


def shuffled(cells: Sequence[Cell], rng: Random) -> list[Batch]:
    """Deliver single cells in any order that the lateness allows, in messages of any size."""
    arrival = sorted(cells, key=lambda c: c.time + rng.randrange(LATENESS))
    messages: list[list[Cell]] = []
    for c in arrival:
        last = messages[-1] if messages else []
        fits = last and last[0].table == c.table and all((c.time, c.subject, c.metric) != (o.time, o.subject, o.metric) for o in last)
        if fits and rng.random() < 0.6:
            last.append(c)
        else:
            messages.append([c])
    return [dense(rng.sample(m, len(m))) for m in messages]


def run(align: Align, messages: Iterable[Message], *, flush: bool = True) -> list[Tick]:
    ticks = [tick for m in messages for tick in align.step(m)]
    return ticks + list(align.flush() if flush else ())


def exact(ticks: Iterable[Tick]) -> list[tuple[object, ...]]:
    """Everything that later stations see, values bit for bit, by table and time."""
    found = [(t.table, t.time, t.subjects, t.metrics, t.values.tobytes(), t.fresh.tolist(), t.events) for t in ticks]
    return sorted(found, key=lambda t: (t[0], t[1]))


def make(rng: Random, *, many: bool, gaps: bool = True) -> list[Cell]:
    """Rows of two tables: newcomers, missing rows and metrics; with `many`, several rows a tick and unequal repeats."""
    cells = []
    for table, period, metrics in (("gpu", 10 * S, ("clock", "errors_total")), ("node", 20 * S, ("fan",))):
        for s in range(3):
            joins = rng.choice([0, 0, 3, 7])
            for tick in range(joins, 14):
                if gaps and rng.random() < 0.15:
                    continue
                for _ in range(rng.choice([1, 1, 2, 3]) if many else 1):
                    time = T0 + (tick + 1) * period - (rng.choice([0, 1, 4_321_000, 9 * S]) if many else 0)
                    reported = [m for m in metrics if rng.random() < 0.9 and tick >= joins + (m == "fan") * 2]
                    cells += [Cell(table, time, f"n{s}/{table}", m, float(rng.randrange(1, 50))) for m in reported]
    unique = {c[:4]: c for c in cells}
    cells = list(unique.values())
    for c in rng.sample(cells, len(cells) // 8):
        cells.append(c._replace(value=c.value + (rng.randrange(5) if many else 0)))
    return cells


def plain(cells: Sequence[Cell], lateness: int = LATENESS) -> dict[tuple[str, int], dict[tuple[str, str], float]]:
    """What every tick must hold, worked out the slow way and without any order."""
    out: dict[tuple[str, int], dict[tuple[str, str], float]] = {}
    for table in {c.table for c in cells}:
        period = PERIODS[table]
        stamps: dict[tuple[int, str, str], dict[int, float]] = {}
        for c in cells:
            if c.table == table:
                tick = -(-c.time // period) * period
                of = stamps.setdefault((tick, c.metric, c.subject), {})
                of[c.time] = max(of.get(c.time, c.value), c.value)
        warm = min(t for t, _, _ in stamps) + lateness
        first = {(m, s): min(t for t, m2, s2 in stamps if (m2, s2) == (m, s)) for _, m, s in stamps}
        for (tick, metric, subject), of in stamps.items():
            begun = first[metric, subject]
            if begun <= warm or begun + lateness < tick:
                out.setdefault((table, tick), {})[metric, subject] = sum(of.values()) if counter(metric) else of[max(of)]
    return out


def held(ticks: Iterable[Tick]) -> dict[tuple[str, int], dict[tuple[str, str], float]]:
    out: dict[tuple[str, int], dict[tuple[str, str], float]] = {}
    for t in ticks:
        for m, s in np.argwhere(~np.isnan(t.values)).tolist():
            out.setdefault((t.table, t.time), {})[t.metrics[m], t.subjects[s]] = float(t.values[m, s])
    return out


def steps(align: Align, ticks: range, names: Sequence[str]) -> list[Tick]:
    return run(align, [rows("gpu", [T0 + k * 10 * S], names) for k in ticks], flush=False)
