"""Frames: what is encoded comes back equal; whatever else is decoded is one clear error."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grayscope.batch import Batch
from grayscope.errors import InputError
from grayscope.event import Event
from grayscope.frames import decode, encode
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


@settings(max_examples=2000, deadline=None)
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


@pytest.mark.parametrize("frame", [b"", b"\0\0\0\0", b"\xff\xff\xff\xff{}", b"\x02\0\0\0{}", b'\x0a\0\0\0["pickle"]', b'\x12\0\0\0["event",true,1,2]'])
def test_what_is_no_message_is_refused(frame: bytes) -> None:
    with pytest.raises(InputError):
        decode(frame)
