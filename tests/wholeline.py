"""Hand-made ticks for the whole line, from comparison to incidents."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from grayscope import assembly
from grayscope.alert import Alert
from grayscope.engine import Engine
from grayscope.event import Event
from grayscope.incident import Incident
from grayscope.roster import Roster, RosterRow, View
from grayscope.settings import Settings
from grayscope.tick import Tick
from grayscope.verdict import Verdict

STEP = 10_000_000
GPUS = tuple(f"n{n}/gpu{g}" for n in range(4) for g in range(8))
#: What a subject reports at tick t: metric -> values [S].
Fill = Callable[[int], Mapping[str, NDArray[np.float64]]]
Keys = Callable[[int, str], dict[str, str]]


class Told(NamedTuple):
    """All verdicts with their tick, every incident in its last form, in the order of opening, and all alerts."""

    verdicts: list[tuple[int, Verdict]]
    incidents: list[Incident]
    alerts: list[Alert]

    @property
    def states(self) -> list[tuple[int, str, str, str]]:
        """Return tick, subject, state and mode of every verdict."""
        return [(t, v.subject, v.state, v.mode) for t, v in self.verdicts]

    @property
    def names(self) -> list[tuple[str, str, str]]:
        """Return subject, severity and mode of every incident."""
        return [(i.subject, i.severity, i.mode) for i in self.incidents]


class Line:
    """One engine with the default detectors."""

    def __init__(self) -> None:
        self.engine: Engine = assembly.engine(Settings(), periods=dict.fromkeys(("gpu", "rank", "node"), STEP))
        self.now, self.told = 0, Told([], [], [])

    def feed(
        self, table: str, names: Sequence[str], fill: Fill, ticks: int, *,
        keys: Keys | None = None, events: Mapping[int, Sequence[Event]] | None = None,
    ) -> Told:  # fmt: skip
        """Feed so many more ticks; `events` by tick. Returns all that was said so far."""
        view, names = seen(table, names, keys), tuple(names)
        metrics: tuple[str, ...] = ()
        for t in range(self.now + 1, self.now + 1 + ticks):
            values = fill(t)
            metrics = metrics or tuple(sorted(values))
            matrix = np.stack([values[m] for m in metrics]).astype(np.float32)
            tick = Tick(table, t * STEP, STEP, view, names, metrics, matrix, np.zeros(len(names), bool), tuple((events or {}).get(t, ())))
            out = self.engine.judged(tick, self.engine.compared(tick))
            self.told.verdicts.extend((t, v) for v in out.verdicts)
            known = {i.id: i for i in self.told.incidents} | {i.id: i for i in out.incidents}
            self.told.incidents[:] = known.values()
            self.told.alerts.extend(out.alerts)
        self.now += ticks
        return self.told


def seen(table: str, names: Sequence[str], keys: Keys | None = None) -> View:
    """Return a roster of one table."""
    return Roster([RosterRow(s, table, keys=keys(i, s) if keys else {"job": "job:1", "sku": "A"}) for i, s in enumerate(names)]).at(0)


def ranks(job: str, width: int = 32) -> tuple[str, ...]:
    """Return the ranks of a job."""
    return tuple(f"{job}/r{i:03d}" for i in range(width))


def seated(job: str) -> Keys:
    """Return the keys of a job's ranks, eight on a node."""
    return lambda i, _: {"gpu": f"n{i // 8}/gpu{i % 8}", "node": f"n{i // 8}", "job": job, "role": "data"}


def quiet(seed: int = 1, width: int = len(GPUS)) -> Fill:
    """Return a fill of GPUs that draw some 600 W."""
    rng = np.random.default_rng(seed)
    return lambda _: {"gpu_power_watts": 600 + 5 * rng.standard_normal(width)}
