"""Roster: who exists when, with which keys."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grayscope.roster import Roster, RosterRow, View

ROWS = (
    RosterRow("n1/gpu0", "gpu", until=100, keys={"serial": "A", "job": "1"}),
    RosterRow("n1/gpu0", "gpu", since=100, until=200, keys={"serial": "B", "job": "1"}),
    RosterRow("n1/gpu1", "gpu", since=50),
    RosterRow("n1", "node", keys={"rack": "r1"}),
)
KEYS = st.dictionaries(st.sampled_from(("node", "job", "gpu")), st.sampled_from(("", "x", "n1")))


@pytest.mark.parametrize(
    ("time", "subjects"), [(0, ("n1/gpu0",)), (50, ("n1/gpu0", "n1/gpu1")), (99, ("n1/gpu0", "n1/gpu1")), (199, ("n1/gpu0", "n1/gpu1")), (200, ("n1/gpu1",))]
)
def test_who_is_expected_when(time: int, subjects: tuple[str, ...]) -> None:
    assert Roster(ROWS).at(time).tables["gpu"] == subjects
    assert Roster(ROWS).at(time).tables["node"] == ("n1",)


def test_identity_tells_one_part_from_its_replacement() -> None:
    roster = Roster(ROWS)
    assert roster.at(99).identity("n1/gpu0") == ("A", "", "", "")
    assert roster.at(100).identity("n1/gpu0") == ("B", "", "", "")
    assert roster.at(99).identity("stranger") == ("", "", "", "")


def test_the_view_is_the_same_object_until_something_changes() -> None:
    roster = Roster(ROWS)
    assert roster.at(51) is roster.at(99)
    assert roster.at(99) is not roster.at(100)
    assert roster.at(99).version != roster.at(100).version


def test_versions() -> None:
    roster = Roster(ROWS)
    assert roster.with_rows([ROWS[0]]) is roster
    assert roster.with_rows([]) is roster
    changed = roster.with_rows([RosterRow("n1/gpu1", "gpu", since=50, until=60)])
    assert changed.version == roster.version + 1
    assert "n1/gpu1" not in changed.at(70).rows
    assert "n1/gpu1" in roster.at(70).rows  # the old one is as it was
    assert changed.at(10).version != roster.at(10).version


def test_of_two_rows_that_hold_at_once_the_younger_speaks() -> None:
    roster = Roster([RosterRow("a", "gpu", since=10, keys={"job": "2"}), RosterRow("a", "gpu", keys={"job": "1"})])
    assert (roster.at(5).key("a", "job"), roster.at(15).key("a", "job")) == ("1", "2")


def test_keys_of_strangers_are_empty_but_their_node_is_in_their_name() -> None:
    view = Roster(ROWS).at(0)
    assert (view.key("n9/gpu0", "sku"), view.key("n9/gpu0", "node"), view.key("n1", "rack")) == ("", "n9", "r1")


def test_labels_number_groups_in_sorted_order_whatever_the_order_of_subjects() -> None:
    view = View(0, {s: RosterRow(s, "gpu", keys={"sku": k}) for s, k in (("a", "z"), ("b", "m"), ("c", "z"))})
    labels, groups = view.labels(("c", "b", "a", "stranger"), ("sku",))
    assert groups == (("",), ("m",), ("z",))
    assert labels.tolist() == [2, 1, 2, 0]
    alone, everything = view.labels(("a", "b"), ())
    assert (alone.tolist(), everything) == ([0, 0], ((),))


def test_the_order_of_rows_does_not_matter() -> None:
    assert Roster(ROWS[::-1]).rows == Roster(ROWS).rows


@given(st.lists(st.tuples(st.sampled_from(("n1", "n1/gpu0", "n2/gpu0", "job:4", "job:4/r1", "comm:a")), KEYS), max_size=6))
@settings(deadline=None, derandomize=True)
def test_a_column_says_of_all_subjects_what_is_said_of_each(rows: list[tuple[str, dict[str, str]]]) -> None:
    view = View(1, {name: RosterRow(name, "any", keys=keys) for name, keys in rows})
    subjects = (*sorted(view.rows), "n9/gpu1", "n9", "job:7/r0")
    for key in ("node", "job", "gpu"):
        assert view.column(subjects, key) == tuple(view.key(s, key) for s in subjects)
    labels, groups = view.labels(subjects, ("node", "job"))
    assert [groups[label] for label in labels] == [(view.key(s, "node"), view.key(s, "job")) for s in subjects]
    assert list(groups) == sorted(set(groups))
    assert view.labels((), ("node",))[0].tolist() == []
    assert view.labels(subjects, ())[1] == ((),)


def test_a_column_is_read_once_of_each_view() -> None:
    first, second = View(1, {"n1": RosterRow("n1", "node", keys={"rack": "r1"})}), View(2, {"n1": RosterRow("n1", "node", keys={"rack": "r2"})})
    assert first.column(("n1",), "rack") is first.column(("n1",), "rack")
    assert (first.column(("n1",), "rack"), second.column(("n1",), "rack")) == (("r1",), ("r2",))


def test_a_serial_number_goes_before_a_uuid() -> None:
    view = View(1, {"a": RosterRow("a", "gpu", keys={"uuid": "U"}), "b": RosterRow("b", "gpu", keys={"uuid": "U", "serial": "S"}), "c": RosterRow("c", "gpu")})
    assert [view.serial(name) for name in "abcd"] == ["U", "S", "", ""]
