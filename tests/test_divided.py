"""A job of two kinds of ranks that the roster does not tell apart is one notice, through the whole line, and nobody is accused."""

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
from tests.lined import brief, roster, told

MINUTE, RANKS, TICKS = 60_000_000, 64, 120


def messages(noise: float = 0.01) -> Iterator[Message]:
    """Yield a job of 64 ranks on 16 nodes; every fourth rank takes 10 % longer, whatever node it is on."""
    rng, names = np.random.default_rng(4), tuple(f"job:1/r{g}" for g in range(RANKS))
    yield tuple(RosterRow(r, "rank", keys={"gpu": f"n{g // 4}/gpu{g % 4}", "node": f"n{g // 4}", "job": "job:1", "role": "dp"}) for g, r in enumerate(names))
    slow = np.where(np.arange(RANKS) % 4 == 0, 1.1, 1.0)
    for t in range(1, TICKS + 1):
        values = (slow * np.exp(noise * rng.standard_normal(RANKS))).astype(np.float32)
        yield Batch("rank", np.array([t * MINUTE]), names, ("compute_seconds",), values[None, None])


def said() -> set[tuple[str, str, str]]:
    """Return subject, severity and mode of every incident."""
    engine = assembly.engine(Settings(false_pages_per_1000_gpu_weeks=10.0), periods={"rank": MINUTE})
    found = {i.id: i for message in messages() for i in engine.step(message).incidents} | {i.id: i for i in engine.flush().incidents}
    return {(i.subject, i.severity, i.mode) for i in found.values()}


def test_two_populations_are_one_notice_and_without_crowds_a_quarter_of_the_job_is_accused() -> None:
    assert said() == {("job:1", "notice", "group_shift")}
    with mock.patch("grayscope.horizons.crowds", return_value={}), mock.patch("grayscope.populations.divisions", return_value=()):
        accused = {subject for subject, severity, _ in said() if severity in ("page", "ticket")}
    assert accused == {f"n{n}/gpu0" for n in range(16)}


def test_members_that_stand_out_only_together_are_known_as_weak() -> None:
    for noise, weak in ((0.01, 0.0), (0.06, 1.0)):
        engine = assembly.engine(Settings(false_pages_per_1000_gpu_weeks=10.0), periods={"rank": MINUTE})
        told = [
            crowd
            for message in messages(noise)
            for tick in engine.align.step(message)
            for standing in (engine.compared(tick),)
            for detector in engine.detectors
            for crowd in detector.step(tick, standing).crowds
        ]
        assert {len(crowd.weak) / len(crowd.members) for crowd in told} == {weak}


def ranks(machines: int) -> dict[str, dict[str, str]]:
    return {f"job:1/r{i:03}": {"gpu": f"n{i // 8:02}/gpu{i % 8}", "node": f"n{i // 8:02}", "job": "job:1", "role": "dp"} for i in range(machines * 8)}


@pytest.mark.parametrize("onset", [0, 100])
@pytest.mark.parametrize("more", [0.05, 0.08, 0.15])
def test_two_machines_of_eight_that_are_slow_alike_are_one_notice_that_names_both(more: float, onset: int) -> None:
    """A quarter of the job: not accused, each by itself, as well as excused, both together."""
    rng, kind = np.random.default_rng(1), np.arange(64) // 8 % 4 == 0
    found = told(roster("rank", ranks(8)), {"compute_seconds": lambda t: np.exp(0.01 * rng.standard_normal(64) + more * (kind & (t > onset)))}, onset + 100)
    assert brief(found) == [("notice", "job:1", "group_shift")]
    assert "16 of 64 peers differ from the others in compute_seconds, first job:1/r000, all on n00 and n04: two populations" in found[0].summary


def test_two_machines_of_ten_are_told_each() -> None:
    rng, kind = np.random.default_rng(1), np.isin(np.arange(80) // 8, (0, 4))
    found = told(roster("rank", ranks(10)), {"compute_seconds": lambda t: np.exp(0.01 * rng.standard_normal(80) + 0.15 * kind)}, 100)
    assert [(subject, mode) for _, subject, mode in sorted(brief(found), key=lambda told: told[1])] == [("n00", "slow_silicon"), ("n04", "slow_silicon")]


@pytest.mark.parametrize(("share", "said"), [(2, []), (3, [("notice", "job:1", "group_shift")])])
def test_lower_clocks_of_many_machines_accuse_nobody(share: int, said: list[tuple[str, str, str]]) -> None:
    """Two kinds of GPUs that the roster does not tell apart: a notice where the fewer stand out from the more, silence where neither are fewer."""
    rng, kind = np.random.default_rng(2), np.arange(64) // 8 % share == 0
    keys = {f"n{i // 8:02}/gpu{i % 8}": {"node": f"n{i // 8:02}", "sku": "A", "job": "job:1"} for i in range(64)}
    values = {
        "gpu_clock_hertz": lambda t: 1.9e9 * (1 - 0.08 * kind) * np.exp(0.002 * rng.standard_normal(64)),
        "gpu_power_watts": lambda t: 600 + 5 * rng.standard_normal(64),
        "gpu_temperature_celsius": lambda t: 60 + 10 * kind + rng.standard_normal(64),
    }
    assert brief(told(roster("gpu", keys), values, 150)) == said


@pytest.mark.parametrize("share", [2, 3])
def test_what_the_work_feels_of_it_is_one_notice(share: int) -> None:
    rng, kind = np.random.default_rng(3), np.arange(64) // 8 % share == 0
    found = told(roster("rank", ranks(8)), {"compute_seconds": lambda t: np.exp(0.01 * rng.standard_normal(64) + 0.08 * kind)}, 100)
    assert brief(found) == [("notice", "job:1", "group_shift")]
