"""A job of two kinds of ranks that the roster does not tell apart is one notice, through the whole line, and nobody is accused."""

from __future__ import annotations

from collections.abc import Iterator
from unittest import mock

import numpy as np

from grayscope import assembly
from grayscope.batch import Batch
from grayscope.message import Message
from grayscope.roster import RosterRow
from grayscope.settings import Settings

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
