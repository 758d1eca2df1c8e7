"""A trace on disk: what is written comes back, in order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from grayscope.batch import Batch
from grayscope.brokers.parquet import Parquet
from grayscope.errors import InputError
from grayscope.event import Event
from grayscope.message import Message
from grayscope.roster import RosterRow
from grayscope.trace import Trace
from grayscope.tracecheck import info, validate
from grayscope.tracewriter import TraceWriter
from tests.tracefolder import SECOND, batches, write


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


def test_a_node_that_speaks_for_itself_brings_no_blanks_for_the_others(tmp_path: Path) -> None:
    broker, sent = Parquet(tmp_path / "t"), []
    for tick in range(1, 41):
        for node in range(4):
            names = tuple(f"n{node}/gpu{k}" for k in range(2) if (tick, node, k) != (7, 2, 1))
            values = (np.arange(len(names), dtype=np.float32) + 100 * tick + 10 * node)[None, None]
            sent.append(Batch("gpu", np.array([10 * tick * SECOND + node]), names, ("gpu_power_watts",), values))
            broker.send(sent[-1])
    broker.close()
    found = [m for m in Parquet(tmp_path / "t").receive() if isinstance(m, Batch)]
    assert [(b.times.tolist(), b.subjects, b.values.tolist()) for b in found] == [(b.times.tolist(), b.subjects, b.values.tolist()) for b in sent]
    assert len({id(b.subjects) for b in found}) == 4 + 1  # the very same names again and again: later stations look for that
