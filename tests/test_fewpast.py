"""Fewpast: what groups of one, two and three ranks may say, from ticks to incidents."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest
from numpy.typing import NDArray

from grayscope import assembly
from grayscope.engine import Engine
from grayscope.incident import Incident
from grayscope.roster import Roster, RosterRow, View
from grayscope.settings import Settings
from grayscope.tick import Tick

PERIOD, JOBS, BEFORE, TICKS = 10_000_000, 12, 140, 260
PERIODS = {"node": PERIOD, "rank": PERIOD}
Change = Callable[[NDArray[np.float64]], None]


def fleet(size: int) -> View:
    """Return jobs of so many ranks, each on a machine of its own."""
    rows = []
    for j in range(JOBS):
        for r in range(size):
            gpu = f"n{j:02d}{r}/gpu0"
            rows.append(RosterRow(gpu[:4], "node", keys={"sku": "DGX"}))
            rows.append(RosterRow(gpu, "gpu", keys={"job": f"job:{j}", "sku": "H100", "node": gpu[:4]}))
            rows.append(RosterRow(f"job:{j:02d}/r{r}", "rank", keys={"gpu": gpu, "node": gpu[:4], "job": f"job:{j}", "role": "dp"}))
    return Roster(rows).at(0)


def lived(size: int, change: Change, sick: bool = False, wander: float = 0.0, halt: int = 0) -> Mapping[str, Incident]:
    """Return the incidents of a fleet whose first job changes after a while, by `change` of the logarithms of its ranks' times."""
    view, draw, n = fleet(size), np.random.default_rng(4), JOBS * size
    offset, engine, last = 0.04 * draw.standard_normal(n), assembly.engine(Settings(), periods=PERIODS), dict[str, Incident]()
    phase = np.zeros(JOBS)
    for t in range(1, TICKS):
        phase = 0.9 * phase + wander * draw.standard_normal(JOBS)
        late, fans = offset + np.repeat(phase, size) + 0.01 * draw.standard_normal(n), 9000 + 60 * draw.standard_normal(n)
        if t > BEFORE:
            change(late[:size])
            fans[0] *= 0.5 if sick else 1.0
        told(engine, last, t, view, "node", "fan_speed_rpm", fans)
        told(engine, last, t, view, "rank", "compute_seconds", np.exp(late))
        if t == halt:
            engine, state = assembly.engine(Settings(), periods=PERIODS), engine.snapshot()
            engine.restore(state)
    return last


def told(engine: Engine, last: dict[str, Incident], t: int, view: View, table: str, metric: str, values: NDArray[np.float64]) -> None:
    names = view.tables[table]
    tick = Tick(table, t * PERIOD, PERIOD, view, names, (metric,), values.astype(np.float32)[None], np.zeros(len(names), bool))
    last |= {i.id: i for i in engine.judged(tick, engine.compared(tick)).incidents}


def first(late: NDArray[np.float64]) -> None:
    late[0] += 0.4


def everybody(late: NDArray[np.float64]) -> None:
    late += 0.4


def unevenly(late: NDArray[np.float64]) -> None:
    late += 0.3 + 0.1 * np.arange(len(late))


def another_is_faster(late: NDArray[np.float64]) -> None:
    late[1:] -= 0.4


def handed_over(late: NDArray[np.float64]) -> None:
    late[0] += 0.3
    late[1:] -= 0.35


@pytest.mark.parametrize("size", [2, 3])
def test_who_leaves_its_past_while_the_others_keep_theirs_is_named(size: int) -> None:
    (found,) = lived(size, first, wander=0.02).values()
    assert (found.subject, found.mode, found.severity) == ("n000/gpu0", "slow_rank", "page")
    assert "its own past beside the same peers" in found.summary or "what it was just before" in found.summary
    assert f"{size - 1} of them" in found.summary


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("change", [everybody, unevenly, another_is_faster, handed_over])
def test_what_all_of_a_small_group_share_or_hand_on_accuses_nobody(size: int, change: Change) -> None:
    assert not lived(size, change, wander=0.02)


def test_one_alone_is_accused_only_where_its_machine_s_condition_agrees() -> None:
    assert not lived(1, first)
    (alone,) = lived(1, lambda late: None, sick=True).values()
    assert alone.severity == "ticket"
    (found,) = lived(1, first, sick=True).values()
    assert (found.severity, found.mode) == ("page", "fan_degraded")
    assert any("no peers beside it" in str(e) and "the condition of n000 agrees" in str(e) for e in found.evidence)


def test_a_halt_in_the_middle_changes_nothing() -> None:
    whole, halted = lived(2, first), lived(2, first, halt=BEFORE + 2)
    assert list(whole.values()) == list(halted.values())
    assert whole
