"""Decoys: what looks like a fault of a part and is none (reference on telemetry, 9.2), through the whole line."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from grayscope import assembly
from grayscope.batch import Batch
from grayscope.incident import Incident
from grayscope.roster import RosterRow
from grayscope.settings import Settings
from tests.wholeline import GPUS, STEP, Line, ranks, seated

WIDTH = len(GPUS)
CORRECTED = 'gpu_ecc_corrected_errors_total{location="total",retention="volatile"}'
REMAPPED = 'gpu_rows_remapped_total{cause="uncorrected"}'
RANKS = ranks("job:1")


class Work:
    """Compute times of ranks that differ for ever."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.usual = np.exp(0.02 * self.rng.standard_normal(WIDTH))

    def times(self) -> NDArray[np.float64]:
        now: NDArray[np.float64] = self.usual * np.exp(0.01 * self.rng.standard_normal(WIDTH))
        return now


@pytest.mark.parametrize("scatter", [0.0, 0.5])
def test_the_first_steps_of_a_job_warm_up(scatter: float) -> None:
    """They take several times as long, on some ranks more than on others: caches are cold, kernels are compiled."""
    work = Work(4)

    def warming(t: int) -> dict[str, NDArray[np.float64]]:
        cold = 4.0 / t * np.exp(scatter * work.rng.standard_normal(WIDTH)) if t <= 3 else 1.0
        return {"compute_seconds": work.times() * cold}

    assert Line().feed("rank", RANKS, warming, 120, keys=seated("job:1")).states == []


def test_one_rank_s_first_step_accuses_it_of_nothing() -> None:
    work = Work(5)

    def warming(t: int) -> dict[str, NDArray[np.float64]]:
        return {"compute_seconds": work.times() * np.where((np.arange(WIDTH) == 5) & (t == 1), 10.0, 1.0)}

    assert Line().feed("rank", RANKS, warming, 120, keys=seated("job:1")).states == []


def test_a_clock_that_is_set_right_makes_nobody_late() -> None:
    """For one look the members on a node seem to have come half a second after the others."""
    work = Work(6)

    def late(t: int) -> dict[str, NDArray[np.float64]]:
        seems = np.abs(0.005 * work.rng.standard_normal(WIDTH)) + 0.5 * ((np.arange(WIDTH) // 8 == 1) & (t == 150))
        waits = np.abs(0.1 * work.rng.standard_normal(WIDTH))
        return {"compute_seconds": work.times(), "collective_late_seconds": seems, "collective_wait_seconds": waits}

    assert Line().feed("rank", RANKS, late, 220, keys=seated("job:1")).states == []


@pytest.mark.parametrize("shift", [0.5, -3.0, 45.0, -3600.0])
def test_rows_of_a_node_whose_clock_is_set_are_no_fault_of_its(shift: float) -> None:
    """At most they are not where they are looked for, which is a notice."""
    work, engine, found = Work(7), assembly.engine(Settings(), periods={"rank": STEP}), dict[str, Incident]()
    outputs = [engine.step(tuple(RosterRow(s, "rank", keys=seated("job:1")(i, s)) for i, s in enumerate(RANKS)))]
    for t in range(1, 220):
        times = work.times().astype(np.float32)
        for node in range(WIDTH // 8):
            here, moment = slice(8 * node, 8 * node + 8), t * STEP + (round(shift * 1e6) if node == 1 and t >= 150 else 0)
            outputs.append(engine.step(Batch("rank", np.array([moment]), RANKS[here], ("compute_seconds",), times[None, None, here])))
    for output in (*outputs, engine.flush()):
        found |= {i.id: i for i in output.incidents}
    assert {i.severity for i in found.values()} <= {"notice"}
    assert abs(shift) > 3 or not found


def test_a_noisy_counter_of_corrected_errors_is_no_more_urgent_than_a_quiet_remapping() -> None:
    """Thousands of corrected errors are hidden at no cost; a row that waits to be remapped is the one that fails."""
    rng = np.random.default_rng(8)

    def memory(t: int) -> dict[str, NDArray[np.float64]]:
        errors, rows, pending = (np.zeros(WIDTH) for _ in range(3))
        errors[3] = 200 * (t > 30 and rng.random() < 0.3)
        rows[20], pending[20] = t in (60, 200), t >= 60
        return {CORRECTED: errors, REMAPPED: rows, "gpu_row_remap_pending": pending, "gpu_power_watts": 600 + 5 * rng.standard_normal(WIDTH)}

    told = Line().feed("gpu", GPUS, memory, 320)
    assert sorted(told.names) == [(GPUS[3], "ticket", "ecc_burst"), (GPUS[20], "ticket", "remap_pending")]
    urgent = {a.annotations["subject"]: a.labels["urgency"] for a in told.alerts}
    assert urgent == {GPUS[3]: "long", GPUS[20]: "short"}
    noisy, quiet = (max(v.strength for _, v in told.verdicts if v.subject == s) for s in (GPUS[3], GPUS[20]))
    assert quiet > noisy
