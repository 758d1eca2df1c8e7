"""Arrowframe: any Arrow program reads and writes it; what claims more than it brings is refused before memory is taken for it."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import tracemalloc
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grayscope import arrowframe
from grayscope.arrowframe import decode, encode
from grayscope.batch import Batch
from grayscope.errors import InputError
from grayscope.frames import MARK

VALUES = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
BATCH = Batch("gpu", np.array([10, 20], np.int64), ("a", "b", "c"), ("gpu_power_watts", 'unheard_of{x="1"}'), VALUES)
HEAD: dict[str, Any] = {"grayscope": 1, "kind": "batch", "table": "gpu", "metrics": ["m1", "m2"], "subjects": ["a", "b", "c"]}


def made(head: Any = HEAD, values: pa.Array | None = None, name: str = "values", options: pa.ipc.IpcWriteOptions | None = None) -> bytes:
    """A frame as another program might write it."""
    column = pa.FixedSizeListArray.from_arrays(pa.array(np.arange(12, dtype=np.float32)), 6) if values is None else values
    time = pa.array(range(len(column)), pa.timestamp("us", "UTC"))
    schema = pa.schema([("time", time.type), (name, column.type)], {"grayscope": head if isinstance(head, bytes) else json.dumps(head)})
    out = pa.BufferOutputStream()
    with pa.ipc.new_stream(out, schema, options=options) as writer:
        writer.write_batch(pa.record_batch([time, column], schema))
    return bytes(out.getvalue())


def test_any_arrow_reader_opens_it_and_finds_the_matrix_metric_by_metric() -> None:
    with pa.ipc.open_stream(encode(BATCH)) as stream:
        table = stream.read_all()
    head = json.loads(table.schema.metadata[b"grayscope"])
    assert (head["grayscope"], head["kind"], head["table"], head["subjects"]) == (1, "batch", "gpu", ["a", "b", "c"])
    assert len(head["roster"]) == 16
    assert table["time"].cast(pa.int64()).to_pylist() == [10, 20]
    assert table["values"].to_pylist()[1] == [6.0, 7.0, 8.0, 9.0, 10.0, 11.0]


def test_unknown_metrics_pass_and_names_are_the_same_objects_from_tick_to_tick() -> None:
    first = decode(encode(BATCH))
    later = decode(encode(Batch(BATCH.table, BATCH.times + 5, BATCH.subjects, BATCH.metrics, BATCH.values)))
    assert first.metrics == BATCH.metrics
    assert first.subjects is later.subjects
    assert first.values.flags.writeable


def test_a_sample_costs_little_more_than_four_bytes() -> None:
    subjects = tuple(f"n{i // 8:04d}/gpu{i % 8}" for i in range(1024))
    batch = Batch("gpu", np.array([1], np.int64), subjects, tuple(f"m{i}" for i in range(50)), np.zeros((1, 50, 1024), np.float32))
    assert len(encode(batch)) / batch.values.size < 4.5


def test_another_writer_may_align_otherwise_and_leave_nulls() -> None:
    values = pa.FixedSizeListArray.from_arrays(pa.array([1.0, None, 3, 4, 5, 6], pa.float32()), 6)
    batch = decode(made({**HEAD, "later": [1]}, values, options=pa.ipc.IpcWriteOptions(metadata_version=pa.ipc.MetadataVersion.V5)))
    assert np.isnan(batch.values[0, 0, 1])
    assert batch.values[0, 1].tolist() == [4, 5, 6]


PROGRAM = """
import sys
class Finder:
    def find_spec(self, name, *_):
        asked.append(name) if name == "pandas" else None
