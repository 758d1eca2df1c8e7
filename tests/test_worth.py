"""Worth: a port that moves more may have more errors, in proportion; who has more for as much is told, and so is who moves nobody knows what."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from grayscope import assembly
from grayscope.batch import Batch
from grayscope.roster import RosterRow
from grayscope.settings import Settings

SECOND, PORTS, ONE = 1_000_000, 64, 21
RETRANSMITS, MOVED = 'nic_port_retransmits_total{cause="ack_timeout"}', 'nic_port_transferred_bytes_total{direction="transmit"}'


def accused(usual: float, errors: float, moved: float | None, ticks: int = 300) -> set[str]:
    """Return who is told where one port has so many times the errors that are usual in a tick, and moves so many times as much."""
    names, draw = tuple(f"n{i // 8:02}/nic{i % 8}" for i in range(PORTS)), np.random.default_rng(1)
    engine, found = assembly.engine(Settings(), periods={"nic": 10 * SECOND}), dict[str, str]()
    engine.step(tuple(RosterRow(s, "nic", keys={"node": s[:3], "job": "job:1", "sku": "A", "rail": f"rail:{s[-1]}"}) for s in names))
    one = np.arange(PORTS) == ONE
    for t in range(1, ticks):
        values: list[np.ndarray[Any, Any]] = [draw.poisson(usual * np.where(one, errors, 1.0))]
        if moved is not None:
            values.append(1e9 * np.where(one, moved, 1.0) * np.exp(0.05 * draw.standard_normal(PORTS)))
        metrics = (RETRANSMITS, MOVED)[: len(values)]
        for i in engine.step(Batch("nic", np.array([t * 10 * SECOND]), names, metrics, np.stack(values).astype(np.float32)[None])).incidents:
            found[i.id] = i.subject
    return set(found.values())


@pytest.mark.parametrize(("usual", "times"), [(0.5, 30.0), (20.0, 10.0), (400.0, 10.0)])
def test_as_many_more_errors_as_more_is_moved_are_nobodys_matter(usual: float, times: float) -> None:
    assert accused(usual, times, times, 150) == set()
    assert accused(usual, times, None, 150) == {"n02/nic5"}


@pytest.mark.parametrize("usual", [0.5, 5.0, 400.0])
def test_more_errors_for_as_much_are_told(usual: float) -> None:
    assert accused(usual, 4.0, 1.0) == {"n02/nic5"}
