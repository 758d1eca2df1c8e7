"""Told: events added to traces and files: safely, beside what is there, in whatever form that has."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from grayscope import told
from grayscope.batch import Batch
from grayscope.brokers.parquet import Parquet
from grayscope.errors import GrayscopeError, InputError
from grayscope.event import Event
from grayscope.frames import encode
from grayscope.told import add_to_file, add_to_trace, begins, read_file
from grayscope.trace import Trace
from grayscope.tracecheck import validate
from grayscope.tracewriter import TraceWriter

SECOND = 1_000_000
PLAN = Event(5 * SECOND, "n1", "maintenance", "begin", "a note")
XID = Event(20 * SECOND, "n1/gpu0", "xid", "48", "DBE", 3)


def trace(path: Path, *events: Event, recorded: bool = False) -> Path:
    with TraceWriter(path) as writer:
        broker = Parquet(path, writer=writer)
        for t in (10, 20, 30):
            batch = Batch("gpu", np.array([t * SECOND]), ("n1/gpu0",), ("gpu_power_watts",), np.full((1, 1, 1), 300, np.float32))
            if recorded:
                broker.send(batch)
            else:
                writer.batch(batch)
        for event in events:
            if recorded:
                broker.send(event)
            else:
                writer.event(event)
    return path


@pytest.mark.parametrize("recorded", [False, True])
@pytest.mark.parametrize("events", [(), (XID,)])
def test_a_trace_keeps_what_it_had_and_gives_the_new_one_out_first(tmp_path: Path, recorded: bool, events: tuple[Event, ...]) -> None:
    path = trace(tmp_path / "t", *events, recorded=recorded)
    before = list(Parquet(path).receive())
    add_to_trace(path, [PLAN])
    after = list(Parquet(path).receive())
    assert after[0] == PLAN
    assert list(map(repr, after[1:])) == list(map(repr, before))
    assert validate(path) == []
    assert sorted(p.name for p in path.iterdir() if p.name.startswith(".")) == []


def test_a_trace_of_others_may_have_its_own_types(tmp_path: Path) -> None:
    path = trace(tmp_path / "t")
    columns = {
        "time": pa.array([7_000_000_123], pa.timestamp("ns")), "subject": pa.array(["n1"]).dictionary_encode(), "source": pa.array(["xid"], pa.large_string()),
        "code": ["48"], "text": pa.nulls(1), "count": pa.array([2], pa.int32()), "severity": [3.5],
    }  # fmt: skip
    pq.write_table(pa.table(columns), path / "events.parquet")
    add_to_trace(path, [PLAN, XID])
    assert Trace.open(path).events() == [PLAN, Event(7_000_000, "n1", "xid", "48", "", 2), XID]
    assert pq.read_table(path / "events.parquet")["severity"].to_pylist() == [3.5, None, None]


def test_what_cannot_take_an_event_is_left_alone(tmp_path: Path) -> None:
    path = trace(tmp_path / "t")
    file = path / "events.parquet"
    pq.write_table(pa.table({"time": pa.array([7], pa.timestamp("us")), "subject": ["n1"], "source": ["xid"], "code": ["48"]}), file)
    before = file.read_bytes()
    with pytest.raises(InputError, match=r"events\.parquet: column text"):
        add_to_trace(path, [PLAN])
    assert file.read_bytes() == before
    file.write_bytes(b"no parquet")
    with pytest.raises(InputError, match=r"events\.parquet"):
        add_to_trace(path, [PLAN])
    assert file.read_bytes() == b"no parquet"
    with pytest.raises(InputError, match="expected a trace directory"):
        add_to_trace(tmp_path / "none", [PLAN])


def test_a_disk_that_is_full_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = trace(tmp_path / "t", XID)
    before = (path / "events.parquet").read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", full)
    with pytest.raises(GrayscopeError, match="No space left"):
        add_to_trace(path, [PLAN])
    assert (path / "events.parquet").read_bytes() == before
    assert sorted(p.name for p in path.iterdir() if p.name.startswith(".")) == []


def test_many_who_write_at_once_lose_nothing(tmp_path: Path) -> None:
    path, file = trace(tmp_path / "t"), tmp_path / "said.jsonl"
    events = [Event(i, f"n{i}", "maintenance", "begin") for i in range(12)]

    def work(mine: list[Event]) -> None:
        for event in mine:
            add_to_trace(path, [event])
            add_to_file(file, [event])

    threads = [threading.Thread(target=work, args=(events[k::3],)) for k in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Trace.open(path).events() == events
    assert sorted(read_file(file)[0]) == events


def test_a_trace_begins_with_its_first_row(tmp_path: Path) -> None:
    assert begins(Trace.open(trace(tmp_path / "t"))) == 10 * SECOND


def test_a_file_goes_on_after_lines_that_are_no_events(tmp_path: Path) -> None:
    file = tmp_path / "said.jsonl"
    assert read_file(file) == ([], [])
    add_to_file(file, [PLAN])
    with file.open("ab") as out:
        out.write(
            b'\n{"grayscope": 99}\n[1]\n\xff\xfe\n'
            + b"x" * 20_000
            + b"\n"
            + encode(
                (),
            )
            + b'\n{"cut of'
        )
    add_to_file(file, [XID])
    events, problems = read_file(file)
    assert events == [PLAN, XID]
    assert [int(p.partition("line ")[2].partition(":")[0]) for p in problems] == [3, 4, 5, 6, 7, 8]


def test_a_file_does_not_grow_without_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "said.jsonl"
    add_to_file(file, [PLAN])
    monkeypatch.setattr(told, "LARGEST", file.stat().st_size + 5)
    with pytest.raises(InputError, match="size"):
        add_to_file(file, [PLAN])
    monkeypatch.setattr(told, "LARGEST", 5)
    with pytest.raises(InputError, match="size"):
        read_file(file)
    with pytest.raises(GrayscopeError, match="cannot be"):
        add_to_file(tmp_path / "no" / "folder.jsonl", [PLAN])
    with pytest.raises(GrayscopeError, match="cannot be read"):
        read_file(tmp_path)
