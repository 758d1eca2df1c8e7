"""Summaries: what groups of a cell showed, told once per window, the same wherever a state cuts in; and cells that judge each other by it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from grayscope import assembly, plugins
from grayscope.batch import Batch
from grayscope.catalogue import Catalogue
from grayscope.cells import Cells
from grayscope.engine import Engine
from grayscope.frames import decode, encode
from grayscope.roster import RosterRow, View
from grayscope.settings import Settings
from grayscope.summaries import LEAST, Summaries, group_name
from grayscope.tick import Tick

SECOND = 1_000_000
H100 = "cell:a/gpu:sku=H100"


def tick(
    time: int, values: dict[str, list[float]], sku: str = "H100", names: tuple[str, ...] = ("n1/gpu0", "n1/gpu1", "n1/gpu2", "n1/gpu3", "n1/gpu4")
) -> Tick:
    metrics = tuple(sorted(values))
    view = View(0, {name: RosterRow(name, "gpu", keys={"sku": sku}) for name in names})
    matrix = np.array([values[m] for m in metrics], np.float32)
    return Tick("gpu", time * SECOND, 10 * SECOND, view, names, metrics, matrix, np.zeros(len(names), bool))


def summaries(window: int = 30) -> Summaries:
    return Summaries("a", Catalogue.load(), window * SECOND)


def cells(messages: Any) -> dict[tuple[str, str], float]:
    batches = [m for m in messages if isinstance(m, Batch)]
    return {(s, m): float(b.values[0, i, j]) for b in batches for i, m in enumerate(b.metrics) for j, s in enumerate(b.subjects)}


def test_a_window_tells_the_median_of_its_members_once() -> None:
    made = summaries()
    told = [made.step(tick(t, {"gpu_power_limit_watts": [700, 700, 690, 710, 500 + t]})) for t in (10, 20, 30)]
    assert told[:2] == [(), ()]
    rows: Any
    batch: Any
    rows, batch = told[2]
    assert [(r.subject, r.table, r.since, r.until, dict(r.keys)) for r in rows] == [(H100, "gpu", 30 * SECOND, None, {"sku": "H100"})]
    assert batch.times.tolist() == [30 * SECOND]
    # The last member showed 510, 520 and 530: it counts with the mean of its window.
    assert cells([batch]) == {
        (H100, "gpu_power_limit_watts"): 700,
        (H100, "gpu_power_limit_watts_members"): 5,
        (H100, "gpu_power_limit_watts_spread"): pytest.approx(14.826),
    }


def test_a_counter_tells_what_was_gained_in_the_window() -> None:
    made = summaries()
    for t in (10, 20):
        made.step(tick(t, {"pcie_x": [0] * 5, "gpu_nvlink_replays_total": [2] * 5}))
    told = cells(made.step(tick(30, {"pcie_x": [0] * 5, "gpu_nvlink_replays_total": [2, 2, 2, 2, np.nan]})))
    assert told[H100, "gpu_nvlink_replays_total"] == 6
    assert not any(metric.startswith("pcie_x") for _, metric in told)


def test_few_members_say_nothing_and_unknown_keys_make_no_group() -> None:
    made = summaries(10)
    few = [700.0] * (LEAST - 1) + [np.nan] * (6 - LEAST)
    assert cells(made.step(tick(10, {"gpu_power_limit_watts": few}))) == {}
    assert made.step(tick(20, {"gpu_power_limit_watts": [700] * 5}, sku="")) != ()  # the group that is gone
    assert made.rows == {}
    assert group_name("a", "gpu", ("job",), ("node:n1",)) == ""


def test_a_window_without_its_last_tick_ends_with_the_next_one() -> None:
    made = summaries()
    made.step(tick(20, {"gpu_power_limit_watts": [700] * 5}))
    told = made.step(tick(50, {"gpu_power_limit_watts": [600] * 5}))
    assert [m.times.tolist() for m in told if isinstance(m, Batch)] == [[30 * SECOND]]
    assert cells(told)[H100, "gpu_power_limit_watts"] == 700


def test_who_comes_in_the_middle_of_a_window_counts_and_who_is_gone_ends() -> None:
    made = summaries(20)
    made.step(tick(10, {"gpu_power_limit_watts": [700] * 4}, names=("n1/gpu0", "n1/gpu1", "n1/gpu2", "n1/gpu3")))
    told = cells(made.step(tick(20, {"gpu_ecc_mode_enabled": [1] * 5, "gpu_power_limit_watts": [700] * 5})))
    assert told[H100, "gpu_power_limit_watts_members"] == 5
    made.step(tick(30, {"gpu_power_limit_watts": [700] * 5}, sku="B200"))
    rows: Any = made.step(tick(40, {"gpu_power_limit_watts": [700] * 5}, sku="B200"))[0]
    assert [(r.subject, r.since, r.until) for r in rows] == [
        (H100, 20 * SECOND, 40 * SECOND), ("cell:a/gpu:sku=B200", 40 * SECOND, None),
    ]  # fmt: skip


@pytest.mark.parametrize("cut", [1, 3, 5])
def test_a_state_goes_on_where_it_was(cut: int) -> None:
    ticks = [tick(10 * t, {"gpu_power_limit_watts": [700 + t, 701, 690, 710, 500 + t]}) for t in range(1, 8)]
    whole, first, second = summaries(), summaries(), summaries()
    expected = [[encode(m) for m in whole.step(t)] for t in ticks]
    found = [[encode(m) for m in first.step(t)] for t in ticks[:cut]]
    second.restore(first.snapshot())
    found += [[encode(m) for m in second.step(t)] for t in ticks[cut:]]
    assert found == expected
    second.restore({})
    assert second.rows == {}


def test_groups_whose_names_are_the_same_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    made = summaries(10)
    names = tuple(f"n1/gpu{i}" for i in range(8))
    view = View(0, {n: RosterRow(n, "gpu", keys={"sku": "a/b" if i < 4 else "a_b"}) for i, n in enumerate(names)})
    values = np.full((1, 8), 700, np.float32)
    one = Tick("gpu", 10 * SECOND, 10 * SECOND, view, names, ("gpu_power_limit_watts",), values, np.zeros(8, bool))
    assert set(made.rows) == set()
    made.step(one)
    assert set(made.rows) == {"cell:a/gpu:sku=a_b"}
    assert made.left_out == 1
    monkeypatch.setattr("grayscope.summaries.GROUPS", 0)
    made.step(one)
    assert made.rows == {}


def test_the_state_of_a_cell_holds_its_open_window() -> None:
    def make(cell: str) -> Engine:
        engine = assembly.engine(Settings(detectors=("slower",)))
        engine.summaries = Summaries(cell, engine.catalogue, 30 * SECOND)
        return engine

    def message(t: int) -> Batch:
        return Batch("gpu", np.array([10 * t * SECOND]), tuple(rows), ("gpu_power_limit_watts",), np.array([[[700 + t, 701, 690, 710]]], np.float32))

    rows = {f"n1/gpu{i}": RosterRow(f"n1/gpu{i}", "gpu", keys={"sku": "H100"}) for i in range(4)}
    first, second = Cells(make), Cells(make)
    list(first.introduce(rows.values()))
    for t in range(1, 9):
        first.step("a", message(t))
    second.restore(first.snapshot())
    for t in range(9, 16):
        told = [[encode(m) for m in cells.step("a", message(t)).summaries] for cells in (first, second)]
        assert told[0] == told[1]
    assert first.engines["a"].counts["groups_left_out"] == 0


# -- cells against cells ---------------------------------------------------------------------------------------------------------

CELLS, RANKS, WINDOW = 8, 24, 60


def fleet(slow: dict[str, float], hours: float = 3.0, seed: int = 101) -> tuple[list[Any], Engine]:
    """Return the incidents of a fleet of eight cells with one job over all of them, and its engine; `slow` cells take so much longer."""
    settings = Settings(period=10.0, detectors=("slower", "became"))
    rng = np.random.default_rng(seed)
    queue = plugins.broker("memory")
    whole = assembly.engine(Settings(period=float(WINDOW), lateness=3.0 * WINDOW))
    engines = {f"pod{c}": assembly.engine(settings) for c in range(CELLS)}
    own = {cell: rng.normal(0, 0.01, RANKS) for cell in engines}
    incidents: list[Any] = []
    for cell, engine in engines.items():
        engine.summaries = Summaries(cell, engine.catalogue, WINDOW * SECOND)
        names = tuple(f"job:1/r{100 * int(cell[3:]) + r}" for r in range(RANKS))
        engine.step(tuple(RosterRow(s, "rank", keys={"job": "1", "role": "rank", "gpu": f"{cell}n{r // 8}/gpu{r % 8}"}) for r, s in enumerate(names)))
    for t in range(1, round(hours * 360) + 1):
        common = rng.normal(0, 0.01)
        for cell, engine in engines.items():
            late = slow.get(cell, 0.0) if t > 180 else 0.0
            values = 0.4 * np.exp(common + own[cell] + rng.normal(0, 0.01, RANKS) + late)
            names = tuple(f"job:1/r{100 * int(cell[3:]) + r}" for r in range(RANKS))
            output = engine.step(Batch("rank", np.array([t * 10 * SECOND]), names, ("compute_seconds",), values[None, None].astype(np.float32)))
            assert output.incidents == ()  # within the cell nobody differs
            for message in output.summaries:
                queue.send(message)
        for message in queue.receive():
            incidents += whole.step(decode(encode(message))).incidents
    return incidents, whole


def test_a_slow_cell_is_one_incident_of_its_group() -> None:
    incidents, _ = fleet({"pod3": 0.04})
    assert {i.id for i in incidents} == {incidents[0].id}
    last = incidents[-1]
    assert last.subject == "cell:pod3/rank:job=1,role=rank"
    assert last.ended is None
    assert "compute_seconds" in last.summary


def test_cells_that_are_alike_are_no_incident() -> None:
    incidents, engine = fleet({}, hours=3.0, seed=102)
    assert incidents == []
    assert engine.counts["ticks"] >= 170
