"""Score: intervals of the ledger against the moment when what is left was really used up."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from grayscope.results import LEDGER
from grayscope.score import score
from tests.scored import MINUTE, fault


def test_intervals_of_the_ledger() -> None:
    row = {**fault(state="masked"), "mechanism": "hbm_row_spares", "exhausted_at": 500 * MINUTE}
    never = {**fault("n2/gpu0", "masked"), "mechanism": "hbm_row_spares", "exhausted_at": None}

    def entry(minute: int, low: int | None, high: int | None, subject: str = "n1/gpu0", mechanism: str = "hbm_row_spares") -> dict[str, Any]:
        times = {"time": minute * MINUTE, "exhausted_low": low and low * MINUTE, "exhausted_high": high and high * MINUTE}
        return {**dict.fromkeys(LEDGER.names), "subject": subject, "mechanism": mechanism, **times}

    entries = [
        entry(20, 400, 600), entry(21, 510, 600), entry(22, 400, None), entry(23, None, None), entry(5, 400, 600), entry(20, 1, 2, mechanism="hbm_ecc"),
        entry(20, 400, 600, "n2/gpu0"), entry(20, 400, None, "n2/gpu0"), entry(20, 1, 2, "n3"),
    ]  # fmt: skip
    ledger = pa.Table.from_pylist(entries, LEDGER)
    assert score([row, never], [], 1.0, ledger=ledger).intervals == 3 / 5
    assert score([row, never], [], 1.0, ledger=ledger).overall.ledger == (3, 5)
    assert score([row], [], 1.0).intervals is None
    worn = {**never, "mode": "worn"}
    by_mode = {m: p.ledger for m, p in score([row, worn], [], 1.0, ledger=ledger).modes.items()}
    assert by_mode == {"slow_rank": (2, 3), "worn": (1, 2)}
    gray = {**row, "state": "gray", "began": 70 * MINUTE, "ended": None}
    assert score([row, gray], [], 1.0, ledger=pa.Table.from_pylist([entry(70, 400, 600)], LEDGER)).overall.ledger == (1, 1)  # one fault in two rows


def test_the_ledger_is_asked_by_another_name_too_and_not_about_look_alikes() -> None:
    row = {**fault(state="masked"), "mechanism": "fec_margin", "exhausted_at": 500 * MINUTE, "also": ["leaf1/p2"]}
    times = {"time": 20 * MINUTE, "exhausted_low": None, "exhausted_high": 600 * MINUTE}
    ledger = pa.Table.from_pylist([{**dict.fromkeys(LEDGER.names), "subject": "leaf1/p2", "mechanism": "fec_margin", **times}], LEDGER)
    assert score([row], [], 1.0, ledger=ledger).overall.ledger == (1, 1)
    assert score([{**row, "state": "benign"}], [], 1.0, ledger=ledger).overall.ledger == (0, 0)


def test_an_interval_is_asked_once_about_the_fault_that_uses_up_first() -> None:
    row = {**fault(state="masked"), "mechanism": "hbm_row_spares", "exhausted_at": 500 * MINUTE}
    lot = {**fault("batch:lot=7", "masked"), "mode": "batch_defect", "mechanism": "hbm_row_spares", "exhausted_at": None, "also": ["n1/gpu0", "n1/gpu1"]}
    times = {"time": 20 * MINUTE, "exhausted_low": 400 * MINUTE, "exhausted_high": 600 * MINUTE, "mechanism": "hbm_row_spares"}
    ledger = pa.Table.from_pylist([{**dict.fromkeys(LEDGER.names), "subject": s, **times} for s in ("n1/gpu0", "n1/gpu1")], LEDGER)
    parts = score([row, lot], [], 1.0, ledger=ledger).modes
    assert (parts["slow_rank"].ledger, parts["batch_defect"].ledger) == ((1, 1), (0, 1))
