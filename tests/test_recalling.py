from __future__ import annotations

import json
import math

import pyarrow as pa
import pytest

from grayscope.errors import InputError
from grayscope.explaining import explain
from grayscope.incident import Incident
from grayscope.ledger import Entry
from grayscope.recalling import recall_entries, recall_incidents
from grayscope.results import INCIDENTS, LEDGER, tables

SECOND = 1_000_000


def incident() -> Incident:
    signal = {
        "side": "service", "detector": "slower", "metric": "gpu_clock_hertz", "mode": "slow_component", "strength": 9.0, "value": 1.0, "expected": 2.0,
        "n_peers": 8, "since": 5 * SECOND, "left": None, "exhausted_at": None, "why": "slow",
    }  # fmt: skip
    piece: dict[str, object] = {"time": 9 * SECOND, "subject": "n1/gpu0", "state": "gray", "side": "service", "strength": 9.0, "signals": [signal]}
    history = ((9 * SECOND, "gray", "page"),)
    return Incident(
        "ab", "n1/gpu0", "n1", "gray", "page", "slow_component", 5 * SECOND, 9 * SECOND, 9 * SECOND, None, history, 0.5, (("n1/gpu1", 0.25),), "words", (piece,)
    )


def test_what_was_written_comes_back_as_it_was() -> None:
    one, row = incident(), Entry(SECOND, "n1/gpu0", "psu", 2.0, 1.0, 1.0, "supplies", math.nan, 0, 7 * SECOND, 0)
    written = tables([], [one], [], {}, [row])
    (back,), (entry,) = recall_incidents(written["incidents"]), recall_entries(written["ledger"])
    assert back == one
    assert explain(back) == explain(one)
    assert entry[:7] == row[:7]
    assert math.isnan(entry.rate)
    assert entry[8:] == row[8:]


@pytest.mark.parametrize("evidence", ['{"a": 1}', "[3]", "{", '[{"time": "noon"}]', '[{"signals": 3}]'])
def test_evidence_that_nobody_wrote_is_named_with_its_row(evidence: str) -> None:
    table = tables([], [incident()], [], {})["incidents"]
    place = INCIDENTS.get_field_index("evidence")
    with pytest.raises(InputError, match=r"spoilt: row 0: evidence"):
        recall_incidents(table.set_column(place, "evidence", pa.array([evidence])), "spoilt")


def test_a_table_without_a_column_is_named() -> None:
    with pytest.raises(InputError, match="column mechanism"):
        recall_entries(LEDGER.empty_table().drop_columns(["mechanism"]))


def test_a_severity_that_nobody_knows_is_refused() -> None:
    table = tables([], [incident()], [], {})["incidents"]
    spoilt = table.set_column(INCIDENTS.get_field_index("severity"), "severity", pa.array(["dire"]))
    with pytest.raises(InputError, match="dire"):
        recall_incidents(spoilt)
    assert json.loads(table["evidence"][0].as_py())[0]["time"] == "1970-01-01T00:00:09Z"
