"""Groups of four to seven through the whole line: beside few peers evidence counts for less, and who became slower is known by its own past."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pytest

from tests.lined import brief, roster, told

ONSET = 120
SLOW, EVER = [("page", "n01/gpu0", "slow_rank")], [("ticket", "n01/gpu0", "slow_silicon")]


def said(size: int, since: int, jobs: int = 10, until: int = 200) -> list[tuple[str, str, str]]:
    """Return what is told of jobs of so many ranks, a machine each, of which one takes 30 % longer from a tick on."""
    many, rng = size * jobs, np.random.default_rng(1)
    keys = {f"job:{i // size}/r{i % size}": {"gpu": f"n{i:02}/gpu0", "node": f"n{i:02}", "job": f"job:{i // size}", "role": "dp"} for i in range(many)}
    usual = np.exp(0.02 * rng.standard_normal(many))
    values = {"compute_seconds": lambda t: usual * np.exp(0.01 * rng.standard_normal(many)) * np.where((np.arange(many) == 1) & (t > since), 1.3, 1.0)}
    return brief(told(roster("rank", keys), values, until))


@pytest.mark.parametrize("size", [4, 5, 6, 7])
def test_who_became_slower_is_found_by_its_own_past(size: int) -> None:
    assert said(size, ONSET) == SLOW


def test_two_jobs_of_four_are_enough_to_know_who_became_slower() -> None:
    assert said(4, ONSET, jobs=2) == SLOW


def test_who_has_always_been_slower_is_found_beside_five_peers() -> None:
    assert said(6, 0) == EVER


def test_beside_three_peers_the_same_is_not_enough() -> None:
    assert said(4, 0) == []
    with mock.patch("grayscope.horizons.known_by", lambda others, strength: strength):
        assert said(4, 0) == EVER
