"""Pathsolve: few components explain many paths; what cannot be told apart is said to be so."""

from __future__ import annotations

import numpy as np
import pytest

from grayscope.pathsolve import Incidence, solve

NODES = 8
#: Every pair goes over one of four spines, and over a cable of its source and one of its target that nobody else uses.
PAIRS = [(a, b) for a in range(NODES) for b in range(NODES) if a != b]
CROSSED = [(f"n{a}/nic0", f"n{a}/cable", f"leaf{a // 4}", f"spine{(3 * a + b) % 4}", f"leaf{b // 4}", f"n{b}/nic0", f"n{b}/cable") for a, b in PAIRS]


def noise(seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, len(PAIRS))


def add(*names: str, size: float = 6.0) -> np.ndarray:
    return np.array([size * sum(n in crossed for n in names) for crossed in CROSSED])


def test_a_spine_behind_ecmp_is_named() -> None:
    (found,) = solve(Incidence(CROSSED), noise() + add("spine2"))
    assert found.names[0][0] == "spine2"
    assert found.names[0][1] > 0.9
    assert found.effect == pytest.approx(6, abs=1)


def test_what_is_always_crossed_together_is_one_set_of_candidates() -> None:
    (found,) = solve(Incidence(CROSSED), noise() + add("n3/nic0"))
    assert found.names == (("n3/cable", 0.5), ("n3/nic0", 0.5))
    (told,) = solve(Incidence(CROSSED), noise() + add("n3/nic0"), {"n3/nic0": 9.0})
    assert told.names == (("n3/nic0", 0.9), ("n3/cable", 0.1))


def test_two_faults_at_once_are_both_named_and_each_is_needed() -> None:
    found = solve(Incidence(CROSSED), noise() + add("n1/nic0", "n6/nic0"))
    assert {s.names[0][0] for s in found} == {"n1/cable", "n6/cable"}
    assert sum(s.explained for s in found) == pytest.approx(1)


@pytest.mark.parametrize("seed", range(20))
def test_noise_and_a_single_wild_path_accuse_nobody(seed: int) -> None:
    wild = noise(seed)
    wild[5] += 50
    assert solve(Incidence(CROSSED), wild) == []


def test_what_all_paths_share_is_nobodys_fault() -> None:
    assert solve(Incidence(CROSSED), noise() + 9) == []


def test_unknown_paths_are_left_out() -> None:
    excess = noise() + add("spine1")
    excess[::3] = np.nan
    assert solve(Incidence(CROSSED), excess)[0].names[0][0] == "spine1"
    assert solve(Incidence(CROSSED), np.full(len(PAIRS), np.nan)) == []
    assert solve(Incidence([]), np.array([])) == []
