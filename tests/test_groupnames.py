"""Groupnames: what is known of a peer group finds it again in another layout."""

from __future__ import annotations

from grayscope.groupnames import GroupNames

GROUPS = (("a", "1"), ("b", "2"))


def test_lists_that_several_metrics_share_are_kept_once() -> None:
    names = GroupNames.among(("x", "y", "z"), (GROUPS, GROUPS, (("all",),)))
    assert (names.lists, names.of, names.groups(1), names.groups(2)) == ((("a|1", "b|2"), ("all",)), (0, 0, 1), 2, 1)
    assert names.told() is names.told()
    again = GroupNames.read(names.told())
    assert (again.metrics, again.lists, again.of) == (names.metrics, names.lists, names.of)


def test_groups_are_found_by_name_and_the_new_are_left_out() -> None:
    old = GroupNames(["x", "y"], [["a", "b"], ["p"]], [0, 1])
    new = GroupNames(["y", "w", "x"], [["b", "c", "a"], ["q"]], [1, 0, 0])
    found = [(m0, m, before.tolist(), now.tolist()) for m0, m, before, now in new.since(old)]
    assert found == [(1, 0, [], []), (0, 2, [1, 0], [0, 2])]
