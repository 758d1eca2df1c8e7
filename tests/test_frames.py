"""Frames: what is encoded comes back equal; whatever else is decoded is one clear error."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grayscope.batch import Batch
from grayscope.errors import InputError
from grayscope.event import Event
from grayscope.frames import decode, encode, frames
from grayscope.roster import RosterRow

NAMES = st.lists(st.text(max_size=5), unique=True, max_size=3)


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    times = sorted(draw(st.sets(st.integers(-(2**62), 2**62), max_size=3)))
    subjects, metrics = draw(NAMES), draw(NAMES)
    size = len(times) * len(subjects) * len(metrics)
    values = draw(st.lists(st.floats(width=32), min_size=size, max_size=size))
    shaped = np.array(values, np.float32).reshape(len(times), len(metrics), len(subjects))
    return Batch(draw(st.text(max_size=5)), np.array(times, np.int64), tuple(subjects), tuple(metrics), shaped)


@settings(max_examples=300, deadline=None)
@given(batches())
def test_a_batch_comes_back_bit_for_bit(batch: Batch) -> None:
    again = decode(encode(batch))
    assert isinstance(again, Batch)
    assert (again.table, again.subjects, again.metrics) == (batch.table, batch.subjects, batch.metrics)
    assert np.array_equal(again.times, batch.times)
    assert again.values.shape == batch.values.shape
    assert np.array_equal(again.values.view(np.uint32), batch.values.view(np.uint32))


def test_events_and_roster_rows_come_back() -> None:
    event = Event(5, "n1/gpu0", "xid", "94", "two\nlines \N{SNOWMAN}", 3)
    rows = (RosterRow("n1", "node", 1, None, {"leaf": "l1"}), RosterRow("a>b", "path", crosses=("a", "b")))
    assert decode(encode(event)) == event
    assert decode(encode(rows)) == rows


@settings(max_examples=500, deadline=None)
@given(st.one_of(st.just(Event(5, "n1", "xid", "94")), st.just((RosterRow("n1", "node", 1),)), batches()), st.data())
def test_a_damaged_frame_is_a_message_or_one_clear_error(message: Event | Batch | tuple[RosterRow, ...], data: st.DataObject) -> None:
    frame = bytearray(encode(message))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(frame) - 1))
        frame[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=3))
        if not frame:
            break
    said = ""
    try:
        found = decode(bytes(frame), "f")
    except InputError as error:
        said = str(error)
    assert "expected" in said if said else isinstance(found, (Batch, Event, tuple))


@pytest.mark.parametrize(
    "frame",
    [
        b"", b"\0\0\0\0", b"\xff\xff\xff\xff{}", b"\xff\xff\xff\xff\xff\xff\xff\x7f", b"{}", b"{", b"{" * 100_000, b"[1]", b"\x80\x04K\x01.",
        b'{"grayscope":1,"kind":"pickle"}', b'{"grayscope":1,"kind":"event","time":true,"subject":"a","source":"b","code":"c"}',
        b'{"grayscope":1,"kind":"event","time":1,"subject":["a"],"source":"b","code":"c"}', b'{"grayscope":1,"kind":"roster","rows":[7]}',
        b'{"grayscope":true,"kind":"roster","rows":[]}', b'{"grayscope":0,"kind":"roster","rows":[]}',
        b'{"grayscope":1,"kind":"event","time":1e99,"subject":"a","source":"b","code":"c"}',
    ],
)  # fmt: skip
def test_what_is_no_message_is_refused(frame: bytes) -> None:
    with pytest.raises(InputError, match=r"^topic 3: .*expected"):
        decode(frame, "topic 3")


def test_a_later_version_is_told_from_damage_and_what_it_adds_is_passed_over() -> None:
    event = encode(Event(5, "n1", "xid", "94"))
    assert decode(event.replace(b'"kind"', b'"colour":"red","kind"')) == Event(5, "n1", "xid", "94")
    with pytest.raises(InputError, match="expected version 1 or older, found 2: update this reader first"):
        decode(event.replace(b'"grayscope":1', b'"grayscope":2'))
    with pytest.raises(InputError) as far:
        decode(event.replace(b'"grayscope":1', b'"grayscope":' + b"9" * 4000))
    assert len(str(far.value)) < 300
    with pytest.raises(InputError, match="the key 'code'"):
        decode(event.replace(b'"code"', b'"edoc"'))


def wide(times: int = 3, subjects: int = 40, metrics: int = 5) -> Batch:
    names = tuple(f"n{i:03d}/gpu0" for i in range(subjects))
    values = np.random.default_rng(1).normal(size=(times, metrics, subjects)).astype(np.float32)
    return Batch("gpu", np.arange(times, dtype=np.int64), names, tuple(f"m{i}" for i in range(metrics)), values)


@pytest.mark.parametrize(("times", "subjects", "metrics"), [(9, 40, 5), (1, 400, 5), (1, 1, 900), (5, 200, 30)])
@pytest.mark.parametrize("largest", [1500, 4000, 1 << 20])
def test_what_is_too_large_is_split_and_nothing_is_lost(times: int, subjects: int, metrics: int, largest: int) -> None:
    batch = wide(times, subjects, metrics)
    parts = list(frames(batch, largest))
    assert max(map(len, parts)) <= largest
    assert (len(parts) == 1) == (len(encode(batch)) <= largest)
    again = np.full_like(batch.values, np.nan)
    for part in map(decode, parts):
        assert isinstance(part, Batch)
        where = np.ix_(part.times.tolist(), [batch.metrics.index(m) for m in part.metrics], [batch.subjects.index(s) for s in part.subjects])
        assert np.isnan(again[where]).all()
        again[where] = part.values
    assert np.array_equal(again, batch.values)


def test_roster_rows_are_split_but_no_event_is() -> None:
    rows = tuple(RosterRow(f"n{i}", "node", i, keys={"leaf": "l" * 50}) for i in range(100))
    parts = [decode(frame) for frame in frames(rows, 1000)]
    assert len(parts) > 5
    assert tuple(row for part in parts if isinstance(part, tuple) for row in part) == rows
    with pytest.raises(InputError, match="at most 1000 bytes for what cannot be split"):
        list(frames(Event(1, "n1", "kernel", "x", "y" * 2000), 1000))
