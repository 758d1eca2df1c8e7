"""A trace on disk: what is written comes back, and every kind of bad input is one clear error or a count."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from grayscope.batch import Batch
from grayscope.brokers.parquet import Parquet
from grayscope.errors import GrayscopeError, InputError, UsageError
from grayscope.event import Event
from grayscope.message import Message
from grayscope.replaying import replay
from grayscope.roster import RosterRow
from grayscope.trace import Trace
from grayscope.tracecheck import info, validate
from grayscope.tracewriter import TraceWriter

SECOND = 1_000_000


def write(path: Path, ticks: int = 30, subjects: int = 4, extra: dict[str, Any] | None = None) -> Path:
    names = [f"n{i}/gpu0" for i in range(subjects)]
    with TraceWriter(path, tables={"gpu": {"period_s": 10}}) as out:
        times = np.repeat(np.arange(1, ticks + 1) * 10 * SECOND, subjects)
        power = np.arange(ticks * subjects, dtype=np.float32)
        out.rows("gpu", times, names * ticks, {"gpu_power_watts": power, "DCGM_FI_DEV_SM_CLOCK": power + 1000, **(extra or {})})
        out.roster(RosterRow(n, "gpu", keys={"sku": "A"}) for n in names)
        out.event(Event(15 * SECOND, "n0/gpu0", "xid", "94", "text", 2))
        out.truth([{"subject": "n0/gpu0", "mode": "thermal_throttle", "state": "gray", "began": 0, "also": ["x"]}])
    return path


def batches(path: Path) -> list[Batch]:
    return [m for m in Parquet(path).receive() if isinstance(m, Batch)]


def replace_table(path: Path, **columns: Any) -> None:
    table = pq.read_table(path / "gpu.parquet")
    for name, column in columns.items():
        table = table.drop_columns([name]) if name in table.column_names else table
        table = table.append_column(name, column)
    pq.write_table(table, path / "gpu.parquet")


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    path = write(tmp_path / "t")
    trace = Trace.open(path)
    assert trace.periods == {"gpu": 10 * SECOND}
    assert trace.roster.at(0).key("n2/gpu0", "sku") == "A"
    assert trace.events() == [Event(15 * SECOND, "n0/gpu0", "xid", "94", "text", 2)]
    truth = trace.truth()
    assert truth is not None
    assert truth["also"].to_pylist() == [["x"]]
    first = batches(path)[0]
    assert first.metrics == ('gpu_clock_hertz{domain="sm"}', "gpu_power_watts")
    assert first.values[0].tolist() == [[1.000e9, 1.001e9, 1.002e9, 1.003e9], [0, 1, 2, 3]]
    assert validate(path) == []
    assert info(path)["tables"]["gpu"]["rows"] == 120


def test_messages_come_in_order_of_time_over_all_tables(tmp_path: Path) -> None:
    with TraceWriter(tmp_path / "t") as out:
        for table, period in (("gpu", 10), ("nic", 7)):
            times = np.arange(1, 50) * period * SECOND
            out.rows(table, times, [f"n0/{table}0"] * 49, {"x": np.ones(49)})
        out.event(Event(33 * SECOND, "n0", "xid", "1"))
    stamps = [int(m.times[0]) if isinstance(m, Batch) else m.time for m in Parquet(tmp_path / "t").receive() if not isinstance(m, tuple)]
    assert stamps == sorted(stamps)
    assert len(stamps) == 99


def test_changed_columns_and_unsorted_files_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("grayscope.tracewriter.GROUP", 3)
    with TraceWriter(tmp_path / "t") as out:
        out.rows("gpu", np.array([30, 10, 20]) * SECOND, ["a"] * 3, {"gpu_power_watts": np.array([3.0, 1, 2])})
        out.rows("gpu", np.array([40]) * SECOND, ["a"], {"gpu_power_watts": np.array([4.0]), "more": np.array([1.0])})
    assert len(list((tmp_path / "t" / "gpu").iterdir())) == 2
    found = batches(tmp_path / "t")
    assert [(int(b.times[0]) // SECOND, float(b.values[0, b.metrics.index("gpu_power_watts"), 0])) for b in found] == [(10, 1), (20, 2), (30, 3), (40, 4)]


def test_every_subject_may_have_its_own_clock(tmp_path: Path) -> None:
    """Then a period's rows travel together, and a subject's two rows in one period keep their order."""
    rng = np.random.default_rng(0)
    names = [f"n{i:02d}" for i in range(20)]
    times = np.concatenate([np.arange(1, 30) * 10 * SECOND - rng.integers(1, 9 * SECOND) for _ in names])
    with TraceWriter(tmp_path / "t", tables={"node": {"period_s": 10}}) as out:
        out.rows("node", times, [n for n in names for _ in range(29)], {"fan_speed_rpm": times / 1e6})
        out.rows("node", np.array([100 * SECOND - 1, 100 * SECOND - 2]), ["n03", "n03"], {"fan_speed_rpm": np.array([7.0, 8.0])})
    found = batches(tmp_path / "t")
    assert len(found) <= 29 + 2
    assert sum(b.rows for b in found) == 20 * 29 + 2
    n03 = [float(b.values[0, 0, b.subjects.index("n03")]) for b in found if "n03" in b.subjects and 90 * SECOND < b.times[0] <= 100 * SECOND]
    assert [v for v in n03 if np.isfinite(v)][-2:] == [8.0, 7.0]


def test_an_alias_and_its_name_in_one_file(tmp_path: Path) -> None:
    values = np.full(120, np.nan, np.float32)
    values[::4] = 7
    path = write(tmp_path / "mixed", extra={'gpu_temperature_celsius{sensor="gpu"}': values, "DCGM_FI_DEV_GPU_TEMP": np.where(np.isnan(values), 50, np.nan)})
    temperature = batches(path)[0].values[0, 2].tolist()
    assert temperature == [7, 50, 50, 50]
    both = write(tmp_path / "both", extra={"DCGM_FI_DEV_GPU_TEMP_CELSIUS": values, "DCGM_FI_DEV_GPU_TEMP": values})
    with pytest.raises(InputError, match=r"columns DCGM_FI_DEV_GPU_TEMP_CELSIUS and DCGM_FI_DEV_GPU_TEMP: expected one value.*n0/gpu0"):
        batches(both)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"formt": 1}, "unknown key 'formt': did you mean 'format'"),
        ({"version": 9}, "version: expected 1, found 9"),
        ({"format": "x"}, "format: expected"),
        ({"tables": {"gpu": {"period": 3}}}, "tables.gpu: unknown key 'period': did you mean 'period_s'"),
        ({"tables": {"gpus": {}}}, "'gpus' has no file"),
        ({"tables": {"gpu": {"period_s": -1}}}, "period_s: expected a positive number"),
        ({"tables": {"gpu": {"counters": "maybe"}}}, "counters: expected cumulative or increments"),
        ({"tables": []}, "tables: expected dict"),
        ({"metrics": {"m": {"table": "gpu", "wors": "higher"}}}, "metric m: unknown key 'wors': did you mean 'worse'"),
        ({"metrics": {"m": {"table": "gpu", "worse": "up"}}}, "metric m: worse: expected one of"),
        ({"metrics": {"m": {}}}, "metric m: table: expected"),
        ({"cluster": 3}, "cluster: expected str"),
    ],
)
def test_a_wrong_description_names_the_key(tmp_path: Path, change: dict[str, Any], expected: str) -> None:
    path = write(tmp_path / "t")
    document = {**json.loads((path / "trace.json").read_text()), **change}
    (path / "trace.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match=expected):
        Trace.open(path)
    assert any(expected.split("'")[0] in p for p in validate(path))


def test_extra_keys_for_private_use_are_left_alone(tmp_path: Path) -> None:
    path = write(tmp_path / "t")
    document = {**json.loads((path / "trace.json").read_text()), "x-mine": {"a": 1}}
    (path / "trace.json").write_text(json.dumps(document))
    assert Trace.open(path).cluster == "cluster"


@pytest.mark.parametrize("text", ["", "{", "[]", '"x"', "[" * 100_000])
def test_no_description_at_all(tmp_path: Path, text: str) -> None:
    path = write(tmp_path / "t")
    (path / "trace.json").write_text(text)
    with pytest.raises(InputError, match=r"trace\.json"):
        Trace.open(path)


def test_no_trace_and_an_empty_trace(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found nothing"):
        Trace.open(tmp_path / "none")
    (tmp_path / "t").mkdir()
    with pytest.raises(InputError, match=r"trace\.json is missing"):
        Trace.open(tmp_path / "t")
    (tmp_path / "t" / "trace.json").write_text('{"format": "grayscope-trace", "version": 1}')
    with pytest.raises(InputError, match="empty trace"):
        Trace.open(tmp_path / "t")


def test_a_table_without_rows_is_no_error(tmp_path: Path) -> None:
    path = write(tmp_path / "t", ticks=1)
    pq.write_table(pq.read_table(path / "gpu.parquet").slice(0, 0), path / "gpu.parquet")
    run = replay(path)
    assert run.found == []
    assert "gpu: no rows" in validate(path)


@pytest.mark.parametrize("keep", [0, 10, 1000, -4])
def test_a_truncated_file(tmp_path: Path, keep: int) -> None:
    path = write(tmp_path / "t")
    data = (path / "gpu.parquet").read_bytes()
    (path / "gpu.parquet").write_bytes(data[:keep])
    with pytest.raises(InputError, match=r"gpu\.parquet: not a readable Parquet file"):
        batches(path)


def test_damage_inside_a_file_is_named_or_harmless(tmp_path: Path) -> None:
    path = write(tmp_path / "t", ticks=300)
    data = bytearray((path / "gpu.parquet").read_bytes())
    data[200:800] = bytes(600)
    (path / "gpu.parquet").write_bytes(data)
    with pytest.raises(InputError, match=r"gpu\.parquet: row group 0 is damaged"):
        batches(path)


def test_wrong_types(tmp_path: Path) -> None:
    path = write(tmp_path / "a")
    replace_table(path, gpu_power_watts=pa.array(["x"] * 120))
    with pytest.raises(InputError, match=r"column gpu_power_watts: expected numbers, found string"):
        batches(path)
    path = write(tmp_path / "b")
    replace_table(path, time=pa.array(range(120)))
    with pytest.raises(InputError, match=r"column time: expected timestamp, found int64"):
        batches(path)
    path = write(tmp_path / "c")
    replace_table(path, subject=pa.array(range(120)))
    with pytest.raises(InputError, match=r"column subject: expected string, found int64"):
        batches(path)
    path = write(tmp_path / "d")
    pq.write_table(pq.read_table(path / "gpu.parquet").drop_columns(["time"]), path / "gpu.parquet")
    with pytest.raises(InputError, match=r"column time: expected to be there"):
        batches(path)


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


def test_a_replaced_part_is_no_burst(tmp_path: Path) -> None:
    name = 'gpu_ecc_corrected_errors_total{location="total",retention="volatile"}'
    with TraceWriter(tmp_path / "t", tables={"gpu": {"period_s": 10}}) as out:
        totals = np.where(np.arange(40) < 20, 5.0, 90_000.0)
        out.rows("gpu", np.arange(1, 41) * 10 * SECOND, ["n0/gpu0"] * 40, {name: totals})
        swap = 205 * SECOND
        out.roster([RosterRow("n0/gpu0", "gpu", until=swap, keys={"serial": "A"}), RosterRow("n0/gpu0", "gpu", since=swap, keys={"serial": "B"})])
    found = np.array([float(b.values[0, 0, 0]) for b in batches(tmp_path / "t")])
    assert np.nanmax(found) == 0
    assert np.isnan(found).sum() == 2


def test_writers_leave_nothing_behind(tmp_path: Path) -> None:
    with suppress(RuntimeError), TraceWriter(tmp_path / "t") as out:
        out.rows("gpu", np.array([0]), ["n0"], {"x": np.array([1.0])})
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    write(tmp_path / "t")
    with pytest.raises(UsageError, match="exists already"):
        TraceWriter(tmp_path / "t")
    with pytest.raises(InputError, match="table: expected a name of letters"), TraceWriter(tmp_path / "u") as out:
        out.rows("../gpu", np.array([0]), ["n0"], {"x": np.array([1.0])})


def test_a_full_disk_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fake full disk: the call that writes a file fails as the operating system would let it."""

    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    with pytest.raises(GrayscopeError, match=r"t: cannot be written: No space left on device"), TraceWriter(tmp_path / "t") as out:
        out.rows("gpu", np.array([0]), ["n0"], {"x": np.array([1.0])})
    assert list(tmp_path.iterdir()) == []


def test_a_really_full_disk(tmp_path: Path) -> None:
    """Where Linux offers a device that is always full, write to it."""
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full on this system")
    from grayscope.tracewriter import writing

    with pytest.raises(GrayscopeError, match="cannot be written: No space left on device"), writing(full):
        full.write_bytes(b"x" * 100_000)


def test_a_recording_keeps_the_order_of_arrival(tmp_path: Path) -> None:
    sent: list[Message] = [
        (RosterRow("a", "gpu"),),
        Batch("gpu", np.array([20 * SECOND]), ("a",), ("gpu_power_watts",), np.full((1, 1, 1), 2, np.float32)),
        Batch("gpu", np.array([10 * SECOND]), ("a",), ("gpu_power_watts",), np.full((1, 1, 1), 1, np.float32)),
        Event(5 * SECOND, "a", "xid", "1"),
    ]
    broker = Parquet(tmp_path / "t")
    for message in sent:
        broker.send(message)
    broker.close()
    kinds = [(type(m).__name__, int(m.times[0]) if isinstance(m, Batch) else 0) for m in Parquet(tmp_path / "t").receive()]
    assert kinds == [("tuple", 0), ("Batch", 20 * SECOND), ("Batch", 10 * SECOND), ("Event", 0)]
