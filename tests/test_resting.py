"""What the clock of a GPU says through the whole line: at rest nothing, at work that it is slow."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from grayscope import assembly
from grayscope.batch import Batch
from grayscope.message import Message
from grayscope.roster import RosterRow
from grayscope.settings import Settings

PERIOD, TICKS, LOW = 10_000_000, 400, "n2/gpu3"
NAMES = tuple(f"n{node}/gpu{k}" for node in range(4) for k in range(8))
METRICS = ('gpu_clock_hertz{domain="sm"}', "gpu_active_ratio")


def messages(active: float, clock: float) -> Iterator[Message]:
    """Yield equal GPUs that are all busy for this share of the time; half-way the clock of one falls by 6 %."""
    rng = np.random.default_rng(1)
    yield tuple(RosterRow(n, "gpu", keys={"node": n[:2], "sku": "a"}) for n in NAMES)
    for t in range(1, TICKS + 1):
        clocks = clock * np.exp(rng.normal(0, 0.004, len(NAMES)))
        clocks[NAMES.index(LOW)] *= 0.94 if t > TICKS // 2 else 1.0
        values = np.stack([clocks, np.full(len(NAMES), active)]).astype(np.float32)
        yield Batch("gpu", np.array([t * PERIOD]), NAMES, METRICS, values[:, :, None].transpose(2, 0, 1))


def accused(active: float, clock: float) -> set[str]:
    """Return the subjects of all pages and tickets."""
    engine = assembly.engine(Settings(false_pages_per_1000_gpu_weeks=10.0), periods={"gpu": PERIOD})
    found = [*(i for message in messages(active, clock) for i in engine.step(message).incidents), *engine.flush().incidents]
    return {i.subject for i in found if i.severity in ("page", "ticket")}


def test_a_resting_gpu_is_not_accused_of_its_low_clock() -> None:
    assert accused(0.0, 345e6) == set()


def test_one_at_work_is() -> None:
    assert accused(0.9, 1.9e9) == {LOW}
