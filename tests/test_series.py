"""Series around an incident: the columns of any exporter, counters as rates, peers and past; what is not there is None."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from grayscope.errors import InputError
from grayscope.incident import Incident
from grayscope.roster import RosterRow
from grayscope.series import Reader
from grayscope.trace import Trace
from grayscope.tracewriter import TraceWriter

S = 1_000_000
TICKS = 120


def incident(metric: str, subject: str = "n0/gpu0", began: int = 600, noticed: int = 660) -> Incident:
    piece = {"time": noticed * S, "subject": subject, "signals": [{"metric": metric, "strength": 9.0}]}
    return Incident("ab", subject, subject, "gray", "page", "", began * S, noticed * S, evidence=(piece,))


def trace(path: Path, rows: list[RosterRow] | None = None, **columns: np.ndarray) -> Reader:
    """Four GPUs, a row every ten seconds; columns of shape [tick, subject]."""
    names = [f"n{n}/gpu0" for n in range(4)]
    with TraceWriter(path, tables={"gpu": {"period_s": 10}}) as out:
        out.rows("gpu", np.repeat(np.arange(1, TICKS + 1) * 10 * S, 4), names * TICKS, {name: values.ravel() for name, values in columns.items()})
        out.roster(rows if rows is not None else [RosterRow(n, "gpu", keys={"sku": "A"}) for n in names])
    return Reader(Trace.open(path))


def steps(before: float, after: float) -> np.ndarray:
    """A suspect that changes after ten minutes beside three peers that do not."""
    values = np.full((TICKS, 4), before)
    values[61:, 0] = after
    return values


def test_the_names_and_units_of_an_exporter_are_those_of_the_catalogue(tmp_path: Path) -> None:
    (found,) = trace(tmp_path / "t", DCGM_FI_DEV_SM_CLOCK=steps(1980, 1500)).series(incident('gpu_clock_hertz{domain="sm"}'), 2)
    assert (found.subject, found.unit, found.peers) == ("n0/gpu0", "Hz", 3)
    assert (found.own[0], found.own[-1], found.middle[-1], found.past) == (1980e6, 1500e6, 1980e6, 1980e6)
    assert found.times[0] < found.times[-1] <= found.end


def test_a_counter_is_drawn_per_second(tmp_path: Path) -> None:
    (found,) = trace(tmp_path / "t", gpu_ecc_corrected_total=np.cumsum(steps(10, 50), axis=0)).series(incident("gpu_ecc_corrected_total"), 2)
    assert found.own[0] == pytest.approx(1.0)
    assert found.own[-1] == pytest.approx(5.0)
    assert found.high[-1] == pytest.approx(1.0)


def test_few_like_it_are_replaced_by_those_of_its_kind_and_a_roster_without_it_by_all(tmp_path: Path) -> None:
    jobs = [RosterRow(f"n{n}/gpu0", "gpu", keys={"sku": "A", "job": "job:1" if n < 2 else f"job:{n}"}) for n in range(4)]
    metric = 'gpu_clock_hertz{domain="sm"}'
    for name, rows in (("few", jobs), ("none", [RosterRow("x", "node")])):
        (found,) = trace(tmp_path / name, rows, DCGM_FI_DEV_SM_CLOCK=steps(1980, 1500)).series(incident(metric), 2)
        assert found.peers == 3


def test_what_has_no_past_or_no_rows_has_none(tmp_path: Path) -> None:
    reader = trace(tmp_path / "t", DCGM_FI_DEV_SM_CLOCK=steps(1980, 1500))
    metric = 'gpu_clock_hertz{domain="sm"}'
    (early,) = reader.series(incident(metric, began=20), 2)
    assert early.past is None
    assert reader.series(incident(metric, subject="n9/gpu0"), 2) == []
    assert reader.series(incident("no_such_metric"), 2) == []
    assert reader.series(incident(metric, began=90_000, noticed=90_100), 2) == []


def test_columns_that_are_no_numbers_are_named(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    reader = trace(tmp_path / "t", DCGM_FI_DEV_SM_CLOCK=steps(1980, 1500))
    table = pq.read_table(tmp_path / "t" / "gpu.parquet")
    spoiled = table.drop_columns(["time"]).append_column("time", pa.array(["x"] * table.num_rows))
    pq.write_table(spoiled, tmp_path / "t" / "gpu.parquet")
    with pytest.raises(InputError, match="table gpu"):
        reader.series(incident('gpu_clock_hertz{domain="sm"}'), 2)
