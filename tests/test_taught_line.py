"""What is learned of loads, through the whole line: who has an open incident teaches nothing, and what changes for all is learned again."""

from __future__ import annotations

from collections.abc import Callable
from functools import partialmethod
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from grayscope.judge import Judge
from grayscope.loads import Loads
from tests.lined import Values, engine, roster, ticks

MINUTE, HOSTS, EACH, ONSET = 60_000_000, 4, 12, 150
BYTES, LATENCY = "drive_throughput_bytes_per_second", "drive_latency_seconds"
DRIVES = {f"h{h}/disk{d:02}": {"node": f"h{h}"} for h in range(HOSTS) for d in range(EACH)}
#: Where each lies among its host's by its load, from the idlest to the busiest.
PLACE = np.arange(HOSTS * EACH) % EACH
SICK = PLACE >= EACH - 2


def series(steep: float = 1.0, more: float = 1.0) -> dict[str, Values]:
    """Return loads that differ eightfold, and latencies that follow them: `steep` times as steeply from the onset on, and `more` for the sick."""
    rng, loads = np.random.default_rng(1), dict[int, NDArray[np.float64]]()

    def load(t: int) -> NDArray[np.float64]:
        if t not in loads:
            loads[t] = np.exp(np.linspace(-1, 1, EACH)[PLACE] + 0.2 * rng.standard_normal(len(PLACE)))
        return loads[t]

    def latency(t: int) -> NDArray[np.float64]:
        idle, later = 1 + (steep if t > ONSET else 1.0) * load(t), t > ONSET + 5 * (np.arange(len(PLACE)) // EACH)
        return 1e-4 * idle * np.exp(0.05 * rng.standard_normal(len(PLACE))) * np.where(SICK & later, more, 1.0)

    return {BYTES: lambda t: 1e8 * load(t), LATENCY: latency}


def learned(values: dict[str, Values], until: int) -> tuple[set[str], list[float], list[float], list[float]]:
    """Return who is accused and, every 25 ticks, how steep the fleet's curve is, what the sick are above it, and how far all lie from it."""
    line, accused = engine("drive", MINUTE), set[str]()
    steepness, above, away = list[float](), list[float](), list[float]()
    for tick in ticks(roster("drive", DRIVES), values, until, MINUTE):
        standing = line.compared(tick)
        accused |= {i.subject for i in line.judged(tick, standing).incidents if i.severity in ("page", "ticket")}
        if tick.time % (25 * MINUTE) == 0:
            residual = standing.residual[tick.metrics.index(LATENCY)]
            steepness.append(float(line.stand.loads.tables["drive"].fleet[0, 0]))
            above.append(float(np.median(residual[SICK])))
            away.append(float(residual.std()))
    return accused, steepness, above, away


def test_who_has_an_open_page_teaches_no_curve_over_load() -> None:
    """The two busiest drives of each host get half as slow again: by their own lights busy drives are slow."""
    accused, steepness, above, _ = learned(series(more=1.5), 300)
    assert accused == {name for name, sick in zip(DRIVES, SICK, strict=True) if sick}
    before = ONSET // 25 - 1
    assert abs(steepness[-1] - steepness[before]) < 0.01
    assert above[-1] > 0.35
    with mock.patch.object(Judge, "doubted", frozenset()):
        _, steepness, above, _ = learned(series(more=1.5), 300)
    assert steepness[-1] > steepness[before] + 0.02
    assert above[-1] < 0.3


def test_a_curve_that_changes_for_all_is_learned_again_and_accuses_nobody() -> None:
    """New firmware makes the latency of all drives three times as dependent on load: until that is learned again the busy ones look slow."""
    accused, steepness, _, away = learned(series(steep=3.0), 400)
    before, after = ONSET // 25 - 1, ONSET // 25
    assert not accused
    assert steepness[-1] > 1.3 * steepness[before]
    assert away[-1] < 1.2 * away[before] < 2 * away[before] < away[after]
    with mock.patch.object(Loads, "learn", partialmethod(_till_the_onset, Loads.learn)):
        _, _, _, away = learned(series(steep=3.0), 300)
    assert away[-1] > 2 * away[before]


def _till_the_onset(loads: Loads, learn: Callable[..., None], table: str, *told: NDArray[np.float32]) -> None:
    if loads.tables[table].ticks < ONSET:
        learn(loads, table, *told)
