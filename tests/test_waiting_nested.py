"""Waiting through three nested communicators, from ticks to incidents: one rank is slower, and nobody else is accused."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from grayscope import assembly
from grayscope.explaining import explain
from grayscope.incident import Incident
from grayscope.roster import Roster, RosterRow, View
from grayscope.settings import Settings
from grayscope.tick import Tick

#: Tensor groups of four, pipelines of two stages, eight copies: a rank is (copy, stage, place).
PERIOD, SHAPE, SLOW, BEFORE = 10_000_000, (8, 2, 4), (2, 1, 1), 80
METRICS = tuple(f'collective_wait_seconds{{group="{g}"}}' for g in ("tensor", "pipeline", "data"))


def roster() -> View:
    rows = []
    for r, (d, p, t) in enumerate(np.ndindex(SHAPE)):
        gpu = f"n{r // 8:02d}/gpu{r % 8}"
        keys = {"gpu": gpu, "node": gpu[:3], "job": "job:1", "role": f"pp{p}", "tensor": f"{d}.{p}", "pipeline": f"{d}.{t}", "data": f"{p}.{t}"}
        rows.append(RosterRow(f"job:1/r{r:03d}", "rank", keys=keys))
    return Roster(rows).at(0)


def waits(compute: NDArray[np.float64], draw: np.random.Generator) -> NDArray[np.float64]:
    """Return the waits [3, ranks]: whoever is first in a group waits for its last, then all of them go on to the next group."""
    ends = [compute]
    for over in ((2,), (1,), (0, 1, 2)):
        ends.append(np.broadcast_to(ends[-1].max(axis=over, keepdims=True), SHAPE))
    return np.stack([b - a + 0.02 + 0.003 * np.abs(draw.standard_normal(SHAPE)) for a, b in pairwise(ends)]).reshape(3, -1)


@pytest.mark.parametrize(("by", "computed"), [(0.05, False), (0.05, True), (0.3, False)])
def test_only_the_rank_that_nobody_kept_waiting_is_accused(by: float, computed: bool) -> None:
    view, draw, engine, last = roster(), np.random.default_rng(1), assembly.engine(Settings(), periods={"rank": PERIOD}), dict[str, Incident]()
    names = view.tables["rank"]
    for t in range(BEFORE + 60):
        compute = 1 + 0.01 * draw.standard_normal(SHAPE)
        compute[SLOW] += by if t > BEFORE else 0.0
        values = [*waits(compute, draw), *([compute.ravel()] if computed else [])]
        metrics = (*METRICS, "compute_seconds")[: len(values)]
        tick = Tick("rank", (t + 1) * PERIOD, PERIOD, view, names, metrics, np.array(values, np.float32), np.zeros(len(names), bool))
        last |= {i.id: i for i in engine.judged(tick, engine.compared(tick)).incidents}
    (found,) = last.values()
    assert (found.subject, found.severity) == ("n02/gpu5", "page")
    assert "cleared: job:1/r0" in explain(found)
    assert "(they wait for it)" in explain(found)
