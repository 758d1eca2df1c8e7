"""Waiting: from a late rank to the one that made it late, through nested communicators."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from grayscope.blame import Blame
from grayscope.catalogue import Catalogue
from grayscope.evidence import Evidence, Finding
from grayscope.roster import RosterRow, View
from grayscope.stand import Stand
from grayscope.standing import Standing
from grayscope.tick import Tick

#: Eight ranks: tensor groups of two, data-parallel groups of four (the same place in every tensor group).
METRICS = ("collective_wait_seconds{group=\"data\"}", "collective_wait_seconds{group=\"tensor\"}", "compute_seconds")  # fmt: skip
ROWS = [RosterRow(f"job:1/r{i}", "rank", keys={"tensor": f"t{i // 2}", "data": f"d{i % 2}", "role": "dp", "gpu": f"n{i // 4}/gpu{i % 4}"}) for i in range(8)]
NAMES = tuple(r.subject for r in ROWS)
VIEW = View(1, {r.subject: r for r in ROWS})


def waits(slow: int, by: float) -> NDArray[np.float64]:
    """Return how long everybody waits in the data and in the tensor group, and computes, when one rank is slower."""
    compute = np.ones(8)
    compute[slow] += by
    tensor_end = np.array([max(compute[i // 2 * 2 : i // 2 * 2 + 2]) for i in range(8)])
    data_end = np.array([max(tensor_end[i % 2 :: 2]) for i in range(8)])
    return np.stack([data_end - tensor_end, tensor_end - compute, compute])


def ticks(slow: int, by: float, compute: bool = True, n: int = 60) -> list[tuple[Tick, Standing]]:
    rng, stand = np.random.default_rng(2), Stand(Catalogue.load())
    metrics = METRICS if compute else METRICS[:2]
    out = []
    for t in range(n):
        values = np.abs(waits(slow, by if t > 20 else 0.0) + 0.1 + rng.normal(0, 0.02, (3, 8)))[: len(metrics)]
        tick = Tick("rank", t, 10_000_000, VIEW, NAMES, metrics, values.astype(np.float32), np.zeros(8, bool))
        out.append((tick, stand.step(tick)))
    return out


def blamed(slow: int, accused: str, metric: str, compute: bool = True) -> list[Finding]:
    blame, found = Blame(), list[Finding]()
    for tick, standing in ticks(slow, 0.5, compute):
        last = tick.time == 59
        evidence = Evidence([Finding(tick.time, accused, "service", "slower", 9.0, "slow_rank", metric=metric, why="late")] if last else [])
        found += list(blame.step(evidence, tick, standing))
    return found


def test_the_mate_of_a_slow_rank_is_late_for_its_peers_and_cleared() -> None:
    (found,) = blamed(5, "job:1/r4", METRICS[0], compute=False)
    assert found.subject == "n1/gpu1"
    assert found.why.startswith("made job:1/r4 late: late")


def test_the_slow_rank_itself_is_kept() -> None:
    for metric in METRICS:
        (found,) = blamed(5, "job:1/r5", metric)
        assert found.subject == "n1/gpu1"
        assert found.why == "late (felt by job:1/r5)"


def test_nobody_is_moved_where_nobody_waits_long() -> None:
    (found,) = blamed(5, "job:1/r2", METRICS[0])
    assert (found.subject, found.side) == ("n0/gpu2", "service")


def test_a_victim_without_a_culprit_accuses_nobody() -> None:
    rows = {r.subject: RosterRow(r.subject, "rank", keys={**r.keys, "tensor": f"alone{i}"}) for i, r in enumerate(ROWS)}
    blame, view = Blame(), View(2, rows)
    for tick, standing in ticks(5, 0.5, compute=False):
        alone = Tick("rank", tick.time, tick.period, view, tick.subjects, tick.metrics, tick.values, tick.fresh)
        found = list(blame.step(Evidence([Finding(tick.time, "job:1/r4", "service", "slower", 9.0, metric=METRICS[0], why="late")]), alone, standing))
    assert (found[0].side, found[0].subject) == ("condition", "n1/gpu0")
    assert found[0].why.startswith(f"waited itself in {METRICS[1]}")
