"""A job on two machines of which one gets slower as a whole: a notice that names the job and the machine, and nobody is accused."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from grayscope import assembly
from grayscope.batch import Batch
from grayscope.incident import Incident
from grayscope.message import Message
from grayscope.roster import RosterRow
from grayscope.settings import Settings

TICK, RANKS = 10_000_000, 64
HOT = 'gpu_clock_limit_seconds_total{reason="thermal_software"}'


def messages(slow: range) -> Iterator[Message]:
    """Yield four jobs on two machines of eight ranks each; some ranks take 10 % longer from the 150th tick on."""
    rng, names = np.random.default_rng(5), tuple(f"job:{g // 16}/r{g % 16:02}" for g in range(RANKS))
    keys = [{"gpu": f"n{g // 8}/gpu{g % 8}", "node": f"n{g // 8}", "job": f"job:{g // 16}", "role": "dp"} for g in range(RANKS)]
    yield tuple(RosterRow(r, "rank", keys=k) for r, k in zip(names, keys, strict=True))
    for t in range(1, 300):
        longer = 0.1 * (np.isin(np.arange(RANKS), slow) & (t > 150))
        values = np.exp(0.01 * rng.standard_normal(RANKS) + longer).astype(np.float32)
        yield Batch("rank", np.array([t * TICK]), names, ("compute_seconds",), values[None, None])


def said(slow: range) -> dict[str, tuple[str, str, str]]:
    """Return severity, mode and words of every incident, by subject."""
    engine = assembly.engine(Settings(), periods={"rank": TICK})
    found = {i.id: i for message in messages(slow) for i in engine.step(message).incidents} | {i.id: i for i in engine.flush().incidents}
    return {i.subject: (i.severity, i.mode, i.summary) for i in found.values()}


def test_one_of_two_machines_is_a_notice_for_which_of_both_changed_cannot_be_told() -> None:
    found = said(range(24, 32))
    assert {subject: told[:2] for subject, told in found.items()} == {"job:1": ("notice", "group_shift")}
    assert "all on n3" in found["job:1"][2]


def test_three_ranks_of_one_of_two_machines_are_accused() -> None:
    assert {severity for severity, _, _ in said(range(24, 27)).values()} == {"page"}


def told_of(hot: int, slow: int, when: range = range(151, 300), size: float = 0.1) -> set[tuple[str, str, str]]:
    """Return subject, severity and mode of what is told where one machine gets hot at some time and one, or another, slower from the 150th tick on."""
    rng, gpus, ranks = np.random.default_rng(7), [f"n{g // 8}/gpu{g % 8}" for g in range(RANKS)], [f"job:{g // 16}/r{g % 16:02}" for g in range(RANKS)]
    keys = [{"gpu": gpus[g], "node": f"n{g // 8}", "job": f"job:{g // 16}", "role": "dp", "sku": "A"} for g in range(RANKS)]
    rows = (*(RosterRow(s, "gpu", keys=k) for s, k in zip(gpus, keys, strict=True)), *(RosterRow(s, "rank", keys=k) for s, k in zip(ranks, keys, strict=True)))
    engine, found = assembly.engine(Settings(), periods={"rank": TICK, "gpu": TICK}), dict[str, Incident]()
    engine.step(rows)
    for t in range(1, 300):
        on = np.arange(RANKS) // 8
        limited = 10 * ((on == hot) & (t in when)) * rng.uniform(0.3, 1.0, RANKS)
        took = np.exp(0.01 * rng.standard_normal(RANKS) + size * ((on == slow) & (t > 150)))
        told = (("gpu", gpus, HOT, limited), ("rank", ranks, "compute_seconds", took))
        for table, names, metric, values in told:
            batch = Batch(table, np.array([t * TICK]), tuple(names), (metric,), values.astype(np.float32)[None, None])
            found |= {i.id: i for i in engine.step(batch).incidents}
    return {(i.subject, i.severity, i.mode) for i in found.values()}


def test_one_of_two_machines_that_is_hot_is_a_page_for_its_heat_tells_which_of_both_changed() -> None:
    assert told_of(3, 3) == {("n3", "page", "thermal_throttle")}


def test_where_the_cool_one_is_slower_its_peer_s_heat_explains_nothing() -> None:
    assert told_of(3, 2) == {("n3", "ticket", "thermal_throttle"), ("job:1", "notice", "group_shift")}


@pytest.mark.parametrize("when", [range(20, 300), range(60, 90), range(230, 300)])
def test_heat_that_was_there_long_before_is_over_or_came_after_explains_nothing(when: range) -> None:
    """The other machine gets faster: which of both changed nobody can tell."""
    assert told_of(3, 2, when, -0.1) == {("n3", "ticket", "thermal_throttle"), ("job:1", "notice", "group_shift")}
