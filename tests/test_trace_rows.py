"""Bad rows of a trace: each kind is counted, and the rest goes on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from grayscope.batch import Batch
from grayscope.brokers.parquet import Parquet
from grayscope.errors import InputError
from grayscope.replaying import replay
from grayscope.roster import RosterRow
from grayscope.trace import Trace
from grayscope.tracecheck import validate
from grayscope.tracewriter import TraceWriter
from tests.tracefolder import SECOND, batches, replace_table, write


def test_bad_rows_are_counted_and_the_rest_goes_on(tmp_path: Path) -> None:
    path = write(tmp_path / "t")
    names = ["n0/gpu0", "n1/gpu0", "n2/gpu0", "n3/gpu0"] * 30
    names[5], names[6], names[7] = "new\nline", "x" * 10_000_000, ""
    times: list[int | None] = list(np.repeat(np.arange(1, 31) * 10 * SECOND, 4).tolist())
    times[9] = None
    replace_table(path, subject=pa.array(names), time=pa.array(times, pa.timestamp("us")))
    run = replay(path)
    assert (run.counts["bad_subject"], run.counts["null_time"], run.counts["rows"]) == (3, 1, 116)
    problems = validate(path)
    assert any("3 rows rejected: bad_subject" in p for p in problems)
    assert all(len(p) < 1000 and "\n" not in p for p in problems)


def test_doubled_and_unsorted_rows(tmp_path: Path) -> None:
    path = write(tmp_path / "t")
    table = pq.read_table(path / "gpu.parquet")
    pq.write_table(pa.concat_tables([table.slice(60), table, table.slice(0, 8)]), path / "gpu.parquet")
    run = replay(path)
    assert (run.counts["duplicate"], run.counts["conflicting"], run.counts["late"]) == (68, 0, 0)
    assert any("68 rows repeat" in p for p in validate(path))
    assert any("not sorted" in p for p in validate(path))


def test_infinite_and_blank_values_are_not_reported(tmp_path: Path) -> None:
    values = np.full(120, 50.0)
    values[:3] = np.inf, -np.inf, 9223372036854775794.0
    path = write(tmp_path / "t", extra={"DCGM_FI_DEV_GPU_TEMP": values})
    run = replay(path)
    assert (run.counts["not_finite"], run.counts["blank"]) == (2, 1)
    assert np.isnan(batches(path)[0].values[0, 2, :3]).all()


def test_a_metric_of_another_table_is_kept_and_not_judged(tmp_path: Path) -> None:
    path = write(tmp_path / "t", extra={"nic_port_symbol_errors_total": np.arange(120.0)})
    assert "gpu: column nic_port_symbol_errors_total is a metric of table nic, it will not be judged" in validate(path)
    assert "nic_port_symbol_errors_total" in replay(path).coverage["metric"].to_list()


def test_a_roster_that_contradicts_a_table(tmp_path: Path) -> None:
    path = write(tmp_path / "t")
    with TraceWriter(tmp_path / "r") as out:
        out.rows("gpu", np.array([0]), ["n0"], {"x": np.array([1.0])})
        out.roster([RosterRow("n0/gpu0", "nic"), RosterRow("n1/gpu0", "gpu")])
    (tmp_path / "r" / "roster.parquet").replace(path / "roster.parquet")
    run = replay(path)
    assert run.counts["wrong_table"] == 30
    assert "gpu: subject n0/gpu0 belongs to table nic by the roster" in validate(path)


def test_a_roster_row_that_ends_before_it_begins(tmp_path: Path) -> None:
    with TraceWriter(tmp_path / "t") as out:
        out.rows("gpu", np.array([0]), ["n0"], {"x": np.array([1.0])})
        out.roster([RosterRow("n0", "gpu", since=10, until=5)])
    with pytest.raises(InputError, match=r"roster\.parquet: row 0 \(n0\): expected until after since"):
        list(Parquet(tmp_path / "t").receive())


def test_times_of_the_small_tables_may_be_finer_than_we_count(tmp_path: Path) -> None:
    path = write(tmp_path / "t")
    finer = pa.array([10 * SECOND * 1000 + 123], pa.timestamp("ns", "UTC"))
    pq.write_table(pa.table({"time": finer, "subject": ["n0"], "source": ["xid"], "code": ["48"]}), path / "events.parquet")
    pq.write_table(pa.table({"subject": ["n0/gpu0"], "table": ["gpu"], "since": finer}), path / "roster.parquet")
    assert validate(path) == []
    trace = Trace.open(path)
    assert [e.time for e in trace.events()] == [10 * SECOND]
    assert [r.since for r in trace.roster.rows] == [10 * SECOND]


def test_totals_that_arrive_late_are_no_resets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row in four comes up to half a minute late; n2's counter really starts again, n1's part is replaced. Groups of five rows."""
    monkeypatch.setattr("grayscope.tracewriter.GROUP", 5)
    draw, ticks, names = np.random.default_rng(3), 60, ["n0/gpu0/pcie", "n1/gpu0/pcie", "n2/gpu0/pcie"]
    gained = draw.integers(0, 9, (ticks, 3))
    totals = 1000 + np.cumsum(gained, axis=0)
    totals[40:, 2] -= totals[40, 2] - 2
    totals[30:, 1] -= 700
    times = np.repeat(np.arange(1, ticks + 1) * 10 * SECOND, 3)
    late = times + np.where(draw.random(3 * ticks) < 0.25, draw.integers(0, 30, 3 * ticks), 0) * SECOND
    arrived = np.empty(3 * ticks, np.int64)
    arrived[np.argsort(late, kind="stable")] = np.arange(1, 3 * ticks + 1)
    path, counter = tmp_path / "t", "pcie_replays_total"
    with TraceWriter(path, tables={"pcie": {"period_s": 10}}) as out:
        out.rows("pcie", times, names * ticks, {counter: totals.ravel().astype(np.float64)}, arrived)
        rows = [RosterRow(names[1], "pcie", until=305 * SECOND, keys={"serial": "A"}), RosterRow(names[1], "pcie", since=305 * SECOND, keys={"serial": "B"})]
        out.roster(rows)
    broker, told = Parquet(path), dict[tuple[str, int], float]()
    order = []
    for batch in (m for m in broker.receive() if isinstance(m, Batch)):
        assert batch.metrics == (counter,)
        told |= {(s, int(batch.times[0]) // (10 * SECOND)): float(v) for s, v in zip(batch.subjects, batch.values[0, 0], strict=True) if np.isfinite(v)}
        order.append(int(batch.times[0]))
    assert order != sorted(order)  # in the order of arrival
    assert broker.counts["reset"] == 1
    expected = gained.astype(float)
    expected[0] = expected[30, 1] = np.nan  # first sight, and another part's total
    expected[40, 2] = 2
    assert [told.get((s, t + 1), np.nan) for t in range(ticks) for s in names] == pytest.approx(expected.ravel().tolist(), nan_ok=True)


def test_totals_of_files_that_begin_together_are_read_together(tmp_path: Path) -> None:
    """One file for each machine, of a total that is shown beside its increments: of the first file alone nothing is complete."""
    path, names, counter = tmp_path / "t", ["n0/gpu0", "n1/gpu0"], "gpu_rows_remapped_total"
    times = np.repeat(np.arange(1, 21) * 10 * SECOND, 2)
    with TraceWriter(path, tables={"gpu": {"period_s": 10}}) as out:
        out.rows("gpu", times, names * 20, {counter: np.repeat(np.arange(20.0), 2)}, np.arange(1, 41))
    rows = pq.read_table(path / "gpu.parquet")
    (path / "gpu.parquet").unlink()
    (path / "gpu").mkdir()
    for name in names:
        pq.write_table(rows.filter(pa.array([s.as_py() == name for s in rows["subject"]])), path / "gpu" / f"{name[:2]}.parquet")
    batches = [m for m in Parquet(path).receive() if isinstance(m, Batch)]
    assert {b.metrics for b in batches} == {(counter, "gpu_rows_remapped")}
    told = {(s, int(b.times[0])): b.values[0, :, i].tolist() for b in batches for i, s in enumerate(b.subjects) if np.isfinite(b.values[0, 1, i])}
    assert len(told) == 40
    assert [told[name, int(times[-1])] for name in names] == [[1.0, 19.0]] * 2
