"""Align: a wrong clock closes nobody's ticks, and a fleet that really moved is followed."""

from __future__ import annotations

import numpy as np
import pytest

from grayscope.align import Align
from grayscope.event import heartbeat
from grayscope.tick import Tick
from tests.aligning import T0, S, rows, run, station

FLEET = tuple(f"n{i}" for i in range(8))


def fleet(align: Align, ticks: range, leave_out: str = "") -> list[Tick]:
    names = [n for n in FLEET if n != leave_out]
    return run(align, [rows("gpu", [T0 + k * 10 * S], [n]) for k in ticks for n in names], flush=False)


def test_one_wrong_clock_closes_nobodys_ticks() -> None:
    align = station()
    fleet(align, range(1, 10))
    ahead = [rows("gpu", [T0 + k * 10 * S + 3601 * S], ["n3"]) for k in range(10, 14)]
    assert run(align, ahead, flush=False) == []
    ticks = fleet(align, range(10, 20), leave_out="n3")
    assert align.counts["late"] == 0
    assert all(np.isfinite(np.delete(t.values, 3)).all() for t in ticks)
    run(align, [], flush=True)
    assert align.counts["clock_ahead"] == 4


def test_a_wrong_clock_that_speaks_first_is_overruled() -> None:
    align = station()
    run(align, [rows("gpu", [T0 + 86400 * S], ["n3"])], flush=False)
    ticks = fleet(align, range(1, 20), leave_out="n3")
    assert align.counts["late"] == 0
    assert np.isfinite(np.delete(ticks[-1].values, FLEET.index("n3") if "n3" in ticks[-1].subjects else [])).all()
    assert ticks[-1].time < T0 + 200 * S


def test_a_clock_of_1970_that_speaks_first_holds_nobody_back() -> None:
    align = station()
    run(align, [rows("gpu", [100 * S], ["n3"])], flush=False)
    for k in range(1, 20):
        fleet(align, range(k, k + 1), leave_out="n3")
        ticks = run(align, [rows("gpu", [(100 + 10 * k) * S], ["n3"])], flush=False)
    ticks = fleet(align, range(20, 30), leave_out="n3")
    assert ticks[-1].time >= T0 + 250 * S
    assert np.isfinite(np.delete(ticks[-1].values, 3)).all()
    assert align.counts["late"] >= 10


@pytest.mark.parametrize("first", [0, 1])
def test_of_two_nodes_the_one_without_battery_is_not_believed(first: int) -> None:
    align = station()
    pair = [[rows("gpu", [T0 + k * 10 * S], ["n0"]), rows("gpu", [k * 10 * S], ["n1"])] for k in range(1, 40)]
    ticks = run(align, [m for two in pair for m in (two[first], two[1 - first])], flush=False)
    assert align.now == T0 + 390 * S
    n0 = {t.time: t.values[0, t.subjects.index("n0")] for t in ticks if "n0" in t.subjects}
    assert all(n0[T0 + k * 10 * S] == 1.0 for k in range(6, 35))


def test_a_wrong_heartbeat_is_not_believed() -> None:
    align = station()
    fleet(align, range(1, 10))
    assert run(align, [heartbeat(T0 + 86400 * S, "n3")], flush=False) == []
    assert fleet(align, range(10, 12))[-1].time == T0 + 110 * S


def test_a_fleet_that_jumps_ahead_is_followed() -> None:
    align = station()
    fleet(align, range(1, 10))
    ticks = fleet(align, range(1000, 1010))
    assert T0 + 10_000 * S in [t.time for t in ticks]
    assert align.counts["clock_ahead"] == align.counts["late"] == 0


def test_the_only_node_left_is_followed_in_the_end() -> None:
    align = station()
    fleet(align, range(1, 10))
    ticks = run(align, [rows("gpu", [T0 + k * 10 * S], ["n3"]) for k in range(1000, 1060)], flush=False)
    assert ticks[-1].time >= T0 + 10_500 * S


def test_old_jumps_of_single_clocks_do_not_add_up_to_a_majority() -> None:
    align = station()
    fleet(align, range(1, 10))
    for i, name in enumerate(FLEET):
        start = 10 + i * 400  # more than an hour apart
        run(align, [rows("gpu", [T0 + start * 10 * S + 3700 * S], [name])], flush=False)
        fleet(align, range(start, start + 400, 5))
    assert align.now is not None
    assert align.now <= T0 + 4000 * 10 * S
    assert align.counts["late"] == 0
    assert len(align.clock.held) <= 1
