"""Streams for contract tests: a small fleet with several kinds of trouble, and pure noise."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import pytest

from grayscope.align import Align
from grayscope.batch import Batch
from grayscope.catalogue import Catalogue
from grayscope.event import Event
from grayscope.message import Message
from grayscope.roster import RosterRow
from grayscope.stand import Stand
from grayscope.standing import Standing
from grayscope.tick import Tick

PERIOD = 10_000_000
SUBJECTS = tuple(f"n{n}/gpu{g}" for n in range(3) for g in range(8))
METRICS = (
    "gpu_active_ratio",
    'gpu_clock_hertz{domain="sm"}',
    'gpu_ecc_uncorrected_errors_total{location="total",retention="volatile"}',
    "gpu_power_watts",
    "gpu_row_remap_pending",
    'gpu_rows_remapped_total{cause="corrected"}',
    'gpu_temperature_celsius{sensor="gpu"}',
)
DRIVES = tuple(f"n0/nvme{k}" for k in range(6))
Rename = Callable[[str], str]


def fleet(ticks: int = 700, rename: Rename = str, subjects: tuple[str, ...] = SUBJECTS, seed: int = 5) -> Iterator[Message]:
    """Yield a roster and one batch per tick: a slow clock, spent rows, an uncorrected error, a hot part,
    one that falls silent, and late a clock that is lower everywhere."""
    rng = np.random.default_rng(seed)
    yield tuple(RosterRow(rename(s), "gpu", keys={"sku": "A", "slot": s[-1], "job": "j1"}) for s in subjects)
    names = tuple(rename(s) for s in subjects)
    n = len(subjects)
    last = [i for i, s in enumerate(subjects) if s == "n2/gpu7"]
    for t in range(ticks):
        load = 0.9 + 0.05 * np.sin(t / 30) + rng.normal(0, 0.01, n)
        values = np.stack(
            [
                load,
                1.9e9 + rng.normal(0, 1e7, n),
                np.zeros(n),
                650 * load + rng.normal(0, 5, n),
                np.zeros(n),
                np.zeros(n),
                30 + 50 * load + rng.normal(0, 1, n),
            ]
        ).astype(np.float32)
        if n > 6 and t > 200:
            values[1, 3] *= 0.9
            values[5, 4] = t % 40 == 0
            values[4, 5] = 1
            values[6, 6] += 12
            values[2, 2] = t == 300
        if t > 400:
            values[:, last] = np.nan
        if t > 600:
            values[1] *= 0.95
        yield Batch("gpu", np.array([(t + 1) * PERIOD]), names, METRICS, values[None])


def steps(messages: Iterable[Message]) -> Iterator[tuple[Tick, Standing]]:
    """Walk messages through align and stand."""
    catalogue = Catalogue.load()
    align = Align(lambda name: getattr(catalogue.get(name), "type", "") == "counter", {"gpu": PERIOD})
    stand = Stand(catalogue)
    for message in messages:
        for tick in align.step(message):
            yield tick, stand.step(tick)
    for tick in align.flush():
        yield tick, stand.step(tick)


@pytest.fixture(scope="session")
def make_fleet() -> Callable[..., Iterator[Message]]:
    return fleet


def walk(messages: Iterable[Message]) -> list[tuple[Tick, Standing]]:
    """Return the ticks of messages with everything a detector may read, kept apart from the stand's own memory."""
    return [(tick, frozen(standing)) for tick, standing in steps(messages)]


@pytest.fixture(scope="session")
def walked() -> list[tuple[Tick, Standing]]:
    """The fleet's ticks, walked once for all detectors."""
    return walk(eventful(fleet()))


def eventful(messages: Iterable[Message]) -> Iterator[Message]:
    """Add what a log and a job's dumps would say: an uncorrected error, a rank that did not enter, one job's clean-up; and drives
    that are read one after another, of which one is slow once."""
    events = [
        Event(250 * PERIOD, "n0/gpu2", "xid", "48", "DBE"),
        Event(260 * PERIOD, "n1/gpu6", "nccl", "never_entered", "rank 14 never entered nccl:all_reduce 5"),
        *(Event(270 * PERIOD + g, f"n1/gpu{g}", "xid", "45") for g in range(8)),
    ]
    for t, message in enumerate(messages):
        if not isinstance(message, Batch):
            yield (*message, *(RosterRow(s, "drive", keys={"node": "n0"}) for s in DRIVES)) if isinstance(message, tuple) else message
            continue
        while events and events[0].time < message.times[-1]:
            yield events.pop(0)
        yield message
        late = np.float32(0.002 if t != 500 else 0.02)
        yield Batch("drive", message.times, DRIVES[t % 6 : t % 6 + 1], ("drive_latency_seconds",), np.full((1, 1, 1), late, np.float32))


def frozen(standing: Standing) -> Standing:
    """Return a copy: the stand goes on writing into its arrays."""
    fields = {name: getattr(standing, name) for name in standing.__slots__}
    copies: dict[str, Any] = {k: v.copy() if isinstance(v, np.ndarray) else v for k, v in fields.items()}
    return Standing(**copies)
