"""Collectives: the member that waits for nobody is the late one; a slow wire is nobody's lateness."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grayscope.collectives import Matching, Operation, bucket, lateness, spelled


def operation(sequence: int, member: int, seconds: float = 0.001, *, size: int = 3, kind: str = "allreduce", comm: str = "c") -> Operation:
    return Operation(comm, sequence, member, size, kind, 1 << 20, seconds)


def test_the_late_rank_and_the_slow_wire_are_told_apart() -> None:
    # The example of the reference: T = 1.2 ms and rank 5 late by 0.8 ms, against a wire that needs 2.0 ms. The means are nearly equal.
    late = np.full((10, 8), 2.0)
    late[:, 5] = 1.2
    slow = np.full((10, 8), 2.0)
    a, b = lateness(late), lateness(slow)
    assert a.transfer == pytest.approx(1.2)
    assert b.transfer == pytest.approx(2.0)
    assert a.late.argmax() == a.ratio.argmax() == a.wait.argmin() == 5
    assert a.late[5] == pytest.approx(0.8)
    assert (b.late == 0).all()
    assert (b.wait == 0).all()
    assert (b.ratio == 0.5).all()


def test_a_rotating_last_member_makes_nobody_late() -> None:
    inside = np.full((6, 3), 2.0)
    inside[np.arange(6), np.arange(6) % 3] = 1.0
    found = lateness(inside)
    assert np.ptp(found.ratio) == pytest.approx(0)
    assert np.ptp(found.late) == pytest.approx(0)


@given(st.integers(2, 9), st.integers(1, 20), st.integers(0, 10_000))
def test_lateness_is_fair_and_bounded(members: int, operations: int, seed: int) -> None:
    inside = np.random.default_rng(seed).lognormal(0, 1, (operations, members)) * 1e-3
    order = np.random.default_rng(seed + 1).permutation(members)
    found, moved = lateness(inside), lateness(inside[:, order])
    assert np.allclose(found.ratio[order], moved.ratio)
    assert np.allclose(found.wait[order], moved.wait)
    assert ((found.ratio >= 0) & (found.ratio <= 1)).all()
    assert found.ratio.mean() == pytest.approx(0.5)
    assert (found.wait >= 0).all()
    assert found.fastest.any(axis=1).all()


def test_members_may_tell_in_any_order_and_across_looks() -> None:
    matching = Matching()
    for sequence, member in ((1, 2), (2, 0), (1, 0)):
        matching.add(operation(sequence, member, 0.001 * (member + 1)))
    assert matching.complete() == []
    matching.add(operation(1, 1, 0.002))
    ((comm, inside),) = matching.complete()
    assert (comm, inside.tolist()) == ("c", [[0.001, 0.002, 0.003]])
    assert matching.complete() == []


def test_what_does_not_synchronise_or_has_no_peers_is_passed_over() -> None:
    matching = Matching()
    for member in range(3):
        matching.add(operation(1, member, kind="broadcast"))
        matching.add(operation(1, member, size=1))
        matching.add(operation(1, member + 3))
    assert matching.complete() == []


def test_two_collectives_of_one_number_but_different_size_are_not_mixed() -> None:
    matching = Matching()
    matching.add(operation(1, 0))
    matching.add(operation(1, 1)._replace(bytes=5))
    matching.add(operation(1, 2))
    assert matching.complete() == []


def test_members_elsewhere_do_not_fill_memory() -> None:
    matching = Matching(most=10)
    for sequence in range(1000):
        matching.add(operation(sequence, 0))
    assert matching.incomplete == 990
    for i in range(5000):
        matching.add(operation(1, 0, comm=f"c{i}"))
    assert len(matching._open) <= 4096


@pytest.mark.parametrize(("name", "want"), [("AllToAllv", "alltoall"), ("all_gather_into_tensor", "allgather"), ("nccl:reduce_scatter", "reducescatter")])
def test_names_of_operations_are_one(name: str, want: str) -> None:
    assert spelled(name) == want


def test_sizes_far_out_have_a_bucket() -> None:
    assert (bucket(-1), bucket(1), bucket(1 << 62)) == ("0B", "1B", "4EiB")
    assert math.isnan(operation(1, 0).start)
