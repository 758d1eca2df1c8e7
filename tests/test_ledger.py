"""The ledger on its way: from the detector through the engine to disk, to the alert and to the score."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from grayscope import mechanisms, plugins
from grayscope.announce import Announce
from grayscope.catalogue import Catalogue
from grayscope.desk import Desk
from grayscope.errors import InputError
from grayscope.ledger import DAY, HOUR, Entry
from grayscope.rates import Rates, Raw
from grayscope.replaying import replay
from grayscope.results import LEDGER, ResultsWriter, read_results
from grayscope.settings import Settings, load_settings
from grayscope.tracewriter import TraceWriter
from grayscope.verdict import Verdict

START = 1_767_571_200_000_000
ROWS = 'gpu_rows_remapped_total{cause="uncorrected"}'
SUBJECTS = tuple(f"n{i // 8}/gpu{i % 8}" for i in range(16))


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight hours, a row every twenty minutes from the third hour on, of a board that had four before; one true row of truth."""
    path = tmp_path_factory.mktemp("t") / "trace"
    writer = TraceWriter(path)
    writer.describe(tables={"gpu": {"period_s": 60, "counters": "cumulative"}})
    for t in range(480):
        total = np.zeros(16)
        total[3] = 4 + max(t - 180, 0) // 20
        writer.rows("gpu", np.full(16, START + t * 60_000_000), np.array(SUBJECTS, object), {ROWS: total})
    writer.close()
    truth = {
        "subject": ["n0/gpu3"], "mode": ["hbm_row_spares"], "state": ["masked"], "began": [START + 3 * HOUR], "ended": [None],
        "mechanism": ["hbm_row_spares"], "exhausted_at": [START + 3 * HOUR + 508 // 3 * HOUR],
    }  # fmt: skip
    times = [pl.col(c).cast(pl.Datetime("us")) for c in ("began", "ended", "exhausted_at")]
    pl.DataFrame(truth).with_columns(times).write_parquet(path / "truth.parquet")
    return path


def test_rows_are_read_back_and_scored(trace: Path, tmp_path: Path) -> None:
    run = replay(trace, out=tmp_path / "r", detectors=["ledger"])
    table = pq.read_table(tmp_path / "r" / "ledger.parquet")
    assert table.schema == LEDGER
    rows = table.to_pylist()
    assert run.ledger.height == len(rows) == read_results(tmp_path / "r").ledger.num_rows
    first, last = rows[0], rows[-1]
    assert (first["subject"], first["budget"], first["spent"], first["left"], first["unit"]) == ("n0/gpu3", 512, 4, 508, "rows")
    assert (first["exhausted_at"], first["rate"]) == (None, None)  # what was spent before anybody looked tells no rate
    assert last["spent"] == 4 + (479 - 180) // 20
    assert last["exhausted_low"] < last["exhausted_at"] < last["exhausted_high"]
    said = json.loads(CliRunner().invoke(plugins.load("pipelines", "score"), [str(trace), str(tmp_path / "r"), "--json"]).output)
    assert said["ledger_intervals_share"] == 1.0
    assert said["overall"]["found"] == 1
    shown = CliRunner().invoke(plugins.load("pipelines", "score"), [str(trace), str(tmp_path / "r")]).output
    assert re.search(r"ledger: (\d+) of \1 intervals for when a redundancy is used up hold the true moment", shown)


def test_one_change_is_one_row_and_silence_is_none(trace: Path, tmp_path: Path) -> None:
    replay(trace, out=tmp_path / "r", detectors=["ledger"])
    spent = pq.read_table(tmp_path / "r" / "ledger.parquet")["spent"].to_pylist()
    assert spent == sorted(spent)
    assert len(spent) == len(set(spent))


def test_the_horizon_reaches_detector_and_alert(trace: Path) -> None:
    assert replay(trace, settings=Settings(urgency_horizon=86400.0), detectors=["ledger"]).incidents.height == 1  # the knee, not the end
    assert load_settings(environ={"GRAYSCOPE_URGENCY_HORIZON": "7d"}).urgency_horizon == 7 * 86400.0


def test_unknown_amounts_are_null(tmp_path: Path) -> None:
    writer = ResultsWriter(tmp_path / "r")
    writer.ledger([Entry(START, "a", "hbm_ecc", spent=3.0, unit="errors", rate=1.0)])
    writer.close({}, {})
    (row,) = read_results(tmp_path / "r").ledger.to_pylist()
    assert (row["budget"], row["left"], row["exhausted_at"], row["spent"]) == (None, None, None, 3.0)


# -- alerts ---------------------------------------------------------------------------------------------------------


def masked(time: int = 5, state: str = "masked") -> Verdict:
    return Verdict(time, "n1/gpu0", state, "normal", 50.0, "rows go", time, "hbm_row_spares", "hbm_row_spares")


def row(days: float, left: float = 500.0) -> Entry:
    at = round(days * DAY)
    return Entry(1, "n1/gpu0", "hbm_row_spares", 512, 512 - left, left, "rows", 2.0, at // 2, at, at * 2)


@pytest.mark.parametrize(("entry", "urgency"), [(row(3.0), "short"), (row(30.0), "long"), (row(0.0, 0.0), "short"), (row(0.0), "long")])
def test_a_masked_failure_is_as_urgent_as_its_end_is_near(entry: Entry, urgency: str) -> None:
    (alert,) = Announce("c").step(Desk("c").step([masked()]), [entry])
    assert alert.labels["urgency"] == urgency
    assert alert.annotations["left"] == f"{entry.left:g} of 512 rows"
    assert alert.annotations["mechanism"] == "hbm_row_spares"
    assert "80 % interval" in alert.annotations["exhausted_at"] or not entry.exhausted_at


def test_only_masked_failures_have_an_urgency_which_is_long_where_nothing_is_known() -> None:
    (plain,) = Announce("c").step(Desk("c").step([masked()]))
    (gray,) = Announce("c").step(Desk("c").step([masked(state="gray")]), [row(3.0)])
    healed = [row(3.0), Entry(2, "n1/gpu0", "hbm_row_spares", 512, 0, 512, "rows")]
    (again,) = Announce("c").step(Desk("c").step([masked()]), healed)
    assert [(a.labels.get("urgency"), "left" in a.annotations) for a in (plain, gray, again)] == [("long", False), (None, True), ("long", False)]


def test_an_urgency_once_short_stays_short_while_the_ticket_fires() -> None:
    announce, desk = Announce("c"), Desk("c")
    said = [a for i, days in enumerate((30.0, 13.0, 15.0, 13.0)) for a in announce.step(desk.step([replace(masked(5 + i), why=f"{i}")]), [row(days)])]
    assert [(a.labels["urgency"], a.firing) for a in said] == [("long", True), ("long", False), *[("short", True)] * 3]


def test_a_restart_knows_what_was_told() -> None:
    announce, desk = Announce("c", 7 * DAY), Desk("c")
    list(announce.step(desk.step([masked()]), [row(3.0)]))
    list(announce.step([], [row(30.0)]))
    other = Announce("c", 7 * DAY)
    other.restore(desk.open.values(), {k: v.copy() for k, v in announce.snapshot().items()})
    assert (other.firing, other.ledger) == (announce.firing, announce.ledger)
    end = Verdict(9, "n1/gpu0", "normal", "masked", 0.0, "well again", 9)
    (resolved,) = other.step(desk.step([end]))
    assert (resolved.labels["urgency"], resolved.ends) == ("short", 9)


# -- totals and data ------------------------------------------------------------------------------------------------


def test_a_stocks_total_is_shown_beside_its_increments() -> None:
    raw = Raw("gpu", np.arange(3), ("a",), (ROWS, "gpu_energy_joules_total"), np.ones(2), np.array([[3, 1], [4, 2], [4, 3]], np.float64)[:, :, None])
    batch = Rates(Catalogue.load()).batch(raw)
    assert batch.metrics == (ROWS, "gpu_energy_joules_total", 'gpu_rows_remapped{cause="uncorrected"}')
    assert np.array_equal(batch.values[:, :, 0], np.array([[np.nan, np.nan, 3.0], [1.0, 1.0, 4.0], [0.0, 1.0, 4.0]]), equal_nan=True)
    recorded = Raw("gpu", np.arange(3), ("a",), batch.metrics, np.ones(3), batch.values)
    assert Rates(Catalogue.load(), cumulative=False).batch(recorded).metrics == batch.metrics


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[[hbm_eccc]]\ntable = "gpu"\nkind = "rate"\nunit = "1"', "unknown mechanism: did you mean 'hbm_ecc'"),
        ('[[psu]]\ntable = "node"\nkind = "levle"\nunit = "1"', "kind: expected one of stock, bank"),
        ('[[psu]]\ntable = "node"\nkind = "level"\nunit = "1"\ngague = "x"', "unknown key 'gague': did you mean 'gauge'"),
        ('[[psu]]\nkind = "level"\nunit = "1"', "table: expected a word"),
        ('[[psu]]\ntable = "a"\nkind = "level"\nunit = "1"\n[[psu]]\ntable = "a"\nkind = "level"\nunit = "1"', "two accounts are called psu/a/1"),
    ],
)
def test_wrong_data_names_the_key(text: str, expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        mechanisms.parse(text)
