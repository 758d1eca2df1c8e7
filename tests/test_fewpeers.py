"""Fewpeers: distances in groups of two come from the other one; a group of one has none, and larger groups keep what their median told."""

from __future__ import annotations

import math

import numpy as np
import pytest

from grayscope.catalogue import Catalogue
from grayscope.fewpeers import distances
from grayscope.roster import Roster, RosterRow
from grayscope.stand import Stand
from grayscope.tick import Tick


def test_two_are_compared_with_each_other_one_with_nobody_and_more_with_their_median() -> None:
    jobs = ["pair"] * 2 + ["lone"] + ["many"] * 5
    names = tuple(f"comm:{i}" for i in range(len(jobs)))
    view = Roster([RosterRow(n, "comm", keys={"job": job, "role": "node"}) for n, job in zip(names, jobs, strict=True)]).at(0)
    values = np.array([[0.4, 0.5, 0.3, 0.2, 0.2, 0.2, 0.2, 0.3]], np.float32)
    tick = Tick("comm", 10_000_000, 10_000_000, view, names, ("collective_transfer_seconds",), values, np.zeros(len(names), bool))
    standing = Stand(Catalogue.load()).step(tick)
    far, few = distances(tick, standing, 0)
    assert few.tolist() == [True, True] + [False] * 6
    assert far[1] == pytest.approx(math.log(0.5 / 0.4), rel=1e-5)
    assert far[0] == -far[1]
    assert math.isnan(far[2])
    assert far[3:].tolist() == standing.residual[0, 3:].tolist()
