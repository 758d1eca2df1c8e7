"""Stocks of the ledger: what other parts show of how regularly steps come narrows the forecast of one that has just begun."""

from __future__ import annotations

import numpy as np
import pytest

from grayscope import plugins
from grayscope.catalogue import Catalogue
from grayscope.ledger import Entry
from grayscope.roster import Roster, RosterRow
from grayscope.stand import Stand
from grayscope.tick import Tick

HOUR = 3_600_000_000
METRIC = "gpu_rows_remapped_total"


def forecast(others: int, every: int) -> Entry:
    """Return what the ledger says last of a GPU that lost four rows within a day, beside others that lost one every so many hours before."""
    names = tuple(f"n{i}/gpu0" for i in range(others + 1))
    view = Roster([RosterRow(name, "gpu") for name in names]).at(0)
    stand, ledger, told = Stand(Catalogue.load()), plugins.load("detectors", "ledger")(), list[Entry]()
    for hour in range(1, 190):
        lost = np.zeros((1, others + 1), np.float32)
        lost[0, :others] = hour % every == 0 and hour < 150
        lost[0, others] = hour in (160, 167, 175, 182)
        tick = Tick("gpu", hour * HOUR, HOUR, view, names, (METRIC,), lost, np.zeros(others + 1, bool))
        told += [e for e in ledger.step(tick, stand.step(tick)).ledger if e.subject == names[-1]]
    return told[-1]


def width(e: Entry) -> float:
    assert e.exhausted_low is not None
    assert e.exhausted_high is not None
    return (e.exhausted_high - e.time) / (e.exhausted_low - e.time)


def test_others_that_go_like_a_clock_at_any_rate_make_the_interval_of_a_new_one_narrower() -> None:
    alone, beside, slower = (width(forecast(others, every)) for others, every in ((0, 9), (6, 9), (6, 20)))
    assert alone > 1.5 * beside
    assert alone > 1.5 * slower
    assert forecast(6, 9).rate == pytest.approx(forecast(0, 9).rate)
