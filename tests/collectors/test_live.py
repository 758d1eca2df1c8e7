"""Live: what is kept of a look for the next one changes nothing of what is said or counted."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from grayscope.batch import Batch
from grayscope.message import Message

samples: Any = __import__("grayscope.collectors._samples", fromlist=["Samples"])

NAMES = ("pcie_replays_total", "pcie_link_width_lanes", "nic_port_up", "nic_port_link_downs_total", "never_heard_of")
VALUES = st.one_of(st.integers(0, 300).map(float), st.sampled_from([255.0, 9.3e18, 140737488355329.0, float("inf"), float("nan")]))
CELLS = [(f"n1/gpu{i}/pcie", name) for i in range(2) for name in NAMES[:2]] + [("n1/nic0", name) for name in NAMES[2:]]


def told(message: Message) -> object:
    if isinstance(message, Batch):
        return message.table, message.times.tolist(), message.subjects, message.metrics, message.values.tobytes()
    return message


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_layout_that_is_used_again_says_what_a_new_one_says(data: st.DataObject) -> None:
    """Looks repeat their series, as they do in life, then leave some out, add some, or show blanks; parts are replaced."""
    kept, anew = samples.Samples("n1"), samples.Samples("n1")
    cells: list[tuple[str, str]] = CELLS
    for look in range(data.draw(st.integers(2, 8))):
        if data.draw(st.integers(0, 3)) == 0:
            cells = data.draw(st.lists(st.sampled_from(CELLS)))
        serial = {"serial": data.draw(st.sampled_from("12"))} if data.draw(st.integers(0, 4)) == 0 else {}
        values = data.draw(st.lists(VALUES, min_size=len(cells), max_size=len(cells)))
        anew.live._before = None
        for side in (kept, anew):
            side.begin()
            for (subject, name), value in zip(cells, values, strict=True):
                side.add(subject, name, value, **serial)
        assert [told(m) for m in kept.messages(look * 1_000_000)] == [told(m) for m in anew.messages(look * 1_000_000)]
        assert (kept.rejected, kept.live.rates.counts) == (anew.rejected, anew.live.rates.counts)


def test_the_layout_of_a_look_is_used_for_the_next() -> None:
    side = samples.Samples("n1")
    layouts = []
    for look in range(3):
        side.begin()
        side.add_all("n1/gpu0/pcie", NAMES[:2], (float(look), 16.0))
        side.messages(look)
        layouts.append(side.live._before)
    assert layouts[0] is not None
    assert layouts[0] is layouts[1] is layouts[2]


@given(st.lists(st.one_of(st.none(), st.integers(0, 9).map(float)), min_size=3, max_size=3))
def test_values_that_come_together_are_those_that_come_one_by_one(values: list[float | None]) -> None:
    together, alone = samples.Samples("n1"), samples.Samples("n1")
    for look in range(2):
        together.begin()
        alone.begin()
        together.add_all("n1/nic0", NAMES[2:], values)
        for name, value in zip(NAMES[2:], values, strict=True):
            alone.add("n1/nic0", name, value)
        assert [told(m) for m in together.messages(look)] == [told(m) for m in alone.messages(look)]
        assert not np.isnan(np.array(together._values)).any()