asked = []
sys.meta_path.insert(0, Finder())
import numpy as np
from grayscope.batch import Batch
from grayscope.frames import decode, encode
frame = encode(Batch("gpu", np.array([1]), ("a",), ("m",), np.ones((1, 1, 1), np.float32)))
print(decode(frame).values.tolist(), decode(frame).times.tolist(), asked)
"""


def test_pandas_is_not_looked_for_which_costs_thirty_megabytes_where_it_is_installed() -> None:
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout == "[[[1.0]]] [1] []\n"


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (made({**HEAD, "grayscope": 2}), "version 1 or older, found 2"),
        (made({**HEAD, "grayscope": "1"}), "a version from 1 to 1, found 1"),
        (made({**HEAD, "kind": "roster"}), "expected batch"),
        (made({**HEAD, "subjects": ["a", "b", "a"]}), "each subject and metric once"),
        (made({**HEAD, "subjects": "abc"}), "expected text"),
        (made({**HEAD, "subjects": ["a"]}), r"fixed_size_list<float>\[2\]"),
        (made({"grayscope": 1}), "table, metrics and subjects"),
        (made(b"\x80\x04K\x01."), "JSON"),
        (made(b"[" * 100_000), "JSON"),
        (made(name="numbers"), "columns"),
        (made(values=pa.array([[1.0] * 6], pa.list_(pa.float32()))), "columns"),
        (made(values=pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(6)), 6)), "columns"),
        (made(values=pa.array([[1.0] * 6, None], pa.list_(pa.float32(), 6))), "without time or values"),
        (made(options=pa.ipc.IpcWriteOptions(compression="zstd")), "compressed"),
        (encode(BATCH)[:300], "Arrow IPC"),
        (encode(BATCH)[:-60], "Arrow IPC"),
        (encode(Batch("gpu", np.array([], np.int64), (), (), np.zeros((0, 0, 0), np.float32)))[:-8].replace(b"batch", b"patch"), "expected batch"),
    ],
)  # fmt: skip
def test_a_frame_that_is_not_as_it_should_be_is_refused_with_the_reason(frame: bytes, said: str) -> None:
    with pytest.raises(InputError, match=said):
        decode(frame)


@pytest.mark.parametrize("claim", [3, 1000, 100 << 20, 2**62, -1])
def test_rows_that_are_not_there_are_refused_before_memory_is_taken_for_them(claim: int) -> None:
    frame = encode(Batch("gpu", np.array([10, 20], np.int64), ("a",), ("m",), np.ones((2, 1, 1), np.float32)))
    at = frame.index(struct.pack("<q", 2), frame.rindex(MARK, 0, frame.rindex(struct.pack("<f", 1)) - 16))
    before = pa.total_allocated_bytes()
    tracemalloc.start()
    with pytest.raises(InputError, match="rows: expected at most 2 in 24 bytes"):
        decode(frame[:at] + struct.pack("<q", claim) + frame[at + 8 :])
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()
    assert pa.total_allocated_bytes() - before < 1 << 20


@settings(max_examples=1000, deadline=None)
@given(st.integers(0, len(encode(BATCH)) - 1), st.binary(min_size=1, max_size=8))
def test_a_frame_with_any_bytes_overwritten_is_a_batch_or_one_clear_error(at: int, poison: bytes) -> None:
    frame = encode(BATCH)
    said = ""
    try:
        found = decode(frame[:at] + poison + frame[at + len(poison) :])
    except InputError as error:
        said = str(error)
    assert "expected" in said if said else found.values.size <= 3 * BATCH.values.size


def test_heads_that_change_all_the_time_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrowframe, "KEPT", 1000)
    for i in range(50):
        decode(made({**HEAD, "table": f"t{i}"}))
    assert sum(map(len, arrowframe._heads.known)) <= 1000


def test_a_frame_whose_beginning_is_known_is_read_the_same_and_checked_the_same() -> None:
    first, again = decode(encode(BATCH)), decode(encode(BATCH))
    assert again.subjects is first.subjects
    np.testing.assert_array_equal(again.values, first.values)
    np.testing.assert_array_equal(again.times, first.times)
    assert again.values.flags.writeable
    frame = encode(BATCH)
    with pytest.raises(InputError):
        decode(frame[:-60])
    backwards = frame.replace(np.array([10, 20], np.int64).tobytes(), np.array([20, 10], np.int64).tobytes())
    assert backwards != frame
    with pytest.raises(InputError, match="strictly increasing"):
        decode(backwards)


def test_lists_of_metrics_that_many_nodes_send_are_one_object() -> None:
    one, two = (decode(encode(Batch("gpu", np.array([1]), (name,), ("m1", "m2"), np.ones((1, 2, 1), np.float32)))) for name in "ab")
    assert one.metrics is two.metrics
