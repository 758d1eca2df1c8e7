"""Feltin: a part is felt where the roster says that it is, and nowhere where the roster does not say."""

from __future__ import annotations

import numpy as np

from grayscope.feltin import FeltIn
from grayscope.roster import Roster, RosterRow
from grayscope.tick import Tick


def test_a_rank_of_which_no_gpu_is_known_feels_no_gpu() -> None:
    names = ("job:1/r0", "job:1/r1")
    rows = [RosterRow(names[0], "rank", keys={"job": "job:1"}), RosterRow(names[1], "rank", keys={"job": "job:1", "gpu": "n1/gpu1"})]
    view = Roster([*rows, RosterRow("n1/gpu0", "gpu"), RosterRow("n1/gpu1", "gpu")]).at(0)
    tick = Tick("rank", 0, 1, view, names, ("compute_seconds",), np.ones((1, 2), np.float32), np.zeros(2, bool))
    felt = FeltIn()
    assert [felt.of(tick, part, "hbm_ecc") for part in ("n1/gpu0", "n9", "n1/gpu1")] == [[], [], [1]]
