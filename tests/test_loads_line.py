"""What the load's curve earns through the whole line: without it a busy drive is accused and a tired idle one is not."""

from __future__ import annotations

from collections.abc import Iterator
from unittest import mock

import numpy as np
import pytest

from grayscope import assembly
from grayscope.batch import Batch
from grayscope.message import Message
from grayscope.roster import RosterRow
from grayscope.settings import Settings

MINUTE, TICKS, HOSTS, EACH = 60_000_000, 600, 4, 12
BUSY, TIRED = "h1/disk05", "h2/disk07"
METRICS = ("drive_throughput_bytes_per_second", "drive_latency_seconds")


def messages(seed: int) -> Iterator[Message]:
    """Yield drives whose latency follows their load, which wanders; half-way one gets four times as much and another a fourth and is 40 % slower."""
    rng, names = np.random.default_rng(seed), tuple(f"h{h}/disk{d:02d}" for h in range(HOSTS) for d in range(EACH))
    yield tuple(RosterRow(n, "drive") for n in names)
    wander = rng.normal(0, 0.5, len(names))
    for t in range(1, TICKS + 1):
        wander = 0.9 * wander + np.sqrt(1 - 0.9**2) * rng.normal(0, 0.5, len(names))
        late, lately = t > TICKS // 2, wander.copy()
        lately[names.index(BUSY)] += late * np.log(4)
        lately[names.index(TIRED)] -= late * np.log(4)
        use = np.exp(lately)
        latency = 1e-4 * (1 + use) * np.exp(rng.normal(0, 0.05, len(names)))
        latency[names.index(TIRED)] *= 1 + 0.4 * late
        yield Batch("drive", np.array([t * MINUTE]), names, METRICS, np.stack([1e8 * use, latency]).astype(np.float32)[:, :, None].transpose(2, 0, 1))


def accused(seed: int) -> set[str]:
    """Return the subjects of all pages and tickets."""
    engine = assembly.engine(Settings(false_pages_per_1000_gpu_weeks=10.0), periods={"drive": MINUTE})
    found = {i.id: i for message in messages(seed) for i in engine.step(message).incidents} | {i.id: i for i in engine.flush().incidents}
    return {i.subject for i in found.values() if i.severity in ("page", "ticket")}


@pytest.mark.parametrize("seed", [1, 2])
def test_a_tired_drive_is_found_behind_its_low_load_and_a_busy_one_is_let_be(seed: int) -> None:
    assert accused(seed) == {TIRED}
    with mock.patch("grayscope.loads.Loads.learn"):
        assert accused(seed) == {BUSY}
