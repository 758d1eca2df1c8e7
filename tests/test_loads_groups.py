"""Loads: what is known follows groups and parts, through other layouts and restarts."""

from __future__ import annotations

import numpy as np
import pytest

from grayscope import loadcurves, loads
from grayscope.catalogue import Catalogue
from grayscope.roster import Roster, RosterRow
from grayscope.stand import Stand
from tests.loaded import DRIVE, drives, queues, stood, ticks


def test_restored_it_goes_on_bit_for_bit() -> None:
    values, view = queues()[:150], drives()
    told = ticks(DRIVE, values, view)
    one, two = Stand(Catalogue.load()), Stand(Catalogue.load())
    for tick in told[:100]:
        one.step(tick)
    two.restore(one.snapshot())
    assert one.loads.tables["drive"].curve.any()
    for tick in told[100:]:
        assert one.step(tick).residual.tobytes() == two.step(tick).residual.tobytes()
    state, other = one.snapshot(), two.snapshot()
    assert all(state[k].tobytes() == other[k].tobytes() for k in state)


def test_another_order_of_subjects_gives_the_same() -> None:
    values, view = queues()[:150], drives()
    swap = np.random.default_rng(9).permutation(48)
    names = view.tables["drive"]
    renamed = {names[i]: f"h{names[old].partition('/')[0]}/disk{i:02d}" for i, old in enumerate(swap)}
    other = Roster([RosterRow(name, "drive") for name in renamed.values()]).at(0)
    where = dict(zip(renamed.values(), swap.tolist(), strict=True))
    order = [where[name] for name in other.tables["drive"]]
    before, _ = stood(DRIVE, values, view)
    after, _ = stood(DRIVE, values[:, :, order], other)
    np.testing.assert_allclose(after, before[:, order], atol=1e-5)


def test_a_group_keeps_its_curve_when_others_come() -> None:
    memory = loads.Loads()
    memory.lay_out("gpu", {"t": (("b",),)}, np.ones(1, np.float32), np.array([[16]]))
    memory.tables["gpu"].curve[0, 0] = 1, 2, 3
    memory.tables["gpu"].pooled[0] = 7
    memory.lay_out("gpu", {"s": (("b",),), "t": (("a",), ("b",))}, np.ones(2, np.float32), np.array([[20, 0], [16, 15]]))
    now = memory.tables["gpu"]
    assert [[now.curve[r, c].tolist() for c in now.seat[r]] for r in (0, 1)] == [[[0, 0, 0], [0, 0, 0]], [[0, 0, 0], [1, 2, 3]]]
    assert now.pooled[:, 0].tolist() == [0, 7]


@pytest.mark.parametrize(("members", "keeps"), [(15, True), (4, True), (3, False)])
def test_a_group_that_shrinks_keeps_what_it_learned_while_it_is_compared(members: int, keeps: bool) -> None:
    memory = loads.Loads()
    memory.lay_out("gpu", {"t": (("a",), ("b",))}, np.ones(1, np.float32), np.array([[15, 16]]))
    assert memory.tables["gpu"].seat.tolist() == [[1, 0]]
    memory.tables["gpu"].own[0, 0] = 5
    memory.lay_out("gpu", {"t": (("b",), ("c",))}, np.ones(1, np.float32), np.array([[members, 40]]))
    now = memory.tables["gpu"]
    assert now.seat.tolist() == [[0, 1]] if keeps else [[1, 0]]
    assert now.own[0, :, 0].tolist() == ([5, 0] if keeps else [0])


def test_a_new_group_begins_with_what_the_fleet_knows() -> None:
    values, view = queues()[:150], drives()
    stand = Stand(Catalogue.load())
    for tick in ticks(DRIVE, values, view):
        stand.step(tick)
    stand.step(ticks(DRIVE, np.repeat(values[-1:], 2, axis=2)[:, :, :60], drives(hosts=5))[0])
    drive = stand.loads.tables["drive"]
    first, new = drive.curve[0, drive.seat[0, 0]], drive.curve[0, drive.seat[0, 4]]
    assert new.any()
    assert new.tolist() == pytest.approx(first.tolist(), rel=0.1)


def test_groups_with_one_curve_in_common_have_none_of_their_own() -> None:
    rng = np.random.default_rng(3)
    u = rng.normal(0, 1, (2, 64))
    sums = np.stack([loadcurves.moments(u[0], 2 * u[0]), loadcurves.moments(u[1], -u[1])])[None]
    curves = {}
    for common in (frozenset(), frozenset({"t"})):
        memory = loads.Loads()
        memory.lay_out("drive", {"t": (("a",), ("b",))}, np.ones(1, np.float32), np.array([[64, 64]]), common)
        a = memory.tables["drive"]
        seated = np.zeros((1, a.curve.shape[1], sums.shape[-1]))
        np.add.at(seated[0], a.seat[0], sums[0])
        for _ in range(32):
            memory.learn("drive", seated, np.zeros((2, 1, 2), np.float32), np.array([[0, 1]], np.int32))
        curves[bool(common)] = a.curve[:, a.seat[0]]
    assert not np.array_equal(curves[False][0, 0], curves[False][0, 1])
    assert np.array_equal(curves[True][0, 0], curves[True][0, 1])
    assert curves[True].any()
