"""Doubts: whose measurements nothing is learned from, by name, by GPU and by what they lie in."""

from __future__ import annotations

import numpy as np

from grayscope.doubts import Doubts
from grayscope.roster import RosterRow, View
from grayscope.tick import Tick

SUBJECTS = ("job:1/r0", "job:1/r1", "job:2/r0")


def tick(view: View, subjects: tuple[str, ...] = SUBJECTS) -> Tick:
    values = np.ones((1, len(subjects)), np.float32)
    return Tick("rank", 1, 1, view, subjects, ("step_seconds",), values, np.zeros(len(subjects), bool), ())


def test_a_rank_is_doubted_with_its_gpu_and_with_what_that_lies_in() -> None:
    view = View(0, {s: RosterRow(s, "rank", keys={"gpu": f"n{i}/gpu0"}) for i, s in enumerate(SUBJECTS)})
    doubts = Doubts()

    def found(*names: str) -> list[bool]:
        return [bool(x) for x in doubts.of(tick(view), frozenset(names))]

    assert found() == [False, False, False]
    assert found("n1/gpu0") == [False, True, False]
    assert found("job:2/r0", "n0/") == [True, False, True]
    assert found("n0", "job:1/", "n9/gpu0") == [False, False, False]  # a rank lies where its GPU does
    assert found() == [False, False, False]


def test_a_new_roster_is_looked_at_again() -> None:
    doubts, one = Doubts(), frozenset(["n1/gpu0"])
    first, second = View(0, {}), View(1, {"job:1/r1": RosterRow("job:1/r1", "rank", keys={"gpu": "n1/gpu0"})})
    assert doubts.of(tick(first), one).tolist() == [False, False, False]
    assert doubts.of(tick(second), one).tolist() == [False, True, False]
    assert doubts.of(tick(second), one) is doubts.of(tick(second), one)
    assert doubts.of(tick(second, ("n1/gpu0",)), one).tolist() == [True]
